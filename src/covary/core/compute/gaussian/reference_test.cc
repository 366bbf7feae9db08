#include <cmath>
#include <numbers>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::compute {
namespace {

// Covariance [[4, 2], [2, 5]] = L L' with L = [[2, 0], [1, 2]]; L^-1 = [[1/2, 0], [-1/4, 1/2]].
TEST(GaussianReference, ClosedFormInTwoDimensions) {
  const std::vector<double> mean = {1, -1}, whiten = {0.5, 0, -0.25, 0.5}, log_weight = {0};
  const std::vector<double> x = {3, 2};
  const double quadratic = (5 * 4 - 2 * 2 * 2 * 3 + 4 * 9) / 16.0;
  const double expected = -std::log(2 * std::numbers::pi) - 0.5 * std::log(16.0) - 0.5 * quadratic;
  for (const auto type : {CovarianceType::kFull, CovarianceType::kTied}) {
    EXPECT_NEAR(log_gaussian_reference({type, 1, 2, log_weight.data(), mean.data(), whiten.data()},
                                       0, x.data()),
                expected, 1e-15);
  }
}

// The density integrates to 1: trapezoids over a box that holds all of it.
TEST(GaussianReference, IntegratesToTheWeights) {
  const std::vector<double> mean = {0, 2}, log_weight = {std::log(0.3), std::log(0.9)};
  const std::vector<double> whiten = {1.0, 2.0};
  const GaussianMixtureView m{CovarianceType::kSpherical, 2,           1,
                              log_weight.data(),          mean.data(), whiten.data()};
  double sum = 0;
  const double step = 1e-3;
  for (double x = -12; x < 12; x += step) {
    double log_density = 0;
    mixture_scores_reference(m, &x, 1, {.log_density = &log_density});
    sum += step * std::exp(log_density);
  }
  EXPECT_NEAR(sum, 1.2, 1e-10);
}

TEST(GaussianReference, SumsOfOneComponentAreMoments) {
  const std::vector<double> mean = {1}, log_weight = {0}, whiten = {0.5};
  const std::vector<double> x = {0, 2, 6}, u = {1, 2, 0.5};
  MixtureSums sums(CovarianceType::kDiagonal, 1, 1);
  accumulate_mixture_reference(
      {CovarianceType::kDiagonal, 1, 1, log_weight.data(), mean.data(), whiten.data()}, x.data(),
      u.data(), 3, sums);
  EXPECT_DOUBLE_EQ(sums.mass[0], 3.5);
  EXPECT_DOUBLE_EQ(sums.shift[0], -1 + 2 + 2.5);
  EXPECT_DOUBLE_EQ(sums.scatter[0], 1 + 2 + 12.5);
  EXPECT_DOUBLE_EQ(sums.entropy, 0);
  EXPECT_EQ(sums.lowest_row, 2);
}

}  // namespace
}  // namespace covary::compute
