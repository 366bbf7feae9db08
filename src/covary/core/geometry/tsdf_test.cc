#include "covary/core/geometry/tsdf.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>
#include <Eigen/Geometry>
#include <Eigen/LU>

#include "covary/core/base/error_of.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/mesh_repair.h"

namespace covary::geometry {
namespace {

// What a camera at a distance along some direction sees of a ball about the origin: exact depth, and its normals as colours.
struct BallView {
  std::vector<float> depth, color, weight;
  DepthView view;

  BallView(const Eigen::Vector3d& from, double radius, int size = 64) {
    Eigen::Matrix4d world_from_cam = Eigen::Matrix4d::Identity();
    const Eigen::Vector3d z = -from.normalized(), x = z.unitOrthogonal(), y = z.cross(x);
    world_from_cam.topLeftCorner<3, 3>() << x, y, z;
    world_from_cam.topRightCorner<3, 1>() = from;
    view = {size, size, 1.5 * size, 1.5 * size, 0.5 * size, 0.5 * size, world_from_cam.inverse()};
    depth.resize(static_cast<size_t>(size * size));
    color.resize(3 * depth.size());
    weight.resize(depth.size());
    for (int i = 0; i < size * size; ++i) {
      const Eigen::Vector3d ray(((i % size) + 0.5 - view.cx) / view.fx,
                                ((i / size) + 0.5 - view.cy) / view.fy, 1);
      const Eigen::Vector3d d = world_from_cam.topLeftCorner<3, 3>() * ray;
      const double a = d.squaredNorm(), b = d.dot(from), c = from.squaredNorm() - radius * radius;
      if (b * b < a * c) continue;
      const double t = (-b - std::sqrt(b * b - a * c)) / a;
      depth[static_cast<size_t>(i)] = static_cast<float>(t);
      const Eigen::Vector3d n = (from + t * d) / radius;
      weight[static_cast<size_t>(i)] = static_cast<float>(-n.dot(d.normalized()));
      for (int k = 0; k < 3; ++k)
        color[static_cast<size_t>(3 * i + k)] = static_cast<float>(0.5 + 0.5 * n[k]);
    }
    view.depth = depth.data();
    view.color = color.data();
    view.weight = weight.data();
  }
};

std::vector<Eigen::Vector3d> places(double distance) {
  std::vector<Eigen::Vector3d> all;
  for (const double z : {-0.9, -0.3, 0.3, 0.9})
    for (int i = 0; i < 6; ++i) {
      const double angle = 2 * std::numbers::pi * i / 6 + z;
      all.emplace_back(distance *
                       Eigen::Vector3d(std::cos(angle), std::sin(angle), z).normalized());
    }
  all.emplace_back(0, 0, distance);
  all.emplace_back(0.01, 0, -distance);
  return all;
}

Mesh ball(double voxel, double radius) {
  TsdfVolume volume({.voxel = voxel});
  for (const Eigen::Vector3d& from : places(3)) {
    const BallView v(from, radius);
    volume.fuse(v.view);
  }
  return volume.mesh(0.5);
}

double worst(const Mesh& m, double radius) {
  double most = 0;
  for (const Eigen::Vector3f& v : m.vertices)
    most = std::max<double>(most, std::abs(v.norm() - radius));
  return most;
}

TEST(Tsdf, ABallFromAllSidesIsClosedRoundAndColoured) {
  constexpr double kRadius = 0.7;
  const Mesh m = ball(0.05, kRadius);
  EXPECT_TRUE(edge_facts(m).closed());
  // Euler: vertices - edges + faces = 2, edges being three halves of the faces.
  EXPECT_EQ(static_cast<int64_t>(m.vertices.size()) - static_cast<int64_t>(m.triangles.size()) / 2,
            2);
  EXPECT_LT(worst(m, kRadius), 0.5 * 0.05);
  EXPECT_NEAR(surface_area(m), 4 * std::numbers::pi * kRadius * kRadius, 0.02 * 6.2);
  double off = 0;
  for (size_t i = 0; i < m.vertices.size(); ++i) {
    const Eigen::Vector3f n = m.vertices[i].normalized();
    EXPECT_GT(m.normals[i].dot(n), 0.8f) << "normals point outward";
    off = std::max<double>(off, (m.colors[i] - (0.5f * n.array() + 0.5f).matrix()).norm());
  }
  EXPECT_LT(off, 0.15);
}

TEST(Tsdf, FinerVoxelsAreNearer) {
  EXPECT_LT(worst(ball(0.05, 0.7), 0.7), 0.75 * worst(ball(0.15, 0.7), 0.7));
}

TEST(Tsdf, WhatNoViewSawIsNoSurface) {
  TsdfVolume volume({.voxel = 0.05});
  const BallView v({0, 0, 3}, 0.7);
  volume.fuse(v.view);
  const Mesh m = volume.mesh(0.2);
  ASSERT_FALSE(m.triangles.empty());
  for (const Eigen::Vector3f& p : m.vertices) EXPECT_GT(p.z(), -0.05f) << "the far side is unseen";
  EXPECT_TRUE(volume.mesh(1.1).triangles.empty()) << "more than one view must agree";
}

TEST(Tsdf, AViewThatSeesThroughClearsAwayWhatIsNotThere) {
  TsdfVolume volume({.voxel = 0.05});
  // One view of a ball that is not there, several of the wall behind it.
  const BallView wrong({0, 0, 3}, 0.4);
  volume.fuse(wrong.view);
  std::vector<float> wall(64 * 64, 4.0f);
  DepthView right = wrong.view;
  right.depth = wall.data();
  right.color = right.weight = nullptr;
  for (int i = 0; i < 6; ++i) volume.fuse(right);
  for (const Eigen::Vector3f& p : volume.mesh(0.5).vertices) EXPECT_NEAR(p.z(), -1, 0.05);
}

TEST(Tsdf, TheSameBitsAtAnyNumberOfThreads) {
  set_threads(1);
  const Mesh one = ball(0.08, 0.5);
  set_threads(3);
  const Mesh three = ball(0.08, 0.5);
  set_threads(0);
  EXPECT_EQ(one.vertices, three.vertices);
  EXPECT_EQ(one.triangles, three.triangles);
  EXPECT_EQ(one.colors, three.colors);
}

TEST(Tsdf, BlocksAreLimitedAndBadOptionsNamed) {
  TsdfVolume volume({.voxel = 0.01, .most_blocks = 50});
  const BallView v({0, 0, 3}, 0.7);
  EXPECT_EQ(error_of([&] { volume.fuse(v.view); }).code(), ExitCode::kData);
  EXPECT_EQ(error_of([] { TsdfVolume({.voxel = 0}); }).where(), "voxel");
  EXPECT_EQ(error_of([] { TsdfVolume({.voxel = 1e-9, .truncation = 1}); }).where(), "truncation");
  EXPECT_EQ(error_of([] { TsdfVolume({.voxel = 0.5, .truncation = 500}); }).code(),
            ExitCode::kDone);
  // Depth that is no number, or nothing, is passed over.
  std::vector<float> bad(64 * 64, std::nanf(""));
  DepthView view = v.view;
  view.depth = bad.data();
  TsdfVolume empty({.voxel = 0.1});
  empty.fuse(view);
  EXPECT_EQ(empty.blocks(), 0);
}

}  // namespace
}  // namespace covary::geometry
