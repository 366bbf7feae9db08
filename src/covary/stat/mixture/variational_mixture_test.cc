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
#include "covary/stat/mixture/label_enumeration.h"
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

// The model's evidence in full: the sum over all labels of eight rows among three components, sticks
// or weights integrated out. The bound lies below it, and not far.
TEST(VariationalMixture, TheBoundLiesBelowTheEvidenceOfAllLabels) {
  const at::Tensor x = clumps(8, 2, 4);
  for (const bool process : {true, false}) {
    EnumeratedModel model;
    model.process = process;
    const double evidence = enumerate_labels(x, model).log_evidence;
    VariationalMixture m({.components = model.components,
                          .prior = process ? "process" : "dirichlet",
                          .concentration = model.concentration,
                          .mean_strength = model.mean_strength,
                          .degrees = model.degrees,
                          .prior_share = model.prior_share,
                          .starts = 5});
    const double bound = m.fit(x).report().bound;
    EXPECT_LE(bound, evidence) << process;
    EXPECT_GE(bound, evidence - 4) << process;
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

void expect_near(const at::Tensor& a, const at::Tensor& b, double error) {
  EXPECT_LT((a - b).abs().max().item<double>(), error * (1 + b.abs().max().item<double>()));
}

// A step of the natural gradient of length one on all rows is a step of fit: fit's fifth.
TEST(VariationalMixture, AFullBatchWithGainOneIsAStepOfFit) {
  const at::Tensor x = test_points(0, 400);
  for (const char* prior : {"process", "dirichlet"}) {
    VariationalMixtureOptions o{.components = 3, .prior = prior, .steps = 5, .tolerance = 0};
    VariationalMixture five(o);
    five.fit(x);
    o.steps = 4;
    o.stream_gain = 1;
    VariationalMixture four(o);
    four.fit(x);
    // Both keep the same of their runs.
    ASSERT_EQ(four.report().bound, five.report().bounds[4]);
    four.partial_fit(x);
    expect_near(four.weights(), five.weights(), 1e-12);
    expect_near(four.means(), five.means(), 1e-12);
    expect_near(four.covariances(), five.covariances(), 1e-12);
    expect_near(four.score_samples(x), five.score_samples(x), 1e-12);
    EXPECT_EQ(four.report().batches, 2);
    EXPECT_EQ(four.report().stream_rows, 400);
  }
}

TEST(VariationalMixture, OnePassOfAStreamPredictsAsWellAsFit) {
  const at::Tensor x = clumps(20000, 4, 1), y = clumps(4000, 4, 2);
  VariationalMixture whole({.components = 8}), stream({.components = 8});
  whole.fit(x);
  for (int64_t i = 0; i < 20000; i += 500) stream.partial_fit(x.slice(0, i, i + 500));
  EXPECT_EQ(stream.report().batches, 40);
  EXPECT_EQ(stream.report().batch_bounds.size(), 39u);
  EXPECT_EQ(stream.report().stream_rows, 20000);
  EXPECT_EQ(stream.effective(0.02), 4);
  EXPECT_GT(stream.score(y), whole.score(y) - 0.005);
}

// Plain averages of batches: after the last, sums over all rows count alike.
TEST(VariationalMixture, PowerOneCountsAllBatchesAlike) {
  const at::Tensor x = test_points(0, 300);
  VariationalMixture m({.components = 1, .stream_power = 1});
  VariationalMixture whole({.components = 1});
  whole.fit(x);
  // One component has no labels: sums do not depend on the parameters. The prior is the first batch's.
  m.partial_fit(x.slice(0, 0, 100)).partial_fit(x.slice(0, 100, 200)).partial_fit(x.slice(0, 200));
  const at::Tensor drift = whole.means() - m.means();
  EXPECT_LT(drift.abs().max().item<double>(), 1e-4);  // beta_0 / N of the first mean's error
  EXPECT_NEAR(m.report().stream_rows, 300, 0);
}

TEST(VariationalMixture, AConstantGainFollowsADrift) {
  const auto batch = [](double at, int64_t i) { return test_points(200 * i, 200 * (i + 1)) + at; };
  VariationalMixture keeps({.components = 3}), forgets({.components = 3, .stream_gain = 0.3});
  for (int64_t i = 0; i < 30; ++i) {
    const at::Tensor x = batch(0.2 * static_cast<double>(i), i);
    keeps.partial_fit(x);
    forgets.partial_fit(x);
  }
  EXPECT_GT(forgets.score(batch(6, 30)), keeps.score(batch(6, 30)) + 0.2);
  EXPECT_NEAR(forgets.report().stream_rows, 200 / 0.3, 1e-9);
  EXPECT_THROW(forgets.partial_fit(at::zeros({3, 2})), Error);
  EXPECT_THROW(forgets.partial_fit(batch(0, 0), at::zeros({200})), Error);
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
