#include "covary/stat/mixture/von_mises_fisher.h"

#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {
namespace {

at::Tensor axis(int64_t d, int64_t k) {
  at::Tensor t = at::zeros({d}, at::kDouble);
  t[k] = 1;
  return t;
}

// By 40-digit continued fractions.
const struct {
  int64_t d;
  double kappa, length;
} kKnown[] = {{2, 0.5, 0.242499612580801945351},       {3, 5, 0.800090803982019375537},
              {3, 0.001, 0.000333333311111113234452},  {128, 50, 0.344762234110061754809},
              {2048, 1000, 0.407325217429012232838},   {8192, 4000, 0.40729485884927379493},
              {32768, 20000, 0.473509291381896601536}, {43256, 123456, 0.840044287697150775362},
              {65536, 30000, 0.388628289309898993368}, {65536, 1, 0.0000152587890589473947398}};

TEST(VonMisesFisher, ResultantLengthHasKnownDigits) {
  for (const auto& k : kKnown) {
    EXPECT_NEAR(resultant_length(k.d, k.kappa), k.length, 2e-15 * k.length) << k.d;
  }
}

TEST(VonMisesFisher, ConcentrationIsRecoveredFromTheLength) {
  for (const auto& k : kKnown) {
    int steps = 0;
    EXPECT_NEAR(concentration(k.d, k.length, &steps), k.kappa, 1e-12 * k.kappa) << k.d;
    EXPECT_LT(steps, 10) << k.d;
  }
  for (const int64_t d : {3, 128, 2048, 8192, 32768, 65536}) {
    for (const double share : {1e-4, 0.01, 0.1, 0.5, 1.0, 3.0, 30.0}) {
      const double kappa = share * static_cast<double>(d);
      EXPECT_NEAR(concentration(d, resultant_length(d, kappa)), kappa, 1e-12 * kappa) << d;
    }
  }
}

TEST(VonMisesFisher, ConcentrationHasItsLimits) {
  EXPECT_EQ(concentration(5, 0), 0);
  EXPECT_TRUE(std::isinf(concentration(5, 1)));
  EXPECT_THROW(concentration(5, 1.1), Error);
  EXPECT_THROW(concentration(5, std::nan("")), Error);
  EXPECT_THROW(concentration(1, 0.5), Error);
}

TEST(VonMisesFisher, SlopeIsTheDifferenceOfLengths) {
  for (const int64_t d : {2, 3, 128, 8192}) {
    for (const double kappa : {0.01, 1.0, 50.0, 5e3}) {
      const double e = 1e-4 * kappa;
      const double difference =
          (resultant_length(d, kappa + e) - resultant_length(d, kappa - e)) / (2 * e);
      EXPECT_NEAR(resultant_slope(d, kappa), difference, 1e-6 * difference) << d << " " << kappa;
    }
  }
}

TEST(VonMisesFisher, InThreeDimensionsHasClosedForms) {
  for (const double kappa : {0.1, 1.0, 5.0, 40.0, 700.0, 1e5}) {
    EXPECT_NEAR(resultant_length(3, kappa), 1 / std::tanh(kappa) - 1 / kappa,
                4e-15 / std::min(1.0, kappa));
    // C = kappa / (2 pi (1 - e^(-2 kappa))) with the peak's e^kappa taken in
    const double peak = std::log(kappa / (4 * std::acos(0.0))) - std::log(-std::expm1(-2 * kappa));
    EXPECT_NEAR(log_peak_density(3, kappa), peak, 1e-14 * std::max(1.0, std::fabs(peak)));
  }
}

TEST(VonMisesFisher, DensityIntegratesToOneOnTheCircle) {
  for (const double kappa : {0.0, 0.7, 12.0}) {
    constexpr int64_t n = 400;
    at::Tensor rows = at::empty({n, 2}, at::kDouble);
    for (int64_t i = 0; i < n; ++i) {
      const double angle = 4 * std::acos(0.0) * static_cast<double>(i) / n;
      rows[i][0] = std::cos(angle);
      rows[i][1] = std::sin(angle);
    }
    const VonMisesFisher model{axis(2, 1), kappa};
    const double mean = model.log_density(rows).exp().mean().item<double>();
    EXPECT_NEAR(mean * 4 * std::acos(0.0), 1, 1e-13);
  }
}

TEST(VonMisesFisher, DensityStaysFiniteInTensOfThousandsOfDimensions) {
  for (const double kappa : {0.0, 1e-6, 1.0, 1e3, 4e4, 1e8}) {
    EXPECT_TRUE(std::isfinite(log_peak_density(43256, kappa))) << kappa;
  }
  EXPECT_NEAR(log_peak_density(100, 1e-9), log_peak_density(100, 0), 1e-9);
}

TEST(VonMisesFisher, SamplesHaveTheLengthThatTheirKappaSays) {
  for (const int64_t d : {2, 3, 10, 200}) {
    for (const double kappa : {0.0, 2.0, 60.0, 1e6}) {
      const at::Tensor mean = (axis(d, 0) - 2 * axis(d, 1)) / std::sqrt(5.0);
      const int64_t n = 4000;
      const at::Tensor rows = VonMisesFisher{mean, kappa}.sample(n, 7);
      EXPECT_TRUE(at::allclose(rows.norm(2, 1), at::ones({n}, at::kDouble), 1e-13, 1e-13));
      // mean . x has expectation A and variance A'.
      const double a = kappa == 0 ? 0 : resultant_length(d, kappa);
      const double error = std::sqrt(resultant_slope(d, kappa) / static_cast<double>(n));
      EXPECT_NEAR(rows.matmul(mean).mean().item<double>(), a, 4 * error) << d << " " << kappa;
    }
  }
}

TEST(VonMisesFisher, FitFindsWhatWasSampled) {
  for (const int64_t d : {2, 3, 64, 512}) {
    const double kappa = 0.7 * static_cast<double>(d);
    const at::Tensor mean = (axis(d, 0) + axis(d, 1)) / std::sqrt(2.0);
    const auto fit = fit_von_mises_fisher(VonMisesFisher{mean, kappa}.sample(5000, 3));
    EXPECT_NEAR(fit.model.kappa, kappa, 4 * fit.kappa_error) << d;
    EXPECT_GT(fit.model.mean.dot(mean).item<double>(), 0.99);
    EXPECT_LT(fit.newton_steps, 10);
    EXPECT_NEAR(resultant_length(d, fit.model.kappa), fit.length, 1e-14);
  }
}

TEST(VonMisesFisher, FitIsTheLikeliestOfAGridOfKappas) {
  const at::Tensor rows = VonMisesFisher{axis(300, 5), 200}.sample(400, 11);
  const auto fit = fit_von_mises_fisher(rows);
  EXPECT_NEAR(fit.model.log_density(rows).sum().item<double>(), fit.log_likelihood,
              1e-11 * std::fabs(fit.log_likelihood));
  for (int i = 0; i < 200; ++i) {
    const VonMisesFisher other{fit.model.mean, std::pow(10, -1 + i * 0.025)};
    EXPECT_LE(other.log_density(rows).sum().item<double>(),
              fit.log_likelihood + 1e-10 * std::fabs(fit.log_likelihood));
  }
}

TEST(VonMisesFisher, WeightsCountAsRepetitions) {
  const at::Tensor rows = VonMisesFisher{axis(5, 2), 9}.sample(20, 1);
  std::vector<double> weight(20);
  std::vector<at::Tensor> repeated;
  for (int64_t i = 0; i < 20; ++i) {
    weight[static_cast<size_t>(i)] = static_cast<double>(i % 4);
    for (int64_t r = 0; r < i % 4; ++r) repeated.push_back(rows[i]);
  }
  const auto a = fit_von_mises_fisher(rows, at::tensor(weight, at::kDouble));
  const auto b = fit_von_mises_fisher(at::stack(repeated));
  EXPECT_NEAR(a.model.kappa, b.model.kappa, 1e-12 * b.model.kappa);
  EXPECT_NEAR(a.kappa_error, b.kappa_error, 1e-12 * b.kappa_error);
  EXPECT_NEAR(a.log_likelihood, b.log_likelihood, 1e-12 * std::fabs(b.log_likelihood));
}

TEST(VonMisesFisher, SameBitsAtAnyNumberOfThreads) {
  set_threads(1);
  const at::Tensor one = VonMisesFisher{axis(700, 2), 90}.sample(300, 5);
  const auto fit_one = fit_von_mises_fisher(one);
  set_threads(2);
  const at::Tensor two = VonMisesFisher{axis(700, 2), 90}.sample(300, 5);
  const auto fit_two = fit_von_mises_fisher(one);
  set_threads(0);
  EXPECT_TRUE(at::equal(one, two));
  EXPECT_EQ(fit_one.model.kappa, fit_two.model.kappa);
  EXPECT_TRUE(at::equal(fit_one.model.mean, fit_two.model.mean));
}

TEST(VonMisesFisher, RefusesWhatHasNoDirectionOrNoSpread) {
  const at::Tensor rows = VonMisesFisher{axis(4, 0), 3}.sample(10, 2);
  EXPECT_THROW(fit_von_mises_fisher(2 * rows), Error);
  EXPECT_NEAR(fit_von_mises_fisher(2 * rows, {}, {.normalise = true}).model.kappa,
              fit_von_mises_fisher(rows).model.kappa, 1e-12);
  at::Tensor broken = rows.clone();
  broken[3].zero_();
  EXPECT_THROW(fit_von_mises_fisher(broken, {}, {.normalise = true}), Error);
  broken[3][1] = std::nan("");
  EXPECT_THROW(fit_von_mises_fisher(broken, {}, {.normalise = true}), Error);
  EXPECT_THROW(fit_von_mises_fisher(axis(4, 1).expand({5, 4})), Error);
  EXPECT_THROW(fit_von_mises_fisher(rows, at::zeros({10}, at::kDouble)), Error);
  EXPECT_THROW(fit_von_mises_fisher(rows, -at::ones({10}, at::kDouble)), Error);
  EXPECT_THROW(fit_von_mises_fisher(at::ones({3, 1}, at::kDouble)), Error);
  const auto flat = fit_von_mises_fisher(at::stack({axis(3, 0), -axis(3, 0)}));
  EXPECT_EQ(flat.model.kappa, 0);
  EXPECT_EQ(flat.length, 0);
}

}  // namespace
}  // namespace covary::mixture
