#include "covary/stat/mixture/variational_mixture.h"

#include <cmath>
#include <limits>

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

// log evidence of the rows whose mask is set, under one component (as above), less the prior's.
double clump_evidence(const at::Tensor& x, const at::Tensor& centre, const at::Tensor& before,
                      const std::vector<int64_t>& rows, double strength, double nu0) {
  if (rows.empty()) return 0;
  const double n = double(rows.size()), d = double(x.size(1)), nu = nu0 + n, beta = strength + n;
  const at::Tensor own = x.index_select(0, at::tensor(rows, at::kLong)), mean = own.mean(0);
  const at::Tensor away = (mean - centre).unsqueeze(1);
  const at::Tensor after =
      before + (own - mean).t().mm(own - mean) + strength * n / beta * away.mm(away.t());
  const auto log_gamma2 = [](double a) {
    return 0.5 * std::log(M_PI) + std::lgamma(a) + std::lgamma(a - 0.5);
  };
  return -n * d / 2 * std::log(M_PI) + log_gamma2(nu / 2) - log_gamma2(nu0 / 2) +
         nu0 / 2 * std::log(at::det(before).item<double>()) -
         nu / 2 * std::log(at::det(after).item<double>()) + d / 2 * std::log(strength / beta);
}

// The model's evidence in full: the sum over all labels of eight rows among three components, sticks
// or weights integrated out. The bound lies below it, and not far.
TEST(VariationalMixture, TheBoundLiesBelowTheEvidenceOfAllLabels) {
  constexpr int64_t kRows = 8, kComponents = 3;
  const at::Tensor x = clumps(kRows, 2, 4);
  const at::Tensor centre = x.mean(0), variance = (x - centre).square().mean(0);
  const double strength = 0.3, nu0 = 4 + 2 - 1, gamma = 0.7;
  const at::Tensor before = at::diag(variance) * 0.5 * 2;
  std::vector<double> of_rows(1 << kRows);  // by the mask of a component's rows
  for (int64_t mask = 0; mask < 1 << kRows; ++mask) {
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < kRows; ++i)
      if (mask >> i & 1) rows.push_back(i);
    of_rows[size_t(mask)] = clump_evidence(x, centre, before, rows, strength, nu0);
  }
  const auto log_beta = [](double a, double b) {
    return std::lgamma(a) + std::lgamma(b) - std::lgamma(a + b);
  };
  for (const char* prior : {"process", "dirichlet"}) {
    std::vector<double> terms;
    for (int64_t code = 0; code < 6561; ++code) {
      int64_t mask[kComponents] = {}, rest = code;
      double count[kComponents] = {};
      for (int64_t i = 0; i < kRows; ++i, rest /= 3) {
        mask[rest % 3] |= int64_t{1} << i;
        count[rest % 3] += 1;
      }
      double log_p = 0, after = kRows;
      for (int64_t k = 0; k < kComponents; ++k) {
        log_p += of_rows[size_t(mask[k])];
        after -= count[k];
        if (*prior == 'd')
          log_p += std::lgamma(gamma + count[k]) - std::lgamma(gamma);
        else if (k + 1 < kComponents)
          log_p += log_beta(1 + count[k], gamma + after) - log_beta(1, gamma);
      }
      if (*prior == 'd') log_p += std::lgamma(3 * gamma) - std::lgamma(3 * gamma + kRows);
      terms.push_back(log_p);
    }
    const double evidence = at::logsumexp(at::tensor(terms, at::kDouble), 0).item<double>();
    VariationalMixture m({.components = kComponents,
                          .prior = prior,
                          .concentration = gamma,
                          .mean_strength = strength,
                          .degrees = 4,
                          .prior_share = 0.5,
                          .starts = 5});
    const double bound = m.fit(x).report().bound;
    EXPECT_LE(bound, evidence) << prior;
    EXPECT_GE(bound, evidence - 4) << prior;
  }
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
  double before = -std::numeric_limits<double>::infinity();
  for (const double bound : bounds) {
    RC_ASSERT(std::isfinite(bound));
    RC_ASSERT(bound >= before - 1e-9 * (1 + std::abs(bound)));
    before = bound;
  }
  RC_ASSERT(m.score_samples(x).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace covary::mixture
