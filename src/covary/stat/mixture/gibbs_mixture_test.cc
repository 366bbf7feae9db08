#include "covary/stat/mixture/gibbs_mixture.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/collapsed_mixture.h"
#include "covary/stat/mixture/label_enumeration.h"
#include "covary/stat/mixture/test_points.h"
#include "covary/stat/mixture/variational_mixture.h"

namespace covary::mixture {
namespace {

// A few rows of two clumps, columns of very different units.
at::Tensor few_rows(int64_t n) {
  at::Tensor x = at::empty({n, 2}, at::kDouble);
  const Random random(6);
  for (int64_t i = 0; i < n; ++i) {
    x.data_ptr<double>()[2 * i] = 3.0 * double(i % 2) + random.normal(uint64_t(2 * i));
    x.data_ptr<double>()[2 * i + 1] = 1e4 * random.normal(uint64_t(2 * i + 1)) + 1e5;
  }
  return x;
}

GibbsMixtureOptions options_of(const EnumeratedModel& m) {
  return {.components = m.components,
          .prior = m.process ? "process" : "dirichlet",
          .concentration = m.concentration,
          .mean_strength = m.mean_strength,
          .degrees = m.degrees,
          .prior_share = m.prior_share};
}

EnumeratedModel model(bool process) {
  EnumeratedModel m;
  m.process = process;
  return m;
}

TEST(GibbsMixture, AnnealedEvidenceIsTheSumOverAllLabels) {
  const at::Tensor x = few_rows(7);
  for (const bool process : {true, false}) {
    GibbsMixtureOptions o = options_of(model(process));
    o.runs = 100;
    o.particles = 8;
    const Evidence e = GibbsMixture(o).log_evidence(x);
    EXPECT_LT(e.standard_error, 0.03);
    EXPECT_NEAR(e.value, enumerate_labels(x, model(process)).log_evidence, 4 * e.standard_error)
        << process;
  }
}

TEST(GibbsMixture, SweepsNarrowTheErrorAndNoneGivesNoBias) {
  const at::Tensor few = few_rows(6);
  GibbsMixtureOptions o = options_of(model(true));
  o.runs = 4000;
  o.particles = 1;
  o.sweeps = 0;
  const Evidence e = GibbsMixture(o).log_evidence(few);
  EXPECT_NEAR(e.value, enumerate_labels(few, model(true)).log_evidence, 4 * e.standard_error);
  const at::Tensor x = test_points(0, 60);
  o = {.components = 10, .runs = 12, .particles = 16, .sweeps = 0};
  const Evidence rough = GibbsMixture(o).log_evidence(x);
  o.sweeps = 2;
  const Evidence fine = GibbsMixture(o).log_evidence(x);
  EXPECT_GT(fine.effective, 2 * rough.effective);
  EXPECT_GT(fine.value, rough.value);  // whose few runs seldom meet the better labels
}

TEST(GibbsMixture, DrawsFollowTheEnumeratedPosterior) {
  const at::Tensor x = few_rows(7);
  const at::Tensor q = at::tensor({0., 1e5, 3., 1.1e5, 5., 9e4}, at::kDouble).view({3, 2});
  for (const bool process : {true, false}) {
    const EnumeratedModel m = model(process);
    GibbsMixtureOptions o = options_of(m);
    o.draws = 20000;
    GibbsMixture g(o);
    g.fit(x);
    const EnumeratedLabels truth = enumerate_labels(x, m);
    EXPECT_LT((g.co_clustering() - truth.together).abs().max().item<double>(), 0.03) << process;
    double occupied = 0, by_share = 0;
    for (const int64_t k : g.report().occupied) occupied += double(k) / double(o.draws);
    const std::vector<double> shares = g.components_share(0);
    for (size_t k = 0; k < shares.size(); ++k) by_share += double(k) * shares[k];
    EXPECT_NEAR(occupied, truth.occupied, 0.04) << process;
    EXPECT_NEAR(by_share, occupied, 1e-9);
    // p(q | X) = p(X, q) / p(X), the prior that of X.
    const at::Tensor log_density = g.score_samples(q);
    for (int64_t i = 0; i < 3; ++i) {
      const double joint = enumerate_labels(at::cat({x, q.slice(0, i, i + 1)}), m, x).log_evidence;
      EXPECT_NEAR(log_density[i].item<double>(), joint - truth.log_evidence, 0.02) << i;
    }
  }
}

// With one component nothing is left to draw.
TEST(GibbsMixture, OneComponentsEvidenceIsTheVariationalBound) {
  const at::Tensor x = test_points(0, 40);
  const Evidence e = GibbsMixture({.components = 1, .runs = 3}).log_evidence(x);
  VariationalMixture v({.components = 1});
  EXPECT_NEAR(e.value, v.fit(x).report().bound, 1e-9);
  EXPECT_NEAR(e.standard_error, 0, 1e-9);
}

TEST(GibbsMixture, RankOneChangesKeepWhatTheRowsSay) {
  const at::Tensor x = test_points(0, 120);
  int64_t constant = 0;
  const NormalWishart prior = normal_wishart(column_moments(Rows(x, {})), 0.01, 3, 0.1, constant);
  for (const bool process : {true, false}) {
    const CollapsedMixture m(x, prior, {.components = 6, .process = process});
    CollapsedChain chain(m, 1, 2), fresh(m, 1, 3);
    for (int64_t i = 0; i < 120; ++i) chain.append();
    for (int sweep = 0; sweep < 20; ++sweep) chain.sweep();
    fresh.set_labels(chain.labels());
    EXPECT_NEAR(chain.log_likelihood(), fresh.log_likelihood(), 1e-8);
    EXPECT_NEAR(chain.log_prior(), fresh.log_prior(), 1e-10);
    EXPECT_EQ(chain.row_counts(), fresh.row_counts());
  }
}

// Sticks that a chain began with in the worst order are put right by exchanges.
TEST(GibbsMixture, SticksChangeTheirOrder) {
  const at::Tensor x = at::cat({test_points(0, 30), test_points(30, 32) + 50});
  int64_t constant = 0;
  const CollapsedMixture m(x, normal_wishart(column_moments(Rows(x, {})), 0.01, 3, 0.1, constant),
                           {.components = 5, .concentration = 0.5});
  CollapsedChain chain(m, 1, 2);
  std::vector<int32_t> labels(32, 4);  // the large group last
  labels[30] = labels[31] = 0;
  chain.set_labels(labels);
  int first = 0;
  for (int sweep = 0; sweep < 200; ++sweep) {
    chain.sweep();
    first += chain.row_counts()[0] > 16;
  }
  EXPECT_GT(first, 100);
}

TEST(GibbsMixture, SameBitsAtAnyNumberOfThreads) {
  const at::Tensor x = test_points(0, 60);
  std::vector<at::Tensor> scores;
  std::vector<double> evidence;
  for (const int n : {1, 3}) {
    set_threads(n);
    GibbsMixture g({.components = 5, .burn = 5, .draws = 5, .runs = 4, .particles = 4});
    scores.push_back(g.fit(x).score_samples(x));
    evidence.push_back(g.log_evidence(x).value);
  }
  set_threads(0);
  EXPECT_TRUE(at::equal(scores[0], scores[1]));
  EXPECT_EQ(evidence[0], evidence[1]);
}

TEST(GibbsMixture, ThePredictiveDensityIntegratesToOne) {
  GibbsMixture g({.components = 4, .burn = 20, .draws = 10});
  g.fit(test_points(0, 30).slice(1, 0, 1));
  const at::Tensor q = at::linspace(-400, 400, 100001, at::kDouble).unsqueeze(1);
  EXPECT_NEAR(g.score_samples(q).exp().sum().item<double>() * 8e-3, 1, 1e-3);
}

TEST(GibbsMixture, BadInputIsNamed) {
  using testing::HasSubstr;
  EXPECT_THAT(refusal([] { GibbsMixture({.draws = 0}); }), HasSubstr("draws"));
  EXPECT_THAT(refusal([] { GibbsMixture({.degrees = 2}); }), HasSubstr("degrees"));
  EXPECT_THAT(refusal([] { GibbsMixture().score_samples(at::zeros({2, 1})); }),
              HasSubstr("no draws"));
  at::Tensor x = test_points(0, 4).clone();
  x.data_ptr<double>()[4] = NAN;
  EXPECT_THAT(refusal([&] { GibbsMixture().fit(x); }), HasSubstr("row 1, column 1"));
}

RC_GTEST_PROP(GibbsMixtureProperty, HostileDataGiveFiniteFigures, ()) {
  const int64_t n = *rc::gen::inRange(1, 25), d = *rc::gen::inRange(1, 4);
  at::Tensor x = at::empty({n, d}, at::kDouble);
  for (int64_t i = 0; i < n * d; ++i)
    x.data_ptr<double>()[i] = *rc::gen::element(0.0, 1.0, 1e-12, 1e12, -3.0, 5.0, 5.5);
  GibbsMixture g({.components = 4, .burn = 2, .draws = 3, .runs = 2, .particles = 4});
  RC_ASSERT(std::isfinite(g.log_evidence(x).value));
  RC_ASSERT(g.fit(x).score_samples(x).isfinite().all().item<bool>());
}

}  // namespace
}  // namespace covary::mixture
