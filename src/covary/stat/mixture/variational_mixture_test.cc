#include "covary/stat/mixture/variational_mixture.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

// Clumps of unit covariance on a circle of radius 6.
at::Tensor clumps(int64_t n, int64_t k, uint64_t seed) {
  at::Tensor x = at::empty({n, 2}, at::kDouble);
  const Random random(seed, 1);
  for (int64_t i = 0; i < n; ++i) {
    const double angle = 2 * M_PI * double(i % k) / double(k);
    x.data_ptr<double>()[2 * i] = 6 * std::cos(angle) + random.normal(uint64_t(2 * i));
    x.data_ptr<double>()[2 * i + 1] = 6 * std::sin(angle) + random.normal(uint64_t(2 * i + 1));
  }
  return x;
}

TEST(VariationalMixture, TheBoundNeverFalls) {
  for (const char* prior : {"process", "dirichlet"}) {
    for (const double concentration : {0.01, 1.0, 20.0}) {
      VariationalMixture m(
          {.components = 8, .prior = prior, .concentration = concentration, .steps = 400});
      const auto bounds = m.fit(test_points(0, 300)).report().bounds;
      ASSERT_GT(bounds.size(), 3u);
      for (size_t i = 1; i < bounds.size(); ++i) ASSERT_GE(bounds[i], bounds[i - 1] - 1e-9) << i;
    }
  }
}

// One component: q is the exact posterior, so the bound is the log evidence, which has a closed
// form (Murphy 2007, Conjugate Bayesian analysis of the Gaussian distribution, equation 266).
TEST(VariationalMixture, OneComponentsBoundIsTheEvidence) {
  const at::Tensor x = test_points(0, 40).slice(1, 0, 2).contiguous();
  VariationalMixture m({.components = 1, .mean_strength = 0.3, .degrees = 4, .prior_share = 0.5});
  m.fit(x);
  const at::Tensor centre = x.mean(0), variance = (x - centre).square().mean(0);
  const double n = 40, d = 2, nu0 = 4 + d - 1, nu = nu0 + n, beta = 0.3 + n;
  // m_0 is the data's mean: the term of its distance is 0.
  const at::Tensor before = at::diag(variance) * 0.5 * 2;
  const at::Tensor after = before + (x - centre).t().mm(x - centre);
  const auto log_gamma2 = [](double a) {
    return 0.5 * std::log(M_PI) + std::lgamma(a) + std::lgamma(a - 0.5);
  };
  const double evidence = -n * d / 2 * std::log(M_PI) + log_gamma2(nu / 2) - log_gamma2(nu0 / 2) +
                          nu0 / 2 * std::log(at::det(before).item<double>()) -
                          nu / 2 * std::log(at::det(after).item<double>()) +
                          d / 2 * std::log(0.3 / beta);
  EXPECT_NEAR(m.report().bound, evidence, 1e-9);
}

TEST(VariationalMixture, ThePredictiveDensityIntegratesToOne) {
  VariationalMixture m({.components = 4});
  m.fit(test_points(0, 30).slice(1, 0, 1));
  const at::Tensor q = at::linspace(-400, 400, 400001, at::kDouble).unsqueeze(1);
  EXPECT_NEAR(m.score_samples(q).exp().sum().item<double>() * 2e-3, 1, 1e-3);
}

TEST(VariationalMixture, TheNumberOfClumpsIsFoundFromATruncationOfTwenty) {
  int right = 0;
  for (int64_t seed = 0; seed < 20; ++seed) {
    const int64_t k = 3 + seed % 3;
    VariationalMixture m({.components = 20, .seed = seed});
    right += m.fit(clumps(400, k, uint64_t(seed))).effective(0.02) == k;
  }
  EXPECT_GE(right, 18);
}

TEST(VariationalMixture, PredictsHeldOutDataAsWellAsTheBestByBic) {
  const at::Tensor x = clumps(300, 4, 1), y = clumps(4000, 4, 2);
  VariationalMixture m({.components = 20});
  const Selection s = select_mixture(x, {1, 2, 3, 4, 5, 6}, {"full"});
  EXPECT_GE(m.fit(x).score(y), s.model.score(y) - 0.02);
  EXPECT_EQ(m.predict(y).size(0), 4000);
  EXPECT_NEAR(m.predict_proba(y).sum().item<double>(), 4000, 1e-8);
  EXPECT_NEAR(m.weights().sum().item<double>(), 1, 1e-12);
}

TEST(VariationalMixture, WeightsCountAsRepeatedRows) {
  const at::Tensor x = test_points(0, 60), w = 1 + at::arange(60, at::kDouble).remainder(3);
  const VariationalMixtureOptions o{.components = 1};
  VariationalMixture a(o), b(o);
  a.fit(x, w);
  b.fit(x.repeat_interleave(w.to(at::kLong), 0));
  EXPECT_NEAR(a.report().bound, b.report().bound, 1e-9);
}

RC_GTEST_PROP(VariationalMixtureProperty, HostileDataGiveAFiniteBoundThatNeverFalls, ()) {
  const int64_t n = *rc::gen::inRange(1, 30), d = *rc::gen::inRange(1, 4);
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = *rc::gen::element(0.0, 1.0, 1e-12, 1e12, -3.0, 5.0, 5.5);
  }
  VariationalMixture m({.components = 5, .starts = 1, .steps = 60});
  const auto bounds = m.fit(x).report().bounds;
  for (size_t i = 0; i < bounds.size(); ++i) {
    RC_ASSERT(std::isfinite(bounds[i]));
    RC_ASSERT(i == 0 || bounds[i] >= bounds[i - 1] - 1e-9 * (1 + std::abs(bounds[i])));
  }
  RC_ASSERT(m.score_samples(x).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace covary::mixture
