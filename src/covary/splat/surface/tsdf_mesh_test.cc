#include "covary/splat/surface/tsdf_mesh.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error_of.h"
#include "covary/core/geometry/mesh_repair.h"
#include "covary/splat/render/likeness.h"

namespace covary::surface {
namespace {

// Small opaque Gaussians all over a ball of radius 1, redder to the right.
scene::Cloud ball(int64_t n) {
  scene::Cloud c;
  c.means = at::empty({n, 3});
  c.sh0 = at::zeros({n, 1, 3});
  for (int64_t i = 0; i < n; ++i) {
    const double z = 1 - 2 * (static_cast<double>(i) + 0.5) / static_cast<double>(n);
    const double angle = std::numbers::pi * (1 + std::sqrt(5.0)) * static_cast<double>(i);
    const double r = std::sqrt(1 - z * z);
    c.means[i][0] = r * std::cos(angle);
    c.means[i][1] = r * std::sin(angle);
    c.means[i][2] = z;
    c.sh0[i][0][0] = r * std::cos(angle);
  }
  c.quats = at::tensor({1.f, 0.f, 0.f, 0.f}).repeat({n, 1});
  c.scales = at::full({n, 3}, std::log(0.03));
  c.opacities = at::full({n}, 5.0f);
  c.shN = at::zeros({n, 0, 3});
  return c;
}

TEST(TsdfMesh, OfABallOfGaussiansIsABall) {
  const scene::Cloud cloud = ball(4000);
  const auto cameras = render::sample_views(cloud, 12, 160, 120);
  const TsdfMesh m = tsdf_mesh(render::primitives_of(cloud), cameras, false, {.voxel = 0.06});
  EXPECT_NEAR(m.extent, 2, 0.05);
  EXPECT_EQ(m.views, 12);
  double worst = 0, mean = 0;
  for (const Eigen::Vector3f& v : m.mesh.vertices) {
    const double off = std::abs(v.norm() - 1);
    worst = std::max(worst, off);
    mean += off / static_cast<double>(m.mesh.vertices.size());
  }
  EXPECT_LT(mean, 0.06) << "two standard deviations, or a voxel";
  EXPECT_LT(worst, 0.5 * m.truncation) << "the poles are seen at a slant alone";
  float left = 0, right = 0;
  int64_t n_left = 0, n_right = 0;
  for (size_t i = 0; i < m.mesh.vertices.size(); ++i) {
    const float x = m.mesh.vertices[i].x(), red = m.mesh.colors[i].x();
    if (x < -0.7f) left += red, ++n_left;
    if (x > 0.7f) right += red, ++n_right;
  }
  ASSERT_GT(std::min(n_left, n_right), 10);
  EXPECT_GT(right / static_cast<float>(n_right), left / static_cast<float>(n_left) + 0.3f);
}

TEST(TsdfMesh, ForCollisionsItIsClosedAndSmall) {
  const scene::Cloud cloud = ball(4000);
  const auto cameras = render::sample_views(cloud, 12, 160, 120);
  const TsdfMesh m = tsdf_mesh(render::primitives_of(cloud), cameras, false,
                               {.voxel = 0.06, .faces = 400, .collision = true});
  EXPECT_LE(m.mesh.triangles.size(), 400u);
  EXPECT_TRUE(geometry::edge_facts(m.mesh).closed());
}

TEST(TsdfMesh, WhatHasNoSurfaceIsSaid) {
  scene::Cloud cloud = ball(400);
  const auto cameras = render::sample_views(cloud, 3, 64, 48);
  EXPECT_EQ(error_of([&] { tsdf_mesh(render::primitives_of(cloud), {}, false, {}); }).code(),
            ExitCode::kUsage);
  cloud.opacities.fill_(-8);
  EXPECT_EQ(error_of([&] { tsdf_mesh(render::primitives_of(cloud), cameras, false, {}); }).code(),
            ExitCode::kData);
  auto wide = cameras;
  wide[0].projection = scene::Projection::kFisheye;
  EXPECT_EQ(error_of([&] { tsdf_mesh(render::primitives_of(cloud), wide, false, {}); }).code(),
            ExitCode::kUsage);
}

}  // namespace
}  // namespace covary::surface
