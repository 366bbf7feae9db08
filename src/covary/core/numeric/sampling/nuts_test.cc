#include "covary/core/numeric/sampling/nuts.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/sampling/chain_quality.h"

namespace covary::numeric {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

// Variances 4 and 0.25, correlation 0.8, mean (1, -2).
double correlated(std::span<const double> x, std::span<double> slope) {
  constexpr double kRho = 0.8, kRest = 1 - kRho * kRho;
  const double a = (x[0] - 1) / 2, b = (x[1] + 2) / 0.5;
  slope[0] = -(a - kRho * b) / kRest / 2;
  slope[1] = -(b - kRho * a) / kRest / 0.5;
  return -0.5 * (a * a - 2 * kRho * a * b + b * b) / kRest;
}

// Neal's: the spread of the others is exp(x0 / 2).
double funnel(std::span<const double> x, std::span<double> slope) {
  const double n = static_cast<double>(x.size() - 1), inverse = std::exp(-x[0]);
  double squares = 0;
  for (size_t i = 1; i < x.size(); ++i) {
    squares += x[i] * x[i];
    slope[i] = -x[i] * inverse;
  }
  slope[0] = -x[0] / 9 + 0.5 * squares * inverse - 0.5 * n;
  return -x[0] * x[0] / 18 - 0.5 * squares * inverse - 0.5 * n * x[0];
}

// Within four standard errors of the truth.
void expect_mean(const Vector& values, int64_t chains, double truth) {
  const ChainQuality q = chain_quality(values, chains);
  EXPECT_NEAR(q.mean, truth, 4 * q.mean_error);
  EXPECT_LT(q.r_hat, 1.02);
}

TEST(Nuts, MeetsTheMomentsOfACorrelatedNormal) {
  for (const bool dense : {false, true}) {
    NutsOptions o{.warm_up = 400, .draws = 1000, .dense = dense, .seed = 3};
    const NutsSample s = sample_nuts(correlated, {{0, 0}, {5, -3}, {-4, 1}, {1, -2}}, o);
    const Vector a = s.values(0), b = s.values(1);
    expect_mean(a, 4, 1);
    expect_mean(b, 4, -2);
    Vector aa, bb, ab;
    for (size_t i = 0; i < a.size(); ++i) {
      aa.push_back((a[i] - 1) * (a[i] - 1));
      bb.push_back((b[i] + 2) * (b[i] + 2));
      ab.push_back((a[i] - 1) * (b[i] + 2));
    }
    expect_mean(aa, 4, 4);
    expect_mean(bb, 4, 0.25);
    expect_mean(ab, 4, 0.8);
    EXPECT_EQ(s.divergences(), 0);
    // Quantiles too: a share of 0.05 lies below the mean less 1.645 deviations.
    Vector below;
    for (const double v : a) below.push_back(v < 1 - 2 * 1.6448536);
    expect_mean(below, 4, 0.05);
  }
}

TEST(Nuts, LearnsTheMetric) {
  const NutsOptions o{.warm_up = 600, .draws = 1, .seed = 1};
  const NutsChain c = sample_nuts_chain(correlated, {0, 0}, 0, o);
  ASSERT_EQ(c.metric.size(), 2u);
  EXPECT_NEAR(c.metric[0], 4, 1.6);
  EXPECT_NEAR(c.metric[1], 0.25, 0.1);
  NutsOptions dense = o;
  dense.dense = true;
  const NutsChain d = sample_nuts_chain(correlated, {0, 0}, 0, dense);
  ASSERT_EQ(d.metric.size(), 4u);
  EXPECT_NEAR(d.metric[1] / std::sqrt(d.metric[0] * d.metric[3]), 0.8, 0.1);
  EXPECT_EQ(d.metric[1], d.metric[2]);
}

TEST(Nuts, SetsTheStepForTheAcceptanceAskedFor) {
  double before = kInfinity;
  for (const double target : {0.7, 0.99}) {
    double acceptance = 0, step = 0;  // means of eight chains
    for (int64_t chain = 0; chain < 8; ++chain) {
      const NutsChain c = sample_nuts_chain(correlated, {1, -2}, chain,
                                            {.draws = 300, .acceptance = target, .seed = 6});
      acceptance += c.acceptance / 8;
      step += c.step / 8;
    }
    EXPECT_GT(acceptance, target - 0.05);
    EXPECT_LT(step, 0.7 * before);
    before = step;
  }
}

TEST(Nuts, ReportsTheDivergencesOfAFunnel) {
  const Vector start(6, 0.1);
  const NutsSample s =
      sample_nuts(funnel, {start, start}, {.warm_up = 300, .draws = 500, .seed = 5});
  EXPECT_GT(s.divergences(), 0);
}

// t ~ gamma(3, 2) by u = log t: the Jacobian adds u.
TEST(Nuts, SamplesAPositiveParameterByItsLogarithm) {
  const auto density = [](std::span<const double> u, std::span<double> slope) {
    slope[0] = 3 - 2 * std::exp(u[0]);
    return 3 * u[0] - 2 * std::exp(u[0]);
  };
  const NutsSample s = sample_nuts(density, {{0}, {1}, {-1}}, {.draws = 1000, .seed = 11});
  Vector t = s.values(0), squares;
  for (double& v : t) v = std::exp(v);
  for (const double v : t) squares.push_back((v - 1.5) * (v - 1.5));
  expect_mean(t, 3, 1.5);
  expect_mean(squares, 3, 0.75);
}

// A half-normal whose other half is NaN, and one whose gradient is: both are density 0.
TEST(Nuts, TakesWhatIsNoNumberForDensityZero) {
  for (const int way : {0, 1, 2}) {
    const auto density = [way](std::span<const double> x, std::span<double> slope) {
      slope[0] = x[0] < 0 && way == 1 ? kNan : -x[0];
      if (x[0] < 0 && way != 1) return way == 0 ? kNan : kInfinity;
      return -0.5 * x[0] * x[0];
    };
    const NutsSample s = sample_nuts(density, {{1}, {0.5}}, {.draws = 2000, .seed = 2});
    const Vector x = s.values(0);
    EXPECT_GE(*std::min_element(x.begin(), x.end()), 0);
    const ChainQuality q = chain_quality(x, 2);
    EXPECT_NEAR(q.mean, std::sqrt(2 / std::numbers::pi), 5 * q.mean_error);
    EXPECT_GT(s.divergences(), 0);  // the wall is seen
  }
}

TEST(Nuts, RefusesAStartWithoutDensity) {
  const auto nowhere = [](std::span<const double>, std::span<double> slope) {
    slope[0] = 0;
    return -kInfinity;
  };
  EXPECT_THROW(sample_nuts(nowhere, {{0}}, {}), Error);
  EXPECT_THROW(sample_nuts(correlated, {{0, 0}, {0}}, {}), Error);
  EXPECT_THROW(sample_nuts(correlated, std::vector<Vector>{}, {}), Error);
  EXPECT_THROW(sample_nuts(correlated, {{0, 0}}, {.draws = 0}), Error);
  EXPECT_THROW(sample_nuts(correlated, {{0, 0}}, {.acceptance = 1}), Error);
}

TEST(Nuts, SameSeedSameBitsAtAnyNumberOfThreads) {
  const NutsOptions o{.warm_up = 100, .draws = 50, .seed = 8};
  const std::vector<Vector> starts{{0, 0}, {1, 1}, {2, 2}};
  const auto make = [](int64_t) { return LogDensity(correlated); };
  const NutsSample first = sample_nuts(correlated, starts, o);
  for (const int count : {1, 2}) {
    set_threads(count);
    const NutsSample again = sample_nuts(make, starts, o);
    for (int64_t k = 0; k < 2; ++k) EXPECT_EQ(first.values(k), again.values(k));
    EXPECT_EQ(first.chains[2].step, again.chains[2].step);
  }
  set_threads(0);
  NutsOptions other = o;
  other.seed = 9;
  EXPECT_NE(sample_nuts(correlated, starts, other).values(0), first.values(0));
  // Chains differ by their number, even from one start.
  const NutsSample same = sample_nuts(correlated, {{0, 0}, {0, 0}}, o);
  EXPECT_NE(same.chains[0].draws, same.chains[1].draws);
}

// A short warm-up or none at all still samples.
TEST(Nuts, TakesAnyWarmUp) {
  for (const int64_t warm_up : {0, 1, 10, 20, 149, 150, 151}) {
    const NutsOptions o{.warm_up = warm_up, .draws = 20, .seed = 4};
    const NutsChain c = sample_nuts_chain(correlated, {1, -2}, 0, o);
    EXPECT_EQ(c.draws.size(), 40u);
    EXPECT_GT(c.step, 0) << warm_up;
    for (const double v : c.draws) EXPECT_TRUE(std::isfinite(v));
  }
}

}  // namespace
}  // namespace covary::numeric
