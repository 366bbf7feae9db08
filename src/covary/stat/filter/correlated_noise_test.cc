#include "covary/stat/filter/correlated_noise.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

// The same process with the observation's noise as a state, so that y is seen exactly:
// (x, v)' = [F, C R^-1; 0, 0] (x, v) + (w', v'), Var w' = Q - C R^-1 C'.
LinearModel with_noise_as_state(const LinearModel& m, const at::Tensor& cross) {
  const int64_t n = m.states(), p = m.observations();
  const at::Tensor gain = at::matmul(cross, at::linalg_inv(m.r));
  LinearModel a;
  a.f = at::zeros({n + p, n + p}, at::kDouble);
  a.f.slice(0, 0, n).slice(1, 0, n) = m.f;
  a.f.slice(0, 0, n).slice(1, n) = gain;
  a.q = at::zeros_like(a.f);
  a.q.slice(0, 0, n).slice(1, 0, n) = m.q - at::matmul(gain, cross.t());
  a.q.slice(0, n).slice(1, n) = m.r;
  a.h = at::cat({m.h, at::eye(p, at::kDouble)}, 1);
  a.r = at::zeros({p, p}, at::kDouble);
  a.mean0 = at::cat({m.mean0, at::zeros({p}, at::kDouble)});
  a.cov0 = at::zeros_like(a.f);
  a.cov0.slice(0, 0, n).slice(1, 0, n) = m.cov0;
  a.cov0.slice(0, n).slice(1, n) = m.r;
  return a;
}

TEST(CorrelatedNoise, EqualsTheModelWithTheNoiseAsState) {
  const LinearModel m = random_model(3, 2, 0, 0, 301);
  const at::Tensor cross = 0.1 * normal_tensor({3, 2}, 302);
  const at::Tensor y = series_with_holes(25, 2, 303);
  const Uncorrelated same = uncorrelated(m, cross, y);
  const Filtered f = kalman_filter(same.model, y, same.u);
  const LinearModel wide = with_noise_as_state(m, cross);
  const Filtered exact = kalman_filter(wide, y);
  EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 1e-9);
  const auto largest = [](const at::Tensor& t) { return t.abs().max().item<double>(); };
  EXPECT_LT(largest(f.mean - exact.mean.slice(1, 0, 3)), 1e-9);
  EXPECT_LT(largest(f.cov - exact.cov.slice(1, 0, 3).slice(2, 0, 3)), 1e-9);
  const Smoothed s = kalman_smoother(same.model, y, same.u), all = kalman_smoother(wide, y);
  EXPECT_LT(largest(s.mean - all.mean.slice(1, 0, 3)), 1e-8);
  // It matters.
  EXPECT_GT(std::abs(f.log_likelihood - kalman_log_likelihood(m, y)), 1e-3);
}

TEST(CorrelatedNoise, NoCorrelationChangesNothing) {
  const LinearModel m = random_model(2, 1, 1, 12, 305);
  const at::Tensor y = series_with_holes(12, 1, 306), u = normal_tensor({12, 1}, 307);
  const Uncorrelated same = uncorrelated(m, at::zeros({2, 1}, at::kDouble), y, u);
  EXPECT_NEAR(kalman_log_likelihood(same.model, y, same.u), kalman_log_likelihood(m, y, u), 1e-12);
}

TEST(CorrelatedNoise, MoreCorrelationThanThereCanBeIsNamed) {
  const LinearModel m = random_model(2, 1, 0, 0, 308);
  const at::Tensor y = at::zeros({3, 1}, at::kDouble);
  try {
    uncorrelated(m, at::full({2, 1}, 100.0, at::kDouble), y);
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "cross");
  }
  EXPECT_THROW(uncorrelated(m, at::zeros({1, 2}, at::kDouble), y), Error);
}

}  // namespace
}  // namespace covary::filter
