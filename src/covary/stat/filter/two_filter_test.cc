#include "covary/stat/filter/two_filter.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

TEST(TwoFilterSmoother, EqualsConditioningOfTheStackedSystem) {
  for (const int64_t by_step : {0, 20}) {
    LinearModel m = random_model(3, 2, 1, by_step, 341);
    const at::Tensor y = series_with_holes(20, 2, 342), u = normal_tensor({20, 1}, 343);
    const Smoothed s = two_filter_smoother(m, y, u);
    const DenseOracle oracle(m, y, u);
    const auto all = oracle.given(19);
    for (int64_t t = 0; t < 20; ++t) {
      EXPECT_LT(worst(vector_at(s.mean, t), oracle.mean_at(all, t)), 1e-9);
      EXPECT_LT(worst(matrix_at(s.cov, t), oracle.cov_at(all, t, t)), 1e-9);
    }
  }
}

TEST(TwoFilterSmoother, SingularFAndQAreFine) {
  LinearModel m = random_model(3, 1, 0, 0, 344);
  m.f[2].zero_();
  m.q[0].zero_();
  m.q.select(1, 0).zero_();
  m.cov0.zero_();
  const at::Tensor y = series_with_holes(15, 1, 345);
  const Smoothed s = two_filter_smoother(m, y), exact = kalman_smoother(m, y);
  EXPECT_LT((s.mean - exact.mean).abs().max().item<double>(), 1e-9);
  EXPECT_LT((s.cov - exact.cov).abs().max().item<double>(), 1e-9);
  m.r.zero_();
  EXPECT_THROW(two_filter_smoother(m, y), Error);
}

}  // namespace
}  // namespace covary::filter
