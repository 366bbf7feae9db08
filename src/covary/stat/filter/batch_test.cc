#include "covary/stat/filter/batch.h"

#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"

namespace covary::filter {
namespace {

TEST(KalmanBatch, EqualsTheFilterSeriesBySeries) {
  for (const int64_t by_step : {0, 30}) {
    const LinearModel m = random_model(3, 2, 0, by_step, 151);
    const int64_t series = 21;
    std::vector<at::Tensor> rows, noises;
    for (int64_t i = 0; i < series; ++i) {
      rows.push_back(series_with_holes(30, 2, uint64_t(152 + i)));
      const at::Tensor a = normal_tensor({2, 2}, uint64_t(252 + i));
      noises.push_back(at::matmul(a, a.t()) + 0.1 * at::eye(2, at::kDouble));
    }
    const at::Tensor y = at::stack(rows), r = at::stack(noises);
    const BatchFiltered shared = kalman_filter_batch(m, y, {}, true, true);
    const BatchFiltered own = kalman_filter_batch(m, y, {.r = r}, true, true);
    for (int64_t i = 0; i < series; ++i) {
      const auto check = [&](const LinearModel& one, const BatchFiltered& f) {
        const Filtered exact = kalman_filter(one, y[i]);
        EXPECT_NEAR(f.log_likelihood[i].item<double>(), exact.log_likelihood, 1e-10);
        EXPECT_LT((f.mean[i] - exact.mean).abs().max().item<double>(), 1e-11);
        EXPECT_LT((f.cov[i] - exact.cov).abs().max().item<double>(), 1e-11);
      };
      check(m, shared);
      LinearModel one = m;
      one.r = r[i];
      check(one, own);
    }
  }
}

TEST(KalmanBatch, WhatIsWrongIsNamed) {
  LinearModel m = random_model(2, 1, 0, 0, 161);
  const at::Tensor y = at::zeros({3, 5, 1}, at::kDouble);
  EXPECT_THROW(kalman_filter_batch(m, y[0]), Error);
  EXPECT_THROW(kalman_filter_batch(m, y, {.r = at::ones({2, 1, 1}, at::kDouble)}), Error);
  at::Tensor infinite = y.clone();
  infinite[2][3][0] = -std::numeric_limits<double>::infinity();
  for (const bool own : {false, true}) {
    SeriesMatrices matrices;
    if (own) matrices.r = at::ones({3, 1, 1}, at::kDouble);
    try {
      kalman_filter_batch(m, infinite, matrices);
      FAIL();
    } catch (const Error& e) {
      EXPECT_EQ(e.where(), "y of series 2");
    }
  }
  m.q.zero_();
  m.cov0.zero_();
  at::Tensor r = at::ones({3, 1, 1}, at::kDouble);
  r[1] = 0.0;
  try {
    kalman_filter_batch(m, y, {.r = r});
    FAIL();
  } catch (const Error& e) {
    EXPECT_EQ(e.where(), "series 1, step 0");
  }
}

}  // namespace
}  // namespace covary::filter
