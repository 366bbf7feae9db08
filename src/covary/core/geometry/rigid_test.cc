#include "covary/core/geometry/rigid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/LU>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::geometry {
namespace {

constexpr double kPi = std::numbers::pi;

Eigen::Vector3d random_vector(const Random& rng, uint64_t i, double size) {
  const auto z = rng.normal4(i);
  return size * Eigen::Vector3d(z[0], z[1], z[2]);
}

TEST(Rigid, AQuarterTurnAboutZTakesXToY) {
  const Eigen::Vector4d q(std::cos(kPi / 4), 0, 0, std::sin(kPi / 4));
  EXPECT_LT((quat_rotate(q, {1, 0, 0}) - Eigen::Vector3d(0, 1, 0)).norm(), 1e-15);
  EXPECT_LT((quat_to_matrix(3 * q) * Eigen::Vector3d(0, 1, 0) - Eigen::Vector3d(-1, 0, 0)).norm(),
            1e-15);
}

TEST(Rigid, QuaternionsComposeLikeTheirMatrices) {
  const Random rng(1);
  for (uint64_t i = 0; i < 100; ++i) {
    const auto z = rng.normal4(2 * i), y = rng.normal4(2 * i + 1);
    const Eigen::Vector4d a(z[0], z[1], z[2], z[3]), b(y[0], y[1], y[2], y[3]);
    EXPECT_LT((quat_to_matrix(quat_product(a, b)) - quat_to_matrix(a) * quat_to_matrix(b)).norm(),
              1e-14);
    EXPECT_LT((quat_to_matrix(quat_conjugate(a)) - quat_to_matrix(a).transpose()).norm(), 1e-14);
    const Eigen::Vector4d back = quat_from_matrix(quat_to_matrix(a));
    EXPECT_GE(back[0], 0);
    EXPECT_LT((quat_to_matrix(back) - quat_to_matrix(a)).norm(), 1e-14);
  }
}

TEST(Rigid, AQuaternionWithoutDirectionIsRefused) {
  EXPECT_THROW(quat_normalized(Eigen::Vector4d::Zero()), Error);
  EXPECT_THROW(quat_to_matrix(Eigen::Vector4d(NAN, 0, 0, 0)), Error);
}

TEST(Rigid, SlerpMovesAtConstantSpeedOnTheShorterArc) {
  const Eigen::Vector4d a(1, 0, 0, 0);
  const Eigen::Vector4d b =
      -Eigen::Vector4d(std::cos(0.5), std::sin(0.5), 0, 0);  // one radian about x
  for (const double t : {0.0, 0.25, 0.5, 1.0}) {
    const Eigen::Vector3d turn = so3_log(quat_to_matrix(quat_slerp(a, b, t)));
    EXPECT_LT((turn - Eigen::Vector3d(t, 0, 0)).norm(), 1e-14) << t;
  }
  const Eigen::Vector4d near(1, 1e-12, 0, 0);
  EXPECT_NEAR(quat_slerp(a, near, 0.5)[1], 5e-13, 1e-18);
}

TEST(Rigid, LookAtPutsTheTargetOnTheAxisAndUpAbove) {
  const Eigen::Vector3d eye(3, 1, 2), target(0.5, -1, 0.25);
  const Eigen::Matrix4d m = look_at(eye, target, {0, 0, 1});
  EXPECT_LT(apply(m, eye).norm(), 1e-14);
  const Eigen::Vector3d t = apply(m, target);
  EXPECT_LT(t.head<2>().norm(), 1e-14);
  EXPECT_NEAR(t.z(), (target - eye).norm(), 1e-14);
  const Eigen::Vector3d above = apply(m, target + Eigen::Vector3d(0, 0, 0.1));
  EXPECT_LT(above.y(), 0);  // y points down
  EXPECT_NEAR(above.x(), 0, 1e-14);
  EXPECT_NEAR((m.topLeftCorner<3, 3>().determinant()), 1, 1e-14);
  const Eigen::Matrix4d down = look_at({0, 0, 2}, {0, 0, 0}, {0, 0, 1});
  EXPECT_NEAR((down.topLeftCorner<3, 3>().determinant()), 1, 1e-14);
  EXPECT_THROW(look_at(eye, eye, {0, 0, 1}), Error);
}

TEST(Rigid, RotationLogUndoesExpFromTinyToHalfTurn) {
  const Random rng(2);
  for (const double angle : {0.0, 1e-12, 1e-7, 1e-3, 0.00999, 0.01001, 1.0, 3.0, kPi - 1e-6}) {
    const Eigen::Vector3d axis = random_vector(rng, 7, 1).normalized();
    const Eigen::Matrix3d r = so3_exp(angle * axis);
    EXPECT_LT((r * r.transpose() - Eigen::Matrix3d::Identity()).norm(), 1e-13);
    EXPECT_LT((so3_log(r) - angle * axis).norm(), 1e-9 * std::max(angle, 1e-6)) << angle;
  }
}

TEST(Rigid, MotionLogUndoesExp) {
  const Random rng(3);
  for (uint64_t i = 0; i < 50; ++i) {
    Vector6d xi;
    xi.head<3>() = random_vector(rng, 2 * i, 2);
    xi.tail<3>() = random_vector(rng, 2 * i + 1, 1).normalized() * (3.0 * (i + 1) / 51);
    const Eigen::Matrix4d m = se3_exp(xi);
    EXPECT_LT((se3_log(m) - xi).norm(), 1e-11) << i;
    EXPECT_LT((m * rigid_inverse(m) - Eigen::Matrix4d::Identity()).norm(), 1e-13);
  }
}

TEST(Rigid, AMotionAlongItsAxisIsAScrew) {
  Vector6d xi;
  xi << 0, 0, 2, 0, 0, kPi / 2;
  const Eigen::Vector3d moved = apply(se3_exp(xi), {1, 0, 0});
  EXPECT_LT((moved - Eigen::Vector3d(0, 1, 2)).norm(), 1e-14);
}

TEST(Rigid, SimilarityIsRecoveredFromItsEffect) {
  const Random rng(4);
  const Eigen::Matrix3d r = so3_exp({0.3, -1.2, 2.0});
  const Eigen::Vector3d t(1, -2, 3);
  std::vector<Eigen::Vector3d> a, b;
  for (uint64_t i = 0; i < 20; ++i) {
    a.push_back(random_vector(rng, i, 1));
    b.push_back(2.5 * (r * a.back()) + t);
  }
  const Eigen::Matrix4d m = fit_similarity(a, b, true);
  EXPECT_LT((m - rigid(2.5 * r, t)).norm(), 1e-12);
  EXPECT_NEAR(similarity_scale(m), 2.5, 1e-12);
  EXPECT_LT((similarity_rotation(m) - r).norm(), 1e-12);
  EXPECT_NEAR(similarity_scale(fit_similarity(a, b, false)), 1, 1e-12);
}

TEST(Rigid, SimilarityNeverMirrors) {
  const Random rng(5);
  std::vector<Eigen::Vector3d> a, b;
  for (uint64_t i = 0; i < 20; ++i) {
    a.push_back(random_vector(rng, i, 1));
    b.push_back(Eigen::Vector3d(-a.back().x(), a.back().y(), a.back().z()));
  }
  EXPECT_GT((fit_similarity(a, b, false).topLeftCorner<3, 3>().determinant()), 0.99);
}

TEST(Rigid, SimilarityRefusesPointsOnALine) {
  std::vector<Eigen::Vector3d> line;
  for (int i = 0; i < 5; ++i) line.emplace_back(i, 2 * i, -i);
  EXPECT_THROW(fit_similarity(line, line, true), Error);
  EXPECT_THROW(fit_similarity({{0, 0, 0}, {1, 0, 0}}, {{0, 0, 0}, {1, 0, 0}}, true), Error);
}

}  // namespace
}  // namespace covary::geometry
