#include "covary/stat/filter/fading_memory.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

double largest(const at::Tensor& t) { return t.abs().max().item<double>(); }

TEST(FadingMemory, FactorOneIsTheKalmanFilter) {
  const LinearModel m = random_model(3, 2, 1, 15, 311);
  const at::Tensor y = series_with_holes(15, 2, 312), u = normal_tensor({15, 1}, 313);
  const Filtered f = fading_memory_filter(m, y, 1, u), exact = kalman_filter(m, y, u);
  EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 1e-10);
  EXPECT_LT(largest(f.mean - exact.mean), 1e-10);
  EXPECT_LT(largest(f.cov - exact.cov), 1e-10);
  EXPECT_LT(largest(f.next_mean - exact.next_mean), 1e-10);
  EXPECT_LT(largest(f.next_cov - exact.next_cov), 1e-10);
}

// P_t = a^(2t) P~_t where P~ is the filter of R_t a^(-2t), Q_t a^(-2(t+1)).
TEST(FadingMemory, IsAKalmanFilterOfShrinkingNoise) {
  const LinearModel m = random_model(2, 1, 0, 0, 314);
  const at::Tensor y = series_with_holes(20, 1, 315);
  const double a = 1.1;
  LinearModel shrinking = m;
  const at::Tensor power = at::pow(a, -2 * at::arange(20, at::kDouble)).reshape({20, 1, 1});
  shrinking.r = m.r * power;
  shrinking.q = m.q * power / (a * a);
  const Filtered f = fading_memory_filter(m, y, a), exact = kalman_filter(shrinking, y);
  EXPECT_LT(largest(f.mean - exact.mean), 1e-10);
  EXPECT_LT(largest(f.cov - exact.cov / power), 1e-10);
  EXPECT_THROW(fading_memory_filter(m, y, 0.9), Error);
}

}  // namespace
}  // namespace covary::filter
