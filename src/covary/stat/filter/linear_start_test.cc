#include "covary/stat/filter/linear_start.h"

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"
#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/simulate.h"

namespace covary::filter {
namespace {

TEST(LinearStart, AFitFromItExplainsASeriesAsWellAsTheTruth) {
  struct Case {
    int64_t states, columns;
  };
  for (const Case c : {Case{1, 2}, Case{2, 3}, Case{2, 1}}) {
    SCOPED_TRACE(c.states * 10 + c.columns);
    LinearModel truth = random_model(c.states, c.columns, 0, 0, 421);
    const at::Tensor y = simulate(truth, 200, 5).y;
    const LinearFit fit = fit_linear(y, c.states, 150);
    EXPECT_GT(fit.log_likelihood, kalman_log_likelihood(truth, y) - 3);
  }
}

TEST(LinearStart, ShortAndEmptySeriesAreNamed) {
  EXPECT_THROW(linear_start(normal_tensor({5, 1}, 1), 4), Error);
  EXPECT_THROW(linear_start(at::zeros({50, 2}, at::kDouble), 2), Error);
  EXPECT_THROW(linear_start(normal_tensor({50, 1}, 1), 0), Error);
}

}  // namespace
}  // namespace covary::filter
