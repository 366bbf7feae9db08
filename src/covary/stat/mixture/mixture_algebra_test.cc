#include "covary/stat/mixture/mixture_algebra.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

GaussianMixture some(int64_t k, int64_t seed) {
  GaussianMixture m({.components = k, .starts = 1, .steps = 5, .seed = seed});
  return m.fit(test_points(200 * seed, 200 * seed + 200));
}

TEST(MixtureAlgebra, AProductIsTheProductOfDensities) {
  const GaussianMixture a = some(2, 0), b = some(3, 1);
  double log_mass = 0;
  const GaussianMixture p = product(a, b, &log_mass);
  EXPECT_EQ(p.components(), 6);
  const at::Tensor x = test_points(0, 50);
  const at::Tensor want = a.score_samples(x) + b.score_samples(x) - log_mass;
  EXPECT_LT((p.score_samples(x) - want).abs().max().item<double>(), 1e-9);
}

TEST(MixtureAlgebra, DivergencesAgree) {
  const GaussianMixture a = some(1, 0), b = some(1, 1);
  const double exact =
      kl_gaussian(a.means()[0], a.covariances()[0], b.means()[0], b.covariances()[0]);
  EXPECT_GT(exact, 0);
  EXPECT_NEAR(kl_variational(a, b), exact, 1e-12);
  EXPECT_NEAR(kl_upper(a, b), exact, 1e-12);
  const Estimate sampled = kl_monte_carlo(a, b, 200000, 1);
  EXPECT_NEAR(sampled.value, exact, 5 * sampled.standard_error);
  const GaussianMixture c = some(3, 2), d = some(4, 3);
  EXPECT_NEAR(kl_variational(c, c), 0, 1e-12);
  const Estimate truth = kl_monte_carlo(c, d, 200000, 2);
  EXPECT_GE(kl_upper(c, d), truth.value - 4 * truth.standard_error);
  // Where components stand apart, the approximation is near.
  const auto apart = [](double shift) {
    GaussianMixture m({.components = 2});
    const at::Tensor one = at::eye(2, at::kDouble).expand({2, 2, 2}).contiguous();
    return m.set_parameters(at::tensor({0.3, 0.7}, at::kDouble),
                            at::tensor({0., shift, 20., 0.}, at::kDouble).view({2, 2}), one);
  };
  // Only the first moved: 0.3 times half the squared distance.
  EXPECT_NEAR(kl_variational(apart(0), apart(1.5)), 0.3 * 0.5 * 2.25, 1e-9);
  EXPECT_NEAR(kl_upper(apart(0), apart(1.5)), 0.3 * 0.5 * 2.25, 1e-9);
}

TEST(MixtureAlgebra, TheAssignmentIsTheLeastOfAllPermutations) {
  const Random random(4);
  uint64_t draw = 0;
  for (int64_t n = 1; n <= 6; ++n) {
    for (int round = 0; round < 10; ++round) {
      std::vector<double> cost(static_cast<size_t>(n * n));
      for (double& v : cost) v = random.normal(draw++);
      const auto total = [&](const std::vector<int64_t>& p) {
        double sum = 0;
        for (int64_t i = 0; i < n; ++i) sum += cost[static_cast<size_t>(i * n + p[size_t(i)])];
        return sum;
      };
      std::vector<int64_t> p(static_cast<size_t>(n));
      std::iota(p.begin(), p.end(), int64_t{0});
      double least = total(p);
      while (std::next_permutation(p.begin(), p.end())) least = std::min(least, total(p));
      EXPECT_NEAR(total(least_assignment(cost, n)), least, 1e-12);
    }
  }
}

TEST(MixtureAlgebra, ComponentsAreMatchedWhateverTheirOrder) {
  const GaussianMixture a = some(4, 0);
  const at::Tensor order = at::tensor({2, 0, 3, 1}, at::kLong);
  GaussianMixture b({.components = 4});
  b.set_parameters(a.weights().index_select(0, order), a.means().index_select(0, order) + 0.01,
                   a.covariances().index_select(0, order));
  EXPECT_EQ(matched_components(a, b), (std::vector<int64_t>{1, 3, 0, 2}));
}

TEST(MixtureAlgebra, RegressionIsTheConditionalMixturesMoments) {
  const GaussianMixture a = some(3, 0);
  const at::Tensor values = test_points(500, 505).slice(1, 0, 2);
  const Regression r = regress(a, {2, 0}, values);
  for (int64_t i = 0; i < 5; ++i) {
    const GaussianMixture c = a.conditional({2, 0}, values[i]);
    const at::Tensor w = c.weights(), mean = (w * c.means().select(1, 0)).sum();
    EXPECT_NEAR(r.mean[i][0].item<double>(), mean.item<double>(), 1e-12);
    const at::Tensor variance =
        (w * (c.covariances().view({-1}) + (c.means().select(1, 0) - mean).square())).sum();
    EXPECT_NEAR(r.covariance[i].item<double>(), variance.item<double>(), 1e-12);
  }
}

TEST(MixtureAlgebra, RefusesWhatDoesNotFit) {
  const GaussianMixture a = some(2, 0), b = some(3, 1), narrow = a.marginal({0});
  EXPECT_THROW(product(a, narrow), Error);
  EXPECT_THROW(matched_components(a, b), Error);
  EXPECT_THROW(regress(a, {0, 0}, test_points(0, 3)), Error);
  EXPECT_THROW(product(a, GaussianMixture()), Error);
}

}  // namespace
}  // namespace covary::mixture
