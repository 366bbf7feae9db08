#include "covary/stat/filter/nonlinear.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/filter/dual.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

class LinearCase : public testing::TestWithParam<NonlinearOptions> {};

TEST_P(LinearCase, IsTheKalmanFilter) {
  for (const int64_t by_step : {0, 20}) {
    SCOPED_TRACE(by_step);
    const LinearModel m = random_model(3, 2, 1, by_step, 101);
    const at::Tensor y = series_with_holes(20, 2, 102), u = normal_tensor({20, 1}, 103);
    const NonlinearModel same = nonlinear_of(m, u);
    const Filtered exact = kalman_filter(m, y, u);
    const NonlinearFiltered f = nonlinear_filter(same, y, GetParam());
    EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 1e-9);
    const Smoothed s = nonlinear_smoother(same, f), exact_s = rts_smoother(m, exact);
    const auto near = [](const at::Tensor& a, const at::Tensor& b) {
      return (a - b).abs().max().item<double>() < 1e-10;
    };
    EXPECT_TRUE(near(f.mean, exact.mean));
    EXPECT_TRUE(near(f.cov, exact.cov));
    EXPECT_TRUE(near(f.predicted_mean, exact.predicted_mean));
    EXPECT_TRUE(near(f.predicted_cov, exact.predicted_cov));
    EXPECT_TRUE(near(f.nis, exact.nis));
    EXPECT_TRUE(near(s.mean, exact_s.mean));
    EXPECT_TRUE(near(s.cov, exact_s.cov));
    EXPECT_TRUE(near(s.lag_cov, exact_s.lag_cov));
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods, LinearCase,
    testing::Values(NonlinearOptions{.method = "ekf"},
                    NonlinearOptions{.method = "ekf", .iterations = 4},
                    NonlinearOptions{.method = "ukf"},
                    NonlinearOptions{.method = "ukf", .alpha = 0.1, .beta = 2, .kappa = 1},
                    NonlinearOptions{.method = "ukf", .sigma = "julier", .kappa = 0.5},
                    NonlinearOptions{.method = "ukf", .sigma = "simplex"},
                    NonlinearOptions{.method = "ckf"}, NonlinearOptions{.method = "ghf"},
                    NonlinearOptions{.method = "ghf", .points = 5}));

// Five nodes integrate polynomials up to degree 9: the mean of x^4 and the variance of x^2 + x^4
// (degree 8) are exact.
TEST(Nonlinear, GaussHermiteIntegratesPolynomialsExactly) {
  NonlinearModel m;
  m.states = m.observations = 1;
  m.f = [](auto x, int64_t, auto out) { out[0] = x[0] * x[0] + std::pow(x[0], 4); };
  m.h = [](auto x, int64_t, auto out) { out[0] = x[0]; };
  m.q = at::zeros({1, 1}, at::kDouble);
  m.r = at::ones({1, 1}, at::kDouble);
  m.mean0 = at::zeros({1}, at::kDouble);
  m.cov0 = at::ones({1, 1}, at::kDouble);
  const at::Tensor y = at::full({2, 1}, std::nan(""), at::kDouble);
  const NonlinearFiltered f = nonlinear_filter(m, y, {.method = "ghf", .points = 5});
  // E x^2 = 1, E x^4 = 3; E (x^2 + x^4)^2 = 3 + 2 15 + 105.
  EXPECT_NEAR(f.predicted_mean[1][0].item<double>(), 4, 1e-11);
  EXPECT_NEAR(f.predicted_cov[1][0][0].item<double>(), 138 - 16, 1e-9);
  EXPECT_THROW(nonlinear_filter(nonlinear_of(random_model(9, 1, 0, 0, 5)),
                                at::zeros({2, 1}, at::kDouble), {.method = "ghf", .points = 5}),
               Error);
}

// Range and bearing of a point that moves on a line.
const auto kPolar = [](const auto* x, int64_t, auto* y) {
  using std::atan2;
  using std::sqrt;
  y[0] = sqrt(x[0] * x[0] + x[1] * x[1]);
  y[1] = atan2(x[1], x[0]);
};
const auto kDrive = [](const auto* x, int64_t, auto* y) {
  y[0] = x[0] + x[2];
  y[1] = x[1] + x[3];
  y[2] = x[2];
  y[3] = x[3];
};

NonlinearModel tracking() {
  NonlinearModel m;
  m.states = 4;
  m.observations = 2;
  m.f = function_of(kDrive);
  m.h = function_of(kPolar);
  m.f_jacobian = jacobian_of(kDrive, 4);
  m.h_jacobian = jacobian_of(kPolar, 2);
  m.q = at::diag(at::tensor({1e-4, 1e-4, 1e-4, 1e-4}, at::kDouble));
  m.r = at::diag(at::tensor({0.01, 1e-4}, at::kDouble));
  m.mean0 = at::tensor({-10.0, 2.0, 0.0, -0.1}, at::kDouble);
  m.cov0 = at::diag(at::tensor({1.0, 1.0, 0.01, 0.01}, at::kDouble));
  m.observation_residual = [](std::span<const double> a, std::span<const double> b,
                              std::span<double> out) {
    out[0] = a[0] - b[0];
    out[1] = std::remainder(a[1] - b[1], 2 * std::numbers::pi);
  };
  m.observation_mean = [](std::span<const double> points, std::span<const double> weights,
                          std::span<double> out) {
    double range = 0, c = 0, s = 0;
    for (size_t i = 0; i < weights.size(); ++i) {
      range += weights[i] * points[2 * i];
      c += weights[i] * std::cos(points[2 * i + 1]);
      s += weights[i] * std::sin(points[2 * i + 1]);
    }
    out[0] = range;
    out[1] = std::atan2(s, c);
  };
  return m;
}

TEST(Nonlinear, DualNumbersGiveTheJacobian) {
  const NonlinearModel m = tracking();
  const std::vector<double> x{3, 4, 0, 0};
  std::vector<double> j(8);
  m.h_jacobian(x, 0, j);
  EXPECT_DOUBLE_EQ(j[0], 0.6);
  EXPECT_DOUBLE_EQ(j[1], 0.8);
  EXPECT_DOUBLE_EQ(j[4], -4.0 / 25);
  EXPECT_DOUBLE_EQ(j[5], 3.0 / 25);
  EXPECT_EQ(j[2], 0);
}

TEST(Nonlinear, FollowsABearingAcrossTheCut) {
  // The target crosses y = 0 at x = -10, where the bearing jumps from pi to -pi.
  const NonlinearModel m = tracking();
  const Random random(7);
  const int64_t steps = 40;
  at::Tensor y = at::empty({steps, 2}, at::kDouble);
  MatrixXd truth(2, steps);
  for (int64_t t = 0; t < steps; ++t) {
    truth(0, t) = -10;
    truth(1, t) = 2 - 0.1 * double(t);
    y[t][0] = std::hypot(truth(0, t), truth(1, t)) + 0.1 * random.normal(uint64_t(2 * t));
    y[t][1] = std::remainder(
        std::atan2(truth(1, t), truth(0, t)) + 0.01 * random.normal(uint64_t(2 * t + 1)),
        2 * std::numbers::pi);
  }
  for (const NonlinearOptions& options :
       {NonlinearOptions{.method = "ekf"}, NonlinearOptions{.method = "ekf", .iterations = 3},
        NonlinearOptions{.method = "ukf"}, NonlinearOptions{.method = "ckf"}}) {
    SCOPED_TRACE(options.method);
    const NonlinearFiltered f = nonlinear_filter(m, y, options);
    const Smoothed s = nonlinear_smoother(m, f);
    double filtered = 0, smoothed = 0;
    for (int64_t t = 5; t < steps; ++t) {
      filtered = std::max(filtered, (vector_at(f.mean, t).head(2) - truth.col(t)).norm());
    }
    for (int64_t t = 0; t < steps; ++t) {
      smoothed = std::max(smoothed, (vector_at(s.mean, t).head(2) - truth.col(t)).norm());
    }
    EXPECT_LT(filtered, 0.3);
    EXPECT_LT(smoothed, 0.2);
    EXPECT_LT(f.nis.mean().item<double>(), 4);
  }
}

TEST(Nonlinear, SemiDefiniteCovariancesAreFine) {
  LinearModel m = random_model(3, 1, 0, 0, 111);
  m.q.zero_();
  m.cov0 = at::diag(at::tensor({1.0, 0.0, 2.0}, at::kDouble));
  const at::Tensor y = series_with_holes(20, 1, 112);
  const Filtered exact = kalman_filter(m, y);
  for (const std::string method : {"ukf", "ckf"}) {
    const NonlinearFiltered f = nonlinear_filter(nonlinear_of(m), y, {.method = method});
    EXPECT_LT((f.mean - exact.mean).abs().max().item<double>(), 1e-8);
    EXPECT_TRUE(at::isfinite(f.cov).all().item<bool>());
  }
}

TEST(Nonlinear, WhatIsWrongIsNamed) {
  NonlinearModel m = tracking();
  const at::Tensor y = at::ones({3, 2}, at::kDouble);
  m.h_jacobian = nullptr;
  EXPECT_THROW(nonlinear_filter(m, y, {.method = "ekf"}), Error);
  EXPECT_THROW(nonlinear_filter(m, y, {.method = "ukf", .sigma = "julier", .kappa = -4}), Error);
  m.f = [](std::span<const double>, int64_t, std::span<double> out) { out[0] = std::nan(""); };
  try {
    nonlinear_filter(m, y);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "f at step 0");
  }
}

}  // namespace
}  // namespace covary::filter
