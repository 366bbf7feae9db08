#include "covary/stat/filter/gaussian_sum.h"

#include <cmath>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_test_data.h"

namespace covary::filter {
namespace {

// p(y) of a mixture start is the mixture of the components' likelihoods; so are the states.
TEST(GaussianSum, IsExactForLinearModels) {
  LinearModel m = random_model(2, 1, 0, 0, 361);
  const at::Tensor y = series_with_holes(12, 1, 362);
  const std::vector<GaussianStart> starts{
      {.weight = 0.3, .mean0 = m.mean0 + 3, .cov0 = m.cov0},
      {.weight = 0.7, .mean0 = m.mean0 - 2, .cov0 = 0.5 * m.cov0}};
  const GaussianSumFiltered f = gaussian_sum_filter(nonlinear_of(m), starts, y, {.method = "ckf"});
  double likelihood = 0;
  at::Tensor mean = at::zeros({2}, at::kDouble);
  for (const GaussianStart& s : starts) {
    m.mean0 = s.mean0;
    m.cov0 = s.cov0;
    const Filtered one = kalman_filter(m, y);
    likelihood += s.weight * std::exp(one.log_likelihood);
    mean += s.weight * std::exp(one.log_likelihood) * one.mean[11];
  }
  EXPECT_NEAR(f.log_likelihood, std::log(likelihood), 1e-9);
  EXPECT_LT((f.mean[11] - mean / likelihood).abs().max().item<double>(), 1e-9);
  EXPECT_NEAR(f.weight[11].sum().item<double>(), 1, 1e-12);
}

TEST(GaussianSum, OneComponentIsItsFilterAndWeightsAreChecked) {
  const LinearModel m = random_model(2, 1, 0, 0, 363);
  const at::Tensor y = series_with_holes(8, 1, 364);
  const GaussianSumFiltered f =
      gaussian_sum_filter(nonlinear_of(m), {{.weight = 1, .mean0 = m.mean0, .cov0 = m.cov0}}, y);
  EXPECT_LT((f.cov - kalman_filter(m, y).cov).abs().max().item<double>(), 1e-10);
  EXPECT_THROW(
      gaussian_sum_filter(nonlinear_of(m), {{.weight = 0.5, .mean0 = m.mean0, .cov0 = m.cov0}}, y),
      Error);
  EXPECT_THROW(gaussian_sum_filter(nonlinear_of(m), {}, y), Error);
}

}  // namespace
}  // namespace covary::filter
