// Fits beyond plain EM: constrained shapes, factors, extrapolation, annealing, exchanges, priors,
// incremental and forgetting steps.
#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/refusal.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/test_points.h"

namespace covary::mixture {
namespace {

void expect_monotone(const std::vector<double>& trace, const char* what) {
  ASSERT_GT(trace.size(), 1u) << what;
  for (size_t i = 1; i < trace.size(); ++i) EXPECT_GE(trace[i], trace[i - 1] - 1e-12) << what;
}

// Clumps of one shape, turned and scaled.
at::Tensor turned_clumps(int64_t n) {
  at::Tensor x = at::empty({n, 2}, at::kDouble);
  const Random random(3);
  for (int64_t i = 0; i < n; ++i) {
    const int64_t c = i % 3;
    const double angle = 1.1 * static_cast<double>(c), size = 1 + static_cast<double>(c);
    const double a = 3 * size * random.normal(uint64_t(2 * i)),
                 b = 0.5 * size * random.normal(uint64_t(2 * i + 1));
    x.data_ptr<double>()[2 * i] = std::cos(angle) * a - std::sin(angle) * b + 15.0 * double(c == 1);
    x.data_ptr<double>()[2 * i + 1] =
        std::sin(angle) * a + std::cos(angle) * b + 15.0 * double(c == 2);
  }
  return x;
}

TEST(GaussianMixtureShapes, LikelihoodsRiseWithFreedomAndNeverFallInAStep) {
  const at::Tensor x = turned_clumps(600);
  std::map<std::string, GaussianMixture> fits;
  for (const std::string& name : kMclustCovariances) {
    GaussianMixture m({.components = 3, .covariance = name, .starts = 1, .tolerance = 1e-10});
    m.fit(x);
    expect_monotone(m.report().trace.mean_log_likelihood, name.c_str());
    fits.emplace(name, m);
  }
  // Begun from the fit of a family within, none of its steps falls.
  const std::pair<const char*, const char*> within[] = {
      {"EII", "VII"}, {"EII", "EEI"}, {"VII", "VEI"}, {"EEI", "VEI"}, {"EEI", "EVI"},
      {"VEI", "VVI"}, {"EVI", "VVI"}, {"EEI", "EEE"}, {"VEI", "VEE"}, {"EVI", "EVE"},
      {"EEE", "VEE"}, {"EEE", "EVE"}, {"VVI", "VVE"}, {"VEE", "VVE"}, {"EVE", "VVE"},
      {"EEE", "EEV"}, {"EEV", "VEV"}, {"VEE", "VEV"}, {"EEV", "EVV"}, {"EVE", "EVV"},
      {"VEV", "VVV"}, {"EVV", "VVV"}, {"VVE", "VVV"}};
  for (const auto& [small, large] : within) {
    const GaussianMixture& from = fits.at(small);
    const at::Tensor own = fits.at(large).covariances();
    at::Tensor full = from.full_covariances();
    if (std::string(large) == "EEE") full = full[0];
    if (std::string(large).back() == 'I') full = full.diagonal(0, 1, 2);
    if (own.dim() == 1) full = full.select(1, 0);
    GaussianMixture m({.covariance = large, .init = "given", .tolerance = 1e-10});
    m.set_parameters(from.weights(), from.means(), full.contiguous()).fit(x);
    expect_monotone(m.report().trace.mean_log_likelihood, large);
    EXPECT_GE(m.report().log_likelihood, from.report().log_likelihood - 1e-6)
        << small << " in " << large;
  }
  // The law is VEV's: a criterion that counts parameters takes it.
  const Selection s = select_mixture(x, {3}, kMclustCovariances, "bic");
  EXPECT_EQ(s.rows[s.best].covariance, "VEV");
}

TEST(GaussianMixtureShapes, CovariancesHaveTheNamedStructure) {
  const at::Tensor x = turned_clumps(600);
  const auto covariances = [&](const char* name) {
    GaussianMixture m({.components = 3, .covariance = name});
    return m.fit(x).covariances();
  };
  const at::Tensor eii = covariances("EII");
  EXPECT_LT((eii - eii[0]).abs().max().item<double>(), 1e-12);
  const at::Tensor eei = covariances("EEI");
  EXPECT_LT((eei - eei[0]).abs().max().item<double>(), 1e-12);
  for (const char* name : {"EEV", "VEV"}) {
    const at::Tensor values = at::linalg_eigvalsh(covariances(name));
    at::Tensor shape = values;
    if (std::string(name) == "VEV") shape = values / values.prod(1, true).sqrt();
    EXPECT_LT((shape - shape[0]).abs().max().item<double>(), 1e-9) << name;
  }
  const auto equal = [](const at::Tensor& rows) {
    return (rows / rows[0] - 1).abs().max().item<double>() < 1e-9;
  };
  const at::Tensor vei = covariances("VEI"), evi = covariances("EVI");
  EXPECT_TRUE(equal(vei.select(1, 0) / vei.select(1, 1)));
  EXPECT_FALSE(equal(vei.select(1, 0)));
  EXPECT_TRUE(equal(evi.prod(1)));
  EXPECT_FALSE(equal(evi.select(1, 0)));
  const at::Tensor vee = covariances("VEE");
  EXPECT_TRUE(equal(vee / at::linalg_det(vee).sqrt().view({3, 1, 1})));
  EXPECT_FALSE(equal(at::linalg_det(vee)));
  EXPECT_TRUE(equal(at::linalg_det(covariances("EVV"))));
  EXPECT_TRUE(equal(at::linalg_det(covariances("EVE"))));
  for (const char* name : {"EVE", "VVE"}) {
    // The same axes: all commute.
    const at::Tensor s = covariances(name);
    EXPECT_LT((s[0].matmul(s[1]) - s[1].matmul(s[0])).abs().max().item<double>(), 1e-9) << name;
    EXPECT_LT((s[0].matmul(s[2]) - s[2].matmul(s[0])).abs().max().item<double>(), 1e-9) << name;
  }
}

TEST(GaussianMixtureShapes, ParametersAreCountedAsMclustDoes) {
  const at::Tensor x = test_points(0, 300);  // d = 3
  const std::pair<const char*, double> counts[] = {
      {"EII", 1}, {"VII", 2},  {"EEI", 3},  {"VVI", 6},      {"EEE", 6},
      {"EEV", 9}, {"VEV", 10}, {"VVV", 12}, {"factors", 12}, {"VEI", 4},
      {"EVI", 5}, {"VEE", 7},  {"EVE", 8},  {"VVE", 9},      {"EVV", 11}};
  for (const auto& [name, count] : counts) {
    GaussianMixture m({.components = 2, .covariance = name, .starts = 1, .steps = 3});
    EXPECT_EQ(m.fit(x).report().parameters, count + 2 * 3 + 1) << name;
  }
}

TEST(GaussianMixtureShapes, FactorsFindALowRankLaw) {
  const int64_t n = 4000, d = 8;
  const at::Tensor loading = at::zeros({d, 1}, at::kDouble);
  for (int64_t j = 0; j < d; ++j) loading.data_ptr<double>()[j] = std::sin(double(j) + 1);
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(5);
  for (int64_t i = 0; i < n; ++i) {
    const double z = 2 * random.normal(uint64_t(i * (d + 1)));
    for (int64_t j = 0; j < d; ++j)
      x.data_ptr<double>()[i * d + j] =
          z * loading.data_ptr<double>()[j] + 0.5 * random.normal(uint64_t(i * (d + 1) + j + 1));
  }
  GaussianMixture m(
      {.components = 1, .covariance = "factors", .factors = 1, .starts = 1, .tolerance = 1e-12});
  m.fit(x);
  expect_monotone(m.report().trace.mean_log_likelihood, "factors");
  const at::Tensor truth = 4 * loading.matmul(loading.t()) + 0.25 * at::eye(d, at::kDouble);
  EXPECT_LT((m.covariances()[0] - truth).abs().max().item<double>(), 0.3);
  // All factors: nothing is left to constrain.
  GaussianMixture all(
      {.components = 1, .covariance = "factors", .factors = d, .steps = 3000, .tolerance = 1e-13});
  GaussianMixture full({.components = 1});
  EXPECT_NEAR(all.fit(x).report().log_likelihood, full.fit(x).report().log_likelihood, 1e-3);
  EXPECT_THROW(GaussianMixture({.components = 1, .covariance = "factors", .factors = 9}).fit(x),
               Error);
}

TEST(GaussianMixtureFit, ExtrapolationTakesFewerStepsToTheSameMaximum) {
  const at::Tensor x = 0.5 * test_points(0, 900) + 0.2 * test_points(900, 1800);  // overlapping
  for (const char* type : {"spherical", "diagonal", "tied", "full"}) {
    GaussianMixtureOptions o{
        .components = 3, .covariance = type, .starts = 1, .steps = 20000, .tolerance = 1e-10};
    GaussianMixture plain(o);
    plain.fit(x);
    for (const char* how : {"squarem", "anderson"}) {
      o.accelerate = how;
      GaussianMixture fast(o);
      fast.fit(x);
      expect_monotone(fast.report().trace.mean_log_likelihood, type);
      EXPECT_TRUE(fast.report().trace.converged) << type << how;
      EXPECT_LE(fast.report().trace.steps, plain.report().trace.steps) << type << how;
      EXPECT_GT(fast.report().trace.jumps, 0) << type << how;
      EXPECT_GE(fast.report().log_likelihood, plain.report().log_likelihood - 1e-4) << type << how;
    }
  }
}

// Two clumps that overlap: EM creeps.
TEST(GaussianMixtureFit, ExtrapolationHalvesTheStepsWhereEmCreeps) {
  at::Tensor x = at::empty({800, 1}, at::kDouble);
  const Random random(21);
  for (int64_t i = 0; i < 800; ++i)
    x.data_ptr<double>()[i] = random.normal(uint64_t(i)) + 2.5 * static_cast<double>(i % 2);
  const auto fitted = [&](const char* how) {
    GaussianMixture m({.init = "given", .steps = 100000, .tolerance = 1e-11, .accelerate = how});
    m.set_parameters(at::tensor({0.5, 0.5}, at::kDouble),
                     at::tensor({-1.0, 2.0}, at::kDouble).view({2, 1}),
                     at::ones({2, 1, 1}, at::kDouble));
    return m.fit(x).report();
  };
  const auto plain = fitted("none");
  for (const char* how : {"squarem", "anderson"}) {
    const auto fast = fitted(how);
    expect_monotone(fast.trace.mean_log_likelihood, how);
    EXPECT_LT(2 * fast.trace.steps, plain.trace.steps) << how;
    EXPECT_GT(fast.trace.jumps, 2) << how;
    EXPECT_GT(fast.log_likelihood, plain.log_likelihood - 1e-6) << how;
  }
}

TEST(GaussianMixtureFit, AccelerationServesPlainShapesAlone) {
  const auto fault = [](const GaussianMixtureOptions& o) {
    return refusal([&] { GaussianMixture{o}; });
  };
  EXPECT_THAT(fault({.covariance = "VEE", .accelerate = "anderson"}),
              testing::HasSubstr("spherical, diagonal"));
  EXPECT_THAT(fault({.accelerate = "aitken"}), testing::HasSubstr("squarem or anderson"));
  EXPECT_THAT(fault({.accelerate = "anderson", .anderson_depth = 0}),
              testing::HasSubstr("anderson_depth"));
}

// Four clumps in a row, started with two components on the first and one between the last two.
TEST(GaussianMixtureFit, ExchangesLeaveAPoorMaximum) {
  at::Tensor x = at::empty({800, 2}, at::kDouble);
  const Random random(9);
  for (int64_t i = 0; i < 1600; ++i)
    x.data_ptr<double>()[i] = random.normal(uint64_t(i)) + (i % 2 ? 0.0 : 12.0 * double(i / 2 % 4));
  const at::Tensor means =
      at::tensor({-0.5, 0., 0.5, 0., 12., 0., 30., 0.}, at::kDouble).view({4, 2});
  const at::Tensor one = at::eye(2, at::kDouble).expand({4, 2, 2}).contiguous();
  GaussianMixtureOptions o{.init = "given"};
  GaussianMixture stuck(o);
  stuck.set_parameters(at::ones({4}, at::kDouble), means, one).fit(x);
  o.split_merge = 5;
  GaussianMixture freed(o);
  freed.set_parameters(at::ones({4}, at::kDouble), means, one).fit(x);
  EXPECT_GE(freed.report().trace.exchanges, 1);
  EXPECT_GT(freed.report().log_likelihood, stuck.report().log_likelihood + 100);
  const auto [sorted, order] = freed.means().select(1, 0).sort();
  EXPECT_LT((sorted - at::tensor({0., 12., 24., 36.}, at::kDouble)).abs().max().item<double>(),
            0.5);
}

// From many random starts, annealing leaves fewer in poor maxima.
TEST(GaussianMixtureFit, AnnealingForgetsPoorStarts) {
  at::Tensor x = at::empty({600, 2}, at::kDouble);
  const Random random(11);
  for (int64_t i = 0; i < 1200; ++i)
    x.data_ptr<double>()[i] =
        random.normal(uint64_t(i)) + (i % 2 ? 0.0 : 8.0 * static_cast<double>(i / 2 % 4));
  double poor[2] = {0, 0};
  GaussianMixture best({.components = 4, .covariance = "EII"});
  const double top = best.fit(x).report().log_likelihood;
  for (int64_t seed = 0; seed < 12; ++seed) {
    for (const int anneal : {0, 1}) {
      GaussianMixture m({.components = 4,
                         .covariance = "EII",
                         .init = "random",
                         .starts = 1,
                         .anneal = anneal ? 0.2 : 0.0,
                         .seed = seed});
      m.fit(x);
      expect_monotone(m.report().trace.mean_log_likelihood, "anneal");
      poor[anneal] += m.report().log_likelihood < top - 1;
    }
  }
  EXPECT_GT(poor[0], 3);
  EXPECT_LT(poor[1], 0.5 * poor[0]);
}

TEST(GaussianMixtureFit, APriorGivesTheModeOfItsPosterior) {
  const at::Tensor x = test_points(0, 40);
  // One component: the mode in closed form.
  const double rows = 5, degrees = 4, share = 0.7;
  GaussianMixture m(
      {.components = 1, .prior_rows = rows, .prior_degrees = degrees, .prior_share = share});
  m.fit(x);
  const at::Tensor z = x - x.mean(0), variance = z.square().mean(0);
  EXPECT_TRUE(
      at::allclose(m.means()[0], x.mean(0), 1e-12, 1e-12));  // the prior's mean is the data's
  const at::Tensor want = (z.t().matmul(z) + share * variance.diag()) / (40 + degrees + 3 + 3 + 2);
  EXPECT_TRUE(at::allclose(m.covariances()[0], want, 1e-10, 1e-12));
  for (const char* type : {"full", "diagonal"}) {
    GaussianMixture k({.components = 4, .covariance = type, .starts = 1, .prior_rows = 0.01});
    k.fit(test_points(0, 200));
    expect_monotone(k.report().trace.mean_log_likelihood, type);
  }
  EXPECT_THROW(GaussianMixture({.covariance = "tied", .prior_rows = 1}), Error);
  EXPECT_THROW(m.partial_fit(x), Error);
}

TEST(GaussianMixtureFit, IncrementalStepsReachTheMaximum) {
  const at::Tensor x = test_points(0, 3000);
  for (const char* type : {"diagonal", "tied", "full"}) {
    const GaussianMixtureOptions o{
        .components = 3, .covariance = type, .starts = 1, .tolerance = 1e-10};
    GaussianMixture batch(o), steps(o);
    batch.fit(x);
    steps.fit_incremental(x);
    EXPECT_NEAR(steps.report().log_likelihood, batch.report().log_likelihood, 1e-4) << type;
    EXPECT_NEAR(steps.report().log_likelihood, steps.score(x) * 3000, 1e-6);
  }
}

TEST(GaussianMixtureFit, AConstantGainFollowsADrift) {
  const auto batch = [](double at, int64_t i) { return test_points(200 * i, 200 * (i + 1)) + at; };
  GaussianMixture keeps({.components = 3}), forgets({.components = 3, .online_gain = 0.3});
  for (int64_t i = 0; i < 30; ++i) {
    const at::Tensor x = batch(0.2 * static_cast<double>(i), i);
    keeps.partial_fit(x);
    forgets.partial_fit(x);
  }
  const at::Tensor next = batch(6, 30);
  EXPECT_GT(forgets.score(next), keeps.score(next) + 0.2);
}

TEST(GaussianMixtureFit, DelayedOnlineStepsBeginWithAllBatchesAlike) {
  const at::Tensor x = test_points(0, 400);
  GaussianMixture delayed({.components = 2, .starts = 1, .online_delay = 2});
  delayed.partial_fit(x.slice(0, 0, 200));
  const at::Tensor before = delayed.means().clone();
  delayed.partial_fit(x.slice(0, 200, 400));
  EXPECT_TRUE(at::equal(delayed.means(), before));
  EXPECT_EQ(delayed.report().trace.steps, 0);
  delayed.partial_fit(x.slice(0, 0, 200));
  EXPECT_FALSE(at::equal(delayed.means(), before));
}

TEST(GaussianMixtureStart, EveryWayToBeginFindsTheClumps) {
  const at::Tensor x = at::cat({test_points(0, 300), test_points(300, 600) + 20});
  double most = 0;
  for (const char* init : {"k-means", "k-means++", "k-means||", "random"}) {
    GaussianMixture m({.components = 2, .init = init, .starts = 8, .tolerance = 1e-12});
    const double l = m.fit(x).report().log_likelihood;
    if (most == 0) most = l;
    EXPECT_NEAR(l, most, 1e-5) << init;
    const auto sorted = std::get<0>(m.means().select(1, 0).sort());
    EXPECT_NEAR((sorted[1] - sorted[0]).item<double>(), 20, 0.2) << init;
  }
}

// Four places with their rows: seeds are drawn by distance, so that each place has one; sweeps have
// nothing left to do.
TEST(GaussianMixtureStart, SeedsAreRowsFarApart) {
  const at::Tensor places = at::tensor({0., 0., 9., 1., 1., 9., 8., 8.}, at::kDouble).view({4, 2});
  const at::Tensor x = places.repeat({25, 1});
  for (const char* init : {"k-means++", "k-means||"}) {
    GaussianMixture m({.components = 4, .init = init, .starts = 1, .steps = 0});
    m.fit(x);
    const at::Tensor order = m.means().matmul(at::tensor({1., 0.01}, at::kDouble)).argsort();
    const at::Tensor truth = places.matmul(at::tensor({1., 0.01}, at::kDouble)).argsort();
    EXPECT_TRUE(at::allclose(m.means().index_select(0, order), places.index_select(0, truth)))
        << init;
    EXPECT_TRUE(at::allclose(m.weights(), at::full({4}, 0.25, at::kDouble))) << init;
  }
}

TEST(GaussianMixtureStart, SeedsAloneAreNotSwept) {
  const at::Tensor x = test_points(0, 500);
  const auto start = [&](const char* init) {
    GaussianMixture m({.components = 3, .init = init, .starts = 1, .steps = 0});
    return m.fit(x).means();
  };
  EXPECT_FALSE(at::allclose(start("k-means"), start("k-means++")));
  EXPECT_FALSE(at::allclose(start("k-means++"), start("k-means||")));
  EXPECT_TRUE(at::equal(start("k-means||"), start("k-means||")));
}

TEST(GaussianMixtureStart, LabelsGiveTheirGroupsMoments) {
  const at::Tensor x = test_points(0, 90);
  at::Tensor labels = at::arange(90, at::kLong).remainder(3);
  labels.slice(0, 80) = -1;  // of the last ten nothing is known
  const at::Tensor w = 1 + at::arange(90, at::kDouble).remainder(4);
  for (const char* type : {"spherical", "diagonal", "tied", "full", "EEV"}) {
    GaussianMixture m({.covariance = type, .steps = 0});
    m.start_from_labels(x, labels, w).fit(x, w);
    ASSERT_EQ(m.components(), 3);
    const at::Tensor mass = at::zeros({3}, at::kDouble);
    for (int64_t c = 0; c < 3; ++c) {
      const at::Tensor own = w * labels.eq(c).to(at::kDouble);
      mass[c] = own.sum();
      const at::Tensor mean = own.matmul(x) / own.sum(), z = x - mean;
      EXPECT_TRUE(at::allclose(m.means()[c], mean, 1e-12, 1e-12)) << type;
      const at::Tensor full = z.t().matmul(own.unsqueeze(1) * z) / own.sum();
      if (std::string(type) == "full") {
        EXPECT_TRUE(at::allclose(m.covariances()[c], full, 1e-10, 1e-12));
      } else if (std::string(type) == "diagonal") {
        EXPECT_TRUE(at::allclose(m.covariances()[c], full.diagonal(), 1e-10, 1e-12));
      }
    }
    EXPECT_TRUE(at::allclose(m.weights(), mass / mass.sum(), 1e-12, 1e-12)) << type;
  }
}

TEST(GaussianMixtureStart, ResponsibilitiesAreTheFirstHalfOfAStep) {
  const at::Tensor x = test_points(0, 200);
  for (const char* type : {"spherical", "diagonal", "tied", "full"}) {
    GaussianMixtureOptions o{
        .components = 3, .covariance = type, .starts = 1, .steps = 2, .tolerance = 0};
    GaussianMixture before(o);
    before.fit(x);
    o.steps = 3;
    GaussianMixture after(o);
    after.fit(x);
    o.steps = 0;
    GaussianMixture m(o);
    m.start_from_responsibilities(x, 7 * before.predict_proba(x)).fit(x);  // scale is no matter
    EXPECT_NEAR(m.report().log_likelihood, after.report().log_likelihood, 1e-9) << type;
    EXPECT_TRUE(at::allclose(m.means(), after.means(), 1e-10, 1e-12)) << type;
  }
  const at::Tensor labels = at::arange(200, at::kLong).remainder(3);
  GaussianMixture hard({.steps = 0}), soft({.steps = 0});
  hard.start_from_labels(x, labels).fit(x);
  soft.start_from_responsibilities(x, at::one_hot(labels, 3)).fit(x);
  EXPECT_TRUE(at::equal(hard.covariances(), soft.covariances()));
}

TEST(GaussianMixtureStart, GivenMeansAreKept) {
  const at::Tensor x = at::cat({test_points(0, 100), test_points(100, 160) + 20});
  const at::Tensor means =
      at::tensor({0., 0., 0., 19., 19., 19., 500., 0., 0.}, at::kDouble).view({3, 3});
  GaussianMixture m({.steps = 0});
  m.start_from_means(x, means).fit(x);
  EXPECT_TRUE(at::equal(m.means(), means));
  // The third has no row: the weight of one, and the data's variances.
  EXPECT_TRUE(at::allclose(m.weights(), at::tensor({100., 60., 1.}, at::kDouble) / 161, 1e-12, 0));
  EXPECT_TRUE(
      at::allclose(m.covariances()[2].diagonal(), (x - x.mean(0)).square().mean(0), 1e-9, 0));
  GaussianMixture fitted({.tolerance = 1e-10});
  fitted.start_from_means(x, means.slice(0, 0, 2)).fit(x);
  EXPECT_NEAR(fitted.weights()[0].item<double>(), 100.0 / 160, 1e-6);
}

TEST(GaussianMixtureStart, PrecisionsAreCovariancesTheOtherWayRound) {
  const at::Tensor x = test_points(0, 200);
  for (const char* type : {"spherical", "diagonal", "tied", "full"}) {
    GaussianMixture m({.components = 2, .covariance = type}), again({.covariance = type});
    m.fit(x);
    const at::Tensor s = m.covariances();
    const bool matrices = std::string(type) == "tied" || std::string(type) == "full";
    again.set_precisions(m.weights(), m.means(), matrices ? at::linalg_inv(s) : s.reciprocal());
    EXPECT_TRUE(at::allclose(again.covariances(), s, 1e-10, 1e-12)) << type;
    EXPECT_TRUE(at::allclose(again.score_samples(x), m.score_samples(x), 1e-10, 1e-10)) << type;
  }
}

TEST(GaussianMixtureStart, BadStartsAreNamed) {
  const at::Tensor x = test_points(0, 6);
  const auto whole = [](std::vector<double> v) { return at::tensor(v, at::kDouble); };
  using testing::HasSubstr;
  GaussianMixture m;
  EXPECT_THAT(refusal([&] { m.start_from_labels(x, whole({0, 1})); }),
              HasSubstr("one label a row"));
  EXPECT_THAT(refusal([&] { m.start_from_labels(x, whole({0, 1, 0.5, 0, 0, 0})); }),
              HasSubstr("row 2"));
  EXPECT_THAT(refusal([&] { m.start_from_labels(x, whole({0, 2, 0, 0, 0, 0})); }),
              HasSubstr("the label 1"));
  EXPECT_THAT(refusal([&] { m.start_from_labels(x, at::full({6}, -1)); }), HasSubstr("no row"));
  EXPECT_THAT(refusal([&] { m.start_from_responsibilities(x, at::full({6, 2}, -1.0)); }),
              HasSubstr("row 0, column 0"));
  EXPECT_THAT(refusal([&] { m.start_from_responsibilities(x, at::zeros({6, 2})); }),
              HasSubstr("no row belongs"));
  EXPECT_THAT(refusal([&] { m.start_from_means(x, at::zeros({2, 2})); }), HasSubstr("columns"));
  EXPECT_THAT(refusal([&] {
                m.set_precisions(at::ones({1}), at::zeros({1, 2}), -at::eye(2).unsqueeze(0));
              }),
              HasSubstr("positive definite"));
  EXPECT_THAT(refusal([&] { GaussianMixture({.init = "best"}); }), HasSubstr("init"));
}

}  // namespace
}  // namespace covary::mixture
