#include "covary/splat/capture/agreement.h"

#include <cmath>
#include <string>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/geometry/rigid.h"

namespace covary::capture {
namespace {

using Eigen::Matrix4d;
using Eigen::Vector3d;

std::string name_of(int i) { return "photo_" + std::to_string(100 + i) + ".jpg"; }

// n cameras on part of a ring, looking at its middle.
Poses ring(int n, double span = 4) {
  Poses poses;
  for (int i = 0; i < n; ++i) {
    const double t = span * i / n;
    poses[name_of(i)] = geometry::look_at(
        {3 * std::cos(t), 3 * std::sin(t), 1 + 0.1 * std::sin(5 * t)}, {0, 0, 0}, {0, 0, 1});
  }
  return poses;
}

// The same cameras in a world that is turned, moved and scaled.
Matrix4d moved(const Matrix4d& cam_from_world, const Matrix4d& new_from_old) {
  const Eigen::Matrix3d r = cam_from_world.topLeftCorner<3, 3>() *
                            geometry::similarity_rotation(new_from_old).transpose();
  const Vector3d centre =
      geometry::apply(new_from_old, -cam_from_world.topLeftCorner<3, 3>().transpose() *
                                        cam_from_world.topRightCorner<3, 1>());
  return geometry::rigid(r, -r * centre);
}

Matrix4d other_world() {
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = 2.5 * geometry::so3_exp({0.3, -0.8, 0.2});
  m.topRightCorner<3, 1>() = Vector3d(4, -1, 7);
  return m;
}

TEST(PoseAgreement, TheSameSceneInAnotherWorld) {
  const Poses a = ring(20);
  Poses b;
  for (const auto& [name, pose] : a) b[name] = moved(pose, other_world());
  const Agreement g = compare_poses(a, b);
  EXPECT_EQ(g.common, 20);
  EXPECT_DOUBLE_EQ(g.share, 1);
  EXPECT_LT(g.median_rotation_deg, 1e-6);
  EXPECT_LT(g.median_centre, 1e-9);
  EXPECT_TRUE(g.b_from_a.isApprox(other_world(), 1e-9));
}

TEST(PoseAgreement, AFoldedModelIsFound) {
  // A third of the cameras, rigid among themselves, stand where a doubled scale about one of them puts them.
  const Poses a = ring(30);
  Poses b;
  int i = 0;
  Matrix4d fold = Matrix4d::Identity();
  fold.topLeftCorner<3, 3>() *= 2;
  fold.topRightCorner<3, 1>() = Vector3d(1, -2, 0);
  for (const auto& [name, pose] : a) {
    b[name] = moved(i < 20 ? pose : moved(pose, fold), other_world());
    ++i;
  }
  const Agreement g = compare_poses(a, b);
  EXPECT_NEAR(g.share, 20.0 / 30, 1e-12);
  ASSERT_EQ(g.differing.size(), 10u);
  EXPECT_EQ(g.differing.front(), name_of(20));
}

TEST(PoseAgreement, CamerasOnALine) {
  Poses a, b;
  for (int i = 0; i < 12; ++i) {
    a[name_of(i)] = geometry::look_at({0.5 * i, -4, 0}, {0.5 * i, 0, 0}, {0, 0, 1});
    b[name_of(i)] = moved(a[name_of(i)], other_world());
  }
  EXPECT_DOUBLE_EQ(compare_poses(a, b).share, 1);
}

TEST(PoseAgreement, SmallErrorsAgreeAndAreMeasured) {
  const Random random(2);
  const Poses a = ring(60);
  Poses b;
  for (const auto& [name, pose] : a) {
    const auto k = static_cast<uint64_t>(b.size());
    const auto noise = [&](uint64_t j) { return random.normal(6 * k + j); };
    geometry::Vector6d twist;
    for (uint64_t j = 0; j < 6; ++j) twist[static_cast<Eigen::Index>(j)] = 0.005 * noise(j);
    b[name] = moved(geometry::se3_exp(twist) * pose, other_world());
  }
  const Agreement g = compare_poses(a, b);
  EXPECT_GT(g.share, 0.95);
  EXPECT_GT(g.median_rotation_deg, 0.1);
  EXPECT_LT(g.median_rotation_deg, 1);
}

TEST(PoseAgreement, TooFewPhotosSayNothing) {
  Poses a = ring(5), b = ring(2);
  const Agreement g = compare_poses(a, b);
  EXPECT_EQ(g.common, 2);
  EXPECT_EQ(g.share, 0);
}

}  // namespace
}  // namespace covary::capture
