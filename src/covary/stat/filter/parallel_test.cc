#include "covary/stat/filter/parallel.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

TEST(ParallelInTime, EqualsTheSequentialPassAtAnyNumberOfThreads) {
  for (const int64_t steps : {1, 255, 256, 257, 1000, 1537}) {
    for (const bool by_step : {false, true}) {
      SCOPED_TRACE(steps);
      const LinearModel m = random_model(3, 2, 1, by_step ? steps : 0, 121);
      const at::Tensor y = series_with_holes(steps, 2, 122), u = normal_tensor({steps, 1}, 123);
      const Filtered exact = kalman_filter(m, y, u, {"joseph"});
      const Smoothed exact_s = rts_smoother(m, exact);
      set_threads(1);
      const ParallelFiltered one = parallel_kalman_filter(m, y, u);
      const Smoothed one_s = parallel_rts_smoother(m, one);
      set_threads(3);
      const ParallelFiltered three = parallel_kalman_filter(m, y, u);
      const Smoothed three_s = parallel_rts_smoother(m, three);
      set_threads(0);
      const auto near = [](const at::Tensor& a, const at::Tensor& b) {
        return (a - b).abs().max().item<double>() < 1e-9;
      };
      EXPECT_TRUE(near(one.mean, exact.mean));
      EXPECT_TRUE(near(one.cov, exact.cov));
      EXPECT_TRUE(near(one.predicted_mean, exact.predicted_mean));
      EXPECT_NEAR(one.log_likelihood, exact.log_likelihood, 1e-9 * double(steps));
      EXPECT_TRUE(near(one_s.mean, exact_s.mean));
      EXPECT_TRUE(near(one_s.cov, exact_s.cov));
      EXPECT_TRUE(at::equal(one.mean, three.mean));
      EXPECT_TRUE(at::equal(one.cov, three.cov));
      EXPECT_EQ(one.log_likelihood, three.log_likelihood);
      EXPECT_TRUE(at::equal(one_s.mean, three_s.mean));
      EXPECT_TRUE(at::equal(one_s.cov, three_s.cov));
    }
  }
}

TEST(ParallelInTime, RefusesWhatItCannotFactorise) {
  LinearModel m = random_model(2, 1, 0, 0, 131);
  m.diffuse = at::eye(2, at::kDouble);
  EXPECT_THROW(parallel_kalman_filter(m, at::ones({600, 1}, at::kDouble)), Error);
  m.diffuse = at::Tensor();
  m.q.zero_();
  m.r.zero_();
  EXPECT_THROW(parallel_kalman_filter(m, at::ones({600, 1}, at::kDouble)), Error);
  m = random_model(2, 1, 0, 0, 132);
  EXPECT_EQ(parallel_kalman_filter(m, at::ones({0, 1}, at::kDouble)).log_likelihood, 0);
}

}  // namespace
}  // namespace covary::filter
