#include "covary/splat/surface/hull_mesh.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/geometry/mesh_repair.h"
#include "covary/splat/scene/convex.h"

namespace covary::surface {
namespace {

TEST(HullMesh, ACubeHasItsVolumeAndTwelveTriangles) {
  std::vector<Eigen::Vector3d> p;
  for (int k = 0; k < 8; ++k) p.emplace_back(k & 1 ? 2 : 0, k & 2 ? 3 : 0, k & 4 ? 5 : 0);
  const auto t = hull_triangles(p);
  EXPECT_EQ(t.size(), 12u);
  EXPECT_NEAR(hull_volume(p, t), 30, 1e-12);
}

TEST(HullMesh, RandomHullsAreClosedAndHoldTheirPoints) {
  const Random random(3, 4);
  uint64_t next = 0;
  for (int n = 0; n < 300; ++n) {
    std::vector<Eigen::Vector3d> p;
    for (int k = 0; k < 4 + n % 5; ++k) {
      const double x = random.normal(next++), y = random.normal(next++), z = random.normal(next++);
      p.emplace_back(x, y, z);
    }
    const auto t = hull_triangles(p);
    geometry::Mesh mesh;
    for (const auto& v : p) mesh.vertices.push_back(v.cast<float>());
    mesh.triangles = t;
    EXPECT_TRUE(geometry::edge_facts(mesh).closed());
    EXPECT_GT(hull_volume(p, t), 0);
    for (const Eigen::Vector3i& f : t) {
      const Eigen::Vector3d a = p[static_cast<size_t>(f[0])];
      const Eigen::Vector3d normal =
          (p[static_cast<size_t>(f[1])] - a).cross(p[static_cast<size_t>(f[2])] - a).normalized();
      for (const auto& q : p) EXPECT_LE(normal.dot(q - a), 1e-7);
    }
  }
}

TEST(HullMesh, FlatAndTransparentConvexesAreLeftOut) {
  scene::Cloud cloud;
  const int64_t n = 4;
  cloud.opacities = at::tensor({3.0, 3.0, -3.0, 3.0}, at::kFloat);
  cloud.sh0 = at::zeros({n, 1, 3}, at::kFloat);
  cloud.shN = at::zeros({n, 0, 3}, at::kFloat);
  at::Tensor points = at::empty({n, 6, 3}, at::kDouble);
  const Random random(1, 2);
  for (int64_t i = 0; i < points.numel(); ++i)
    points.data_ptr<double>()[i] = random.normal(static_cast<uint64_t>(i));
  points.select(0, 1).select(1, 2).fill_(0.5);  // in a plane
  EXPECT_TRUE(hull_triangles({{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {1, 1, 0}}).empty());
  scene::set_convexes(cloud, {points, at::ones({n}, at::kDouble), at::ones({n}, at::kDouble)});
  const HullMesh m = hull_mesh(cloud, 0.5);
  EXPECT_EQ(m.hulls, 2);
  EXPECT_EQ(m.transparent, 1);
  EXPECT_EQ(m.flat, 1);
  EXPECT_TRUE(geometry::edge_facts(m.mesh).closed());
  EXPECT_THROW(hull_mesh(scene::as_gaussians(cloud), 0.5), Error);
}

}  // namespace
}  // namespace covary::surface
