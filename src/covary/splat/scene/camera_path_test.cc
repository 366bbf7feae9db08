#include "covary/splat/scene/camera_path.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/base/error.h"

namespace covary::scene {
namespace {

using Eigen::Vector3d;

Vector3d position(const Camera& c) {
  return -c.cam_from_world.topLeftCorner<3, 3>().transpose() *
         c.cam_from_world.topRightCorner<3, 1>();
}

Camera lens() {
  Camera c;
  c.width = 64;
  c.height = 48;
  c.fx = c.fy = 50;
  c.cx = 32;
  c.cy = 24;
  return c;
}

// n cameras on a half circle of radius 2 at height 1 around (1, 2, 3), z up.
std::vector<Camera> ring(int n) {
  std::vector<Camera> out;
  const Vector3d centre(1, 2, 3);
  for (int i = 0; i < n; ++i) {
    const double a = std::numbers::pi * i / (n - 1);
    out.push_back(looking_at(lens(), centre + Vector3d(2 * std::cos(a), 2 * std::sin(a), 1), centre,
                             {0, 0, 1}));
  }
  return out;
}

TEST(LookingAt, TheTargetIsInTheMiddleAndUpIsUp) {
  const Camera c = looking_at(lens(), {3, -1, 2}, {0, 0, 0}, {0, 0, 1});
  const Vector3d seen = c.cam_from_world.topLeftCorner<3, 4>() * Eigen::Vector4d(0, 0, 0, 1);
  EXPECT_NEAR(seen.x(), 0, 1e-12);
  EXPECT_NEAR(seen.y(), 0, 1e-12);
  EXPECT_NEAR(seen.z(), std::sqrt(14), 1e-12);
  const Vector3d above = c.cam_from_world.topLeftCorner<3, 4>() * Eigen::Vector4d(0, 0, 0.1, 1);
  EXPECT_LT(above.y(), 0);  // y points down
  EXPECT_NEAR(c.cam_from_world.determinant(), 1, 1e-12);
}

TEST(CameraPath, FocusAndUpOfARing) {
  const CameraPath path(ring(9));
  EXPECT_LT((path.focus() - Vector3d(1, 2, 3)).norm(), 1e-9);
  EXPECT_GT(path.up().z(), 0.7);
}

TEST(CameraPath, SplineStartsAndEndsAtCamerasAtEvenSpeed) {
  const auto cameras = ring(9);
  const auto frames = CameraPath(cameras).spline(60);
  ASSERT_EQ(frames.size(), 60u);
  EXPECT_LT((position(frames.front()) - position(cameras.front())).norm(), 1e-9);
  EXPECT_LT((position(frames.back()) - position(cameras.back())).norm(), 1e-6);
  double least = 1e9, most = 0;
  for (size_t i = 1; i < frames.size(); ++i) {
    const double step = (position(frames[i]) - position(frames[i - 1])).norm();
    least = std::min(least, step);
    most = std::max(most, step);
    EXPECT_NEAR((position(frames[i]) - Vector3d(1, 2, 3)).norm(), std::sqrt(5), 0.1);
  }
  EXPECT_LT(most, 1.6 * least);
}

TEST(CameraPath, PhotosInAnyOrderGiveTheSameWayAsInOrder) {
  auto cameras = ring(12);
  std::vector<Camera> mixed;
  for (size_t i = 0; i < cameras.size(); ++i) mixed.push_back(cameras[i * 5 % 12]);
  const auto frames = CameraPath(mixed).spline(50);
  double length = 0;
  for (size_t i = 1; i < frames.size(); ++i)
    length += (position(frames[i]) - position(frames[i - 1])).norm();
  EXPECT_LT(length, 1.1 * 2 * std::numbers::pi);
}

TEST(CameraPath, OrbitKeepsDistanceAndLooksAtTheFocus) {
  const CameraPath path(ring(9));
  const auto frames = path.orbit(16);
  ASSERT_EQ(frames.size(), 16u);
  for (const Camera& c : frames) {
    const Vector3d seen = c.cam_from_world.topLeftCorner<3, 4>() * path.focus().homogeneous();
    EXPECT_NEAR(seen.head<2>().norm(), 0, 1e-9);
    EXPECT_NEAR((position(c) - path.focus()).norm(), (position(frames[0]) - path.focus()).norm(),
                1e-9);
  }
  EXPECT_GT((position(frames.front()) - position(frames.back())).norm(), 0.1);
}

TEST(CameraPath, SpiralStaysAmongTheCameras) {
  std::vector<Camera> facing;
  for (int x = -1; x <= 1; ++x)
    for (int y = -1; y <= 1; ++y)
      facing.push_back(
          looking_at(lens(), {x * 0.5, y * 0.5, 0}, {x * 0.5, y * 0.5, 9}, {0, -1, 0}));
  const CameraPath path(facing);
  EXPECT_GT(path.focus().z(), 0.5);  // parallel axes: in front of the cameras
  for (const Camera& c : path.spiral(20)) EXPECT_LT(position(c).norm(), 0.75);
}

TEST(CameraPath, OneCameraStandsStillAndNoneIsRefused) {
  const auto frames = CameraPath({ring(2)[0]}).spline(3);
  ASSERT_EQ(frames.size(), 3u);
  EXPECT_EQ(position(frames[0]), position(frames[2]));
  EXPECT_THROW(CameraPath(std::vector<Camera>{}), Error);
  EXPECT_THROW(CameraPath(ring(3)).by_name("zigzag", 3), Error);
  EXPECT_EQ(CameraPath(ring(3)).by_name("orbit", 7).size(), 7u);
}

TEST(CameraOfBall, SeesTheWholeBall) {
  const Camera c = camera_of_ball({1, 1, 1}, 2, {0, 0, 1}, 640, 480);
  EXPECT_GT((position(c) - Vector3d(1, 1, 1)).norm(), 4);
  EXPECT_GT(position(c).z(), 1);
}

}  // namespace
}  // namespace covary::scene
