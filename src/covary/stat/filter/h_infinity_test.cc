#include "covary/stat/filter/h_infinity.h"

#include <cmath>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

TEST(HInfinity, WithoutABoundIsTheKalmanFilter) {
  const LinearModel m = random_model(3, 2, 1, 12, 331);
  const at::Tensor y = series_with_holes(12, 2, 332), u = normal_tensor({12, 1}, 333);
  const HInfinityFiltered f = h_infinity_filter(m, y, {}, u);
  const Filtered exact = kalman_filter(m, y, u);
  const auto largest = [](const at::Tensor& t) { return t.abs().max().item<double>(); };
  EXPECT_LT(largest(f.predicted_mean - exact.predicted_mean), 1e-10);
  EXPECT_LT(largest(f.predicted_cov - exact.predicted_cov), 1e-10);
  EXPECT_LT(largest(f.mean - exact.mean), 1e-10);
  EXPECT_LT(largest(f.next_mean - exact.next_mean), 1e-10);
}

// The promise itself: for disturbances of every kind, sum |x - estimate|^2 stays below 1 / theta
// times (start error)' cov0^-1 (start error) + sum w'Q^-1 w + v'R^-1 v, estimates before y_t.
TEST(HInfinity, TheWorstCaseStaysBelowItsBound) {
  const LinearModel m = random_model(2, 1, 0, 0, 334);
  const int64_t steps = 15;
  const double limit = h_infinity_limit(m, steps), theta = 0.9 * limit;
  EXPECT_GT(limit, 0);
  const MatrixXd f = matrix_of(m.f), h = matrix_of(m.h), p0 = matrix_of(m.cov0).inverse(),
                 q = matrix_of(m.q).inverse(), r = matrix_of(m.r).inverse();
  // The error's energy is a quadratic form of all disturbances; its largest ratio to theirs is the
  // top eigenvalue, found by power iteration on the map from disturbances to weighted errors.
  const int64_t unknowns = 2 + 3 * steps;
  const MatrixXd l0 = matrix_of(m.cov0).llt().matrixL(), lq = matrix_of(m.q).llt().matrixL(),
                 lr = matrix_of(m.r).llt().matrixL();
  const auto errors_of = [&](const VectorXd& z, double bound) {
    VectorXd x = vector_of(m.mean0) + l0 * z.head(2);
    at::Tensor y = at::empty({steps, 1}, at::kDouble);
    std::vector<VectorXd> states;
    for (int64_t t = 0; t < steps; ++t) {
      states.push_back(x);
      put(y, t, VectorXd(h * x + lr * z.segment(2 + 3 * t, 1)));
      x = f * x + lq * z.segment(3 + 3 * t, 2);
    }
    const HInfinityFiltered e = h_infinity_filter(m, y, {.theta = bound});
    VectorXd out(2 * steps);
    for (int64_t t = 0; t < steps; ++t)
      out.segment(2 * t, 2) = states[size_t(t)] - vector_at(e.predicted_mean, t);
    return out;
  };
  const auto worst_ratio = [&](double bound) {
    MatrixXd map(2 * steps, unknowns);
    for (int64_t k = 0; k < unknowns; ++k)
      map.col(k) = errors_of(VectorXd::Unit(unknowns, k), bound);
    return map.bdcSvd().singularValues()(0) * map.bdcSvd().singularValues()(0);
  };
  EXPECT_LT(worst_ratio(theta), 1 / theta);
  // The Kalman filter's own worst case is worse than the bound, or the bound would be empty.
  EXPECT_GT(worst_ratio(0), worst_ratio(theta));
  try {
    h_infinity_filter(m, at::zeros({steps, 1}, at::kDouble), {.theta = 1.01 * limit});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where().substr(0, 4), "step");
  }
  EXPECT_THROW(h_infinity_filter(m, at::zeros({1, 1}, at::kDouble), {.theta = -1}), Error);
}

}  // namespace
}  // namespace covary::filter
