// Failures that users of other filter libraries reported, as tests of this one.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/nonlinear.h"

namespace covary::filter {
namespace {

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

double least_eigenvalue(const at::Tensor& cov) {
  double least = std::numeric_limits<double>::infinity();
  for (int64_t t = 0; t < cov.size(0); ++t) {
    const Eigen::SelfAdjointEigenSolver<MatrixXd> e(matrix_at(cov, t), Eigen::EigenvaluesOnly);
    least = std::min(least, e.eigenvalues()(0) / std::max(e.eigenvalues().maxCoeff(), 1e-300));
  }
  return least;
}

// FilterPy 218: the covariance of a UKF stops being positive definite, and its Cholesky factor
// throws: spread alpha 1e-3, precise sensors, states of different scales, thousands of steps.
TEST(Reported, AUkfWithTinySpreadAndPreciseSensorsKeepsItsCovariance) {
  NonlinearModel m;
  m.states = 4;
  m.observations = 2;
  const double dt = 0.1;
  m.f = [dt](auto x, int64_t, auto out) {
    out[0] = x[0] + dt * x[2] * std::cos(x[3]);
    out[1] = x[1] + dt * x[2] * std::sin(x[3]);
    out[2] = x[2];
    out[3] = x[3] + 0.02;
  };
  m.h = [](auto x, int64_t, auto out) {
    out[0] = x[0];
    out[1] = x[1];
  };
  m.q = at::diag(at::tensor({1e-10, 1e-10, 1e-6, 1e-8}, at::kDouble));
  m.r = 1e-10 * at::eye(2, at::kDouble);
  m.mean0 = at::tensor({1e4, -1e4, 20.0, 0.3}, at::kDouble);
  m.cov0 = at::diag(at::tensor({1e4, 1e4, 100.0, 1.0}, at::kDouble));
  const int64_t steps = 3000;
  at::Tensor y = at::empty({steps, 2}, at::kDouble);
  double x[4] = {1e4 + 30, -1e4 - 20, 23, 0.1};
  const at::Tensor noise = normal_tensor({steps, 2}, 391);
  for (int64_t t = 0; t < steps; ++t) {
    for (int64_t i = 0; i < 2; ++i) y[t][i] = x[i] + 1e-5 * noise[t][i].item<double>();
    x[0] += dt * x[2] * std::cos(x[3]);
    x[1] += dt * x[2] * std::sin(x[3]);
    x[3] += 0.02;
  }
  for (const double alpha : {1.0, 1e-3}) {
    const NonlinearFiltered f =
        nonlinear_filter(m, y, {.method = "ukf", .alpha = alpha, .beta = 2, .kappa = 0});
    EXPECT_TRUE(std::isfinite(f.log_likelihood));
    EXPECT_GE(least_eigenvalue(f.cov), -1e-12) << alpha;
    EXPECT_NEAR(f.mean[steps - 1][2].item<double>(), 23, 0.1);
  }
}

// FilterPy 172: EKF and UKF differ on a linear problem, because sigma points are not drawn anew
// after the noise of the step was added.
TEST(Reported, EkfAndUkfAgreeOnALinearProblem) {
  LinearModel m = random_model(4, 2, 0, 0, 392);
  m.q = 10 * m.q;  // the larger, the more the missing noise shows
  const at::Tensor y = series_with_holes(50, 2, 393);
  const NonlinearModel same = nonlinear_of(m);
  const NonlinearFiltered e = nonlinear_filter(same, y, {.method = "ekf"}),
                          u = nonlinear_filter(same, y, {.method = "ukf"});
  EXPECT_LT(largest(e.mean - u.mean), 1e-10);
  EXPECT_LT(largest(e.cov - u.cov), 1e-10);
  EXPECT_NEAR(e.log_likelihood, u.log_likelihood, 1e-9);
}

// FilterPy 287: the RTS smoother ignores the Q of each step that it is given.
TEST(Reported, TheSmootherTakesTheNoiseOfEachStep) {
  LinearModel m = random_model(2, 1, 0, 0, 394);
  const at::Tensor scale = at::pow(10.0, at::linspace(-2, 2, 20, at::kDouble)).reshape({20, 1, 1});
  const at::Tensor constant = m.q;
  m.q = constant * scale;
  const at::Tensor y = series_with_holes(20, 1, 395);
  const Filtered f = kalman_filter(m, y);
  const Smoothed s = rts_smoother(m, f);
  const DenseOracle oracle(m, y);
  const auto all = oracle.given(19);
  for (int64_t t = 0; t < 20; ++t) {
    EXPECT_LT(worst(vector_at(s.mean, t), oracle.mean_at(all, t)), 1e-9);
    EXPECT_LT(worst(matrix_at(s.cov, t), oracle.cov_at(all, t, t)), 1e-9);
  }
  // The same filter's result with one Q for all steps is another answer: the test can fail.
  LinearModel wrong = m;
  wrong.q = constant;
  EXPECT_GT(largest(rts_smoother(wrong, f).cov - s.cov), 1e-3);
}

// FilterPy 214: R = 0 is refused, or the inverse of the innovation's covariance fails.
TEST(Reported, ObservationsWithoutNoiseAreTaken) {
  LinearModel m = random_model(3, 2, 0, 0, 396);
  m.r.zero_();
  const at::Tensor y = series_with_holes(20, 2, 397);
  const DenseOracle oracle(m, y);
  for (const char* form : {"square-root", "joseph", "sequential"}) {
    SCOPED_TRACE(form);
    const Filtered f = kalman_filter(m, y, {}, {.form = form});
    EXPECT_NEAR(f.log_likelihood, oracle.given(19).log_likelihood, 1e-7);
    for (int64_t t = 0; t < 20; ++t) {
      const VectorXd fitted = matrix_of(m.h) * vector_at(f.mean, t);
      for (int64_t i = 0; i < 2; ++i) {
        const double seen = y[t][i].item<double>();
        if (!std::isnan(seen)) {
          EXPECT_NEAR(fitted(i), seen, 1e-9);
        }
      }
    }
  }
}

}  // namespace
}  // namespace covary::filter
