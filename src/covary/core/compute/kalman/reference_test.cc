#include <cmath>
#include <limits>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/compute/kalman/kalman.h"

namespace covary::compute {
namespace {

TEST(KalmanReference, LocalLevelByHand) {
  // x0 ~ N(0, 1), R = 1, Q = 1: gains 1/2 and 3/5; then a hole.
  const std::vector<double> one{1}, zero{0};
  const std::vector<double> y{2, 3, std::numeric_limits<double>::quiet_NaN()};
  KalmanBatch b{.series = 1, .steps = 3, .states = 1, .observations = 1};
  b.f = b.q = b.h = b.r = b.cov0 = {one.data()};
  b.mean0 = {zero.data()};
  b.y = y.data();
  double l, mean[3], cov[3];
  int64_t failed;
  kalman_batch_reference(b, {&l, mean, cov, &failed});
  EXPECT_DOUBLE_EQ(mean[0], 1);
  EXPECT_DOUBLE_EQ(cov[0], 0.5);
  EXPECT_DOUBLE_EQ(mean[1], 1 + 0.6 * 2);
  EXPECT_DOUBLE_EQ(cov[1], 0.6);
  EXPECT_DOUBLE_EQ(mean[2], mean[1]);
  EXPECT_DOUBLE_EQ(cov[2], 1.6);
  EXPECT_NEAR(l, -std::log(2 * std::numbers::pi) - 0.5 * std::log(2 * 2.5) - 0.5 * (2 + 4 / 2.5),
              1e-15);
  EXPECT_EQ(failed, -1);
}

TEST(KalmanReference, TwoCorrelatedObservationsByTheirGaussian) {
  // One step: y ~ N(0, P + R) with H the identity.
  const std::vector<double> eye{1, 0, 0, 1}, zero{0, 0}, p{2, 0.5, 0.5, 1}, r{1, 0.3, 0.3, 2};
  const std::vector<double> y{1, -1};
  KalmanBatch b{.series = 1, .steps = 1, .states = 2, .observations = 2};
  b.f = b.h = {eye.data()};
  b.q = {eye.data()};
  b.r = {r.data()};
  b.cov0 = {p.data()};
  b.mean0 = {zero.data()};
  b.y = y.data();
  double l, mean[2];
  kalman_batch_reference(b, {&l, mean, nullptr, nullptr});
  const double a = 3, c = 0.8, d = 3, determinant = a * d - c * c;
  // S^-1 y = [d + c, -(c + a)] / det
  const double u = (d + c) / determinant, w = -(c + a) / determinant;
  EXPECT_NEAR(mean[0], 2 * u + 0.5 * w, 1e-15);
  EXPECT_NEAR(mean[1], 0.5 * u + w, 1e-15);
  EXPECT_NEAR(l, -std::log(2 * std::numbers::pi) - 0.5 * std::log(determinant) - 0.5 * (u - w),
              1e-15);
}

}  // namespace
}  // namespace covary::compute
