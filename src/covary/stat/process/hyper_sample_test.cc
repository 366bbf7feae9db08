#include "covary/stat/process/hyper_sample.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/marginal.h"

namespace covary::stat {
namespace {

struct Data {
  at::Tensor x, y;
};
Data curve(int64_t n) {
  Data d{at::empty({n, 1}, at::kDouble), at::empty({n}, at::kDouble)};
  const Random random(3);
  for (int64_t i = 0; i < n; ++i) {
    const double t = 4 * (static_cast<double>(i) + 0.5) / static_cast<double>(n);
    d.x[i][0] = t;
    d.y[i] = std::sin(2 * t) + 0.1 * random.normal(static_cast<uint64_t>(i));
  }
  return d;
}

void expect_posterior(const HyperSample& s, int64_t parameter, double mean, double sd) {
  const numeric::ChainQuality q = s.summaries()[static_cast<size_t>(parameter)].quality;
  EXPECT_NEAR(q.mean, mean, 4.5 * q.mean_error);
  EXPECT_NEAR(q.sd, sd, 0.15 * sd);
  EXPECT_LT(q.r_hat, 1.02);
}

// y ~ N(0, s) with s ~ gamma(1.1, 0.05 / v): the posterior by quadrature over log s.
TEST(HyperSample, MeetsTheQuadratureOfANoiseVariance) {
  const Data d = curve(20);
  const GaussianProcess gp =
      fit_gp(d.x, d.y, {.kernel = "white", .mean = "zero", .priors = "gamma"});
  const HyperSample s =
      sample_hyperparameters(gp, {.chains = 4, .warm_up = 200, .draws = 400, .seed = 1});
  const double v = d.y.square().mean().item<double>(), squares = 20 * v;
  double mass = 0, first = 0, second = 0;
  for (double u = -10; u < 10; u += 0.001) {
    const double t = std::exp(u);
    const double weight =
        std::exp(-10 * u - 0.5 * squares / t + 1.1 * u - 0.05 / v * t + 10 + 10 * std::log(v));
    mass += weight;
    first += weight * t;
    second += weight * t * t;
  }
  const double mean = first / mass;
  expect_posterior(s, 0, mean, std::sqrt(second / mass - mean * mean));
}

// Two free parameters on 20 rows against a grid; the mean is integrated.
TEST(HyperSample, MeetsTheGridOfTwoParameters) {
  const Data d = curve(20);
  const std::string text = "const*rbf + white(0.01,fixed)";
  const GaussianProcess gp = fit_gp(d.x, d.y, {.kernel = text, .priors = "gamma"});
  const HyperSample s =
      sample_hyperparameters(gp, {.chains = 4, .warm_up = 300, .draws = 500, .seed = 2});
  ASSERT_EQ(s.free(), 2);
  const double v = (d.y - d.y.mean()).square().mean().item<double>();
  const double range = (d.x.max() - d.x.min()).item<double>();
  const at::Tensor q = (d.x - d.x.t()).square(), one = at::ones({20, 1}, at::kDouble);
  double mass = 0, sums[4] = {};
  for (double a = -4; a < 6; a += 0.2) {
    for (double b = -2.5; b < 2; b += 0.1) {
      const double variance = std::exp(a), length = std::exp(b);
      const at::Tensor k =
          variance * at::exp(-0.5 * q / (length * length)) + 0.01 * at::eye(20, at::kDouble);
      const at::Tensor l = at::linalg_cholesky(k);
      const at::Tensor solved = at::cholesky_solve(at::cat({one, d.y.unsqueeze(1)}, 1), l);
      const double g = one.t().matmul(solved.narrow(1, 0, 1)).item<double>();
      const double h = one.t().matmul(solved.narrow(1, 1, 1)).item<double>();
      const double yy = d.y.dot(solved.select(1, 1)).item<double>();
      const double log_p = -0.5 * (yy - h * h / g) - l.diagonal().log().sum().item<double>() -
                           0.5 * std::log(g) +
                           Prior::gamma(2, 0.15 / v).log_density(variance, nullptr) +
                           Prior::gamma(3, 6 / range).log_density(length, nullptr) + a + b;
      const double weight = std::exp(log_p);
      mass += weight;
      sums[0] += weight * variance;
      sums[1] += weight * variance * variance;
      sums[2] += weight * length;
      sums[3] += weight * length * length;
    }
  }
  const double variance = sums[0] / mass, length = sums[2] / mass;
  expect_posterior(s, 1, length, std::sqrt(sums[3] / mass - length * length));
  expect_posterior(s, 0, variance, std::sqrt(sums[1] / mass - variance * variance));
}

TEST(HyperSample, GradientOfTheIntegratedLikelihood) {
  const Data d = curve(20);
  const GaussianProcess gp = fit_gp(d.x, d.y, {.mean = "linear"});
  MarginalLikelihood likelihood(gp.data(), 1'000'000'000);
  Kernel k = gp.kernel();
  std::vector<double> gradient(k.parameters().size());
  likelihood.evaluate(k, gradient, MeanCoefficients::kIntegrated);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double value = k.parameters()[p].value;
    const auto at = [&](double h) {
      k.parameters()[p].value = value * std::exp(h);
      return likelihood.evaluate(k, {}, MeanCoefficients::kIntegrated).log_likelihood;
    };
    const double slope = (at(1e-4) - at(-1e-4)) / 2e-4;
    k.parameters()[p].value = value;
    EXPECT_NEAR(gradient[p], slope, 1e-5 * (1 + std::abs(slope))) << k.parameters()[p].name;
  }
}

TEST(HyperSample, PredictionsMixAndTheFileComesBack) {
  const Data d = curve(20);
  const GaussianProcess gp = fit_gp(d.x, d.y, {.priors = "gamma"});
  const HyperSampleOptions o{.chains = 2, .warm_up = 100, .draws = 50, .mixed = 10, .seed = 4};
  const HyperSample s = sample_hyperparameters(gp, o), again = sample_hyperparameters(gp, o);
  EXPECT_EQ(s.values, again.values);
  EXPECT_EQ(s.mixed().size(), 10u);
  EXPECT_NE(s.text().find("warning"), std::string::npos);  // 100 draws are too few
  data::Model file = gp.model();
  s.put(&file);
  ASSERT_TRUE(HyperSample::is_in(file));
  EXPECT_EQ(HyperSample::of_model(file, gp.kernel()).values, s.values);
  file.arrays.at("posterior_draws").values[0] = -1;
  EXPECT_THROW(HyperSample::of_model(file, gp.kernel()), Error);

  const at::Tensor at = at::linspace(0, 5, 7, at::kDouble).unsqueeze(1);
  const PredictiveMixture m = mix_predictions(gp, s, at, true);
  ASSERT_EQ(m.parts(), 10);
  const auto [mean, variance] = m.moments();
  EXPECT_TRUE(at::allclose(mean, m.mean.mean(0)));
  EXPECT_TRUE(at::allclose(variance, m.variance.mean(0) + m.mean.var(0, /*unbiased=*/false)));
  const at::Tensor high = m.quantile(0.9);
  for (int64_t i = 0; i < 7; ++i) {
    double below = 0;
    for (int64_t k = 0; k < 10; ++k)
      below += 0.1 * numeric::normal_cdf((high[i] - m.mean[k][i]).item<double>() /
                                         std::sqrt(m.variance[k][i].item<double>()));
    EXPECT_NEAR(below, 0.9, 1e-8);
  }
  EXPECT_EQ(mix_samples(gp, s, at, 25, 1).size(0), 25);
  const PredictiveScores scores = predictive_scores(mix_left_out(gp, s), d.y);
  EXPECT_EQ(scores.rows, 20);
  EXPECT_LT(scores.rmse, 0.5);
}

// One part is a normal.
TEST(PredictiveMixture, ScoresAsANormalDoes) {
  const at::Tensor mean = at::tensor({0.0, 1.0, 2.0}, at::kDouble),
                   variance = at::tensor({1.0, 4.0, 0.25}, at::kDouble),
                   y = at::tensor({0.3, -1.0, 2.2}, at::kDouble);
  const PredictiveScores one = predictive_scores(mean, variance, y);
  const PredictiveMixture m{at::stack({mean, mean}), at::stack({variance, variance}), {}};
  const PredictiveScores two = predictive_scores(m, y);
  EXPECT_NEAR(two.nlpd, one.nlpd, 1e-12);
  EXPECT_NEAR(two.crps, one.crps, 1e-12);
  EXPECT_EQ(two.coverage, one.coverage);
}

TEST(HyperSample, RefusesAFlatPrior) {
  const Data d = curve(10);
  const GaussianProcess gp = fit_gp(d.x, d.y, {.priors = "none"});
  EXPECT_THROW(sample_hyperparameters(gp, {.priors = "none"}), Error);
  EXPECT_THROW(sample_hyperparameters(gp, {.draws = 1}), Error);
}

}  // namespace
}  // namespace covary::stat
