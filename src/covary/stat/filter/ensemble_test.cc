#include "covary/stat/filter/ensemble.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

TEST(Ensemble, TendsToTheKalmanFilter) {
  const LinearModel m = random_model(2, 1, 0, 0, 351);
  const at::Tensor y = series_with_holes(10, 1, 352);
  const Filtered exact = kalman_filter(m, y);
  for (const std::string update : {"transform", "perturbed"}) {
    SCOPED_TRACE(update);
    const int64_t count = 4000;
    const EnsembleFiltered f =
        ensemble_filter(nonlinear_of(m), y, {.members = count, .update = update});
    for (int64_t t = 0; t < 10; ++t) {
      for (int64_t i = 0; i < 2; ++i) {
        const double v = exact.cov[t][i][i].item<double>();
        EXPECT_NEAR(f.mean[t][i].item<double>(), exact.mean[t][i].item<double>(),
                    6 * std::sqrt(exact.predicted_cov[t][i][i].item<double>() / double(count)));
        EXPECT_NEAR(f.cov[t][i][i].item<double>() / v, 1, 6 * std::sqrt(2.0 / double(count)));
      }
    }
    EXPECT_NEAR(f.log_likelihood, exact.log_likelihood, 40 / std::sqrt(double(count)));
  }
}

// One update of `transform` is the Kalman update of the ensemble's own moments, exactly.
TEST(Ensemble, ATransformIsExactForItsMembers) {
  const LinearModel m = random_model(3, 2, 0, 0, 353);
  const at::Tensor none = at::full({1, 2}, std::nan(""), at::kDouble),
                   y = at::tensor({0.4, -1.2}, at::kDouble).reshape({1, 2});
  const EnsembleOptions o{.members = 30};
  const EnsembleFiltered prior = ensemble_filter(nonlinear_of(m), none, o),
                         after = ensemble_filter(nonlinear_of(m), y, o);
  LinearModel own = m;
  own.mean0 = prior.mean[0];
  own.cov0 = prior.cov[0];
  const Filtered exact = kalman_filter(own, y);
  EXPECT_LT((after.mean[0] - exact.mean[0]).abs().max().item<double>(), 1e-10);
  EXPECT_LT((after.cov[0] - exact.cov[0]).abs().max().item<double>(), 1e-10);
  EXPECT_NEAR(after.log_likelihood, exact.log_likelihood, 1e-10);
}

TEST(Ensemble, RefusesBadOptions) {
  const NonlinearModel m = nonlinear_of(random_model(2, 1, 0, 0, 354));
  const at::Tensor y = at::zeros({2, 1}, at::kDouble);
  EXPECT_THROW(ensemble_filter(m, y, {.members = 1}), Error);
  EXPECT_THROW(ensemble_filter(m, y, {.inflation = 0.5}), Error);
  EXPECT_THROW(ensemble_filter(m, y, {.update = "kalman"}), Error);
}

}  // namespace
}  // namespace covary::filter
