#include "covary/core/numeric/sampling/chain_quality.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"

namespace covary::numeric {
namespace {

using Vector = std::vector<double>;

// x_t = rho x_(t-1) + sqrt(1 - rho^2) e_t, chains of `draws` with shifted means.
Vector autoregressive(double rho, int64_t chains, int64_t draws, double shift, uint64_t seed) {
  Vector out;
  const Random random(seed);
  for (int64_t c = 0; c < chains; ++c) {
    double x = random.normal(static_cast<uint64_t>(1'000'000 + c));
    for (int64_t i = 0; i < draws; ++i) {
      x = rho * x + std::sqrt(1 - rho * rho) * random.normal(static_cast<uint64_t>(c * draws + i));
      out.push_back(x + shift * static_cast<double>(c));
    }
  }
  return out;
}

// Chains (0, 2) and (4, 6): within 2, variance of the means 8, all 2 / 2 + 8.
TEST(ChainQuality, ScaleReductionByHand) {
  EXPECT_NEAR(potential_scale_reduction(Vector{0, 2, 4, 6}, 2), std::sqrt(9.0 / 2), 1e-14);
  // One chain has no variance between: (n - 1) / n is left.
  EXPECT_NEAR(potential_scale_reduction(Vector{1, 2, 3, 4}, 1), std::sqrt(0.75), 1e-14);
}

// Autocorrelations 0.625, 0.25, -0.025 of the biased estimate, 8/7 from there: 4/7, 1/7, -6/35. The
// second pair is negative: time -1 + 2 (1 + 4/7).
TEST(ChainQuality, EffectiveDrawsByHand) {
  EXPECT_NEAR(effective_draws(Vector{1, 1, 2, 2, 3, 3, 4, 4}, 1), 8 / (1 + 8.0 / 7), 1e-12);
}

TEST(ChainQuality, HalvesLeaveTheMiddleOut) {
  EXPECT_THAT(halved_chains(Vector{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, 2),
              testing::ElementsAre(1, 2, 4, 5, 6, 7, 9, 10));
  EXPECT_THAT(halved_chains(Vector{1, 2, 3, 4}, 1), testing::ElementsAre(1, 2, 3, 4));
}

TEST(ChainQuality, TiesShareTheirRank) {
  const Vector z = normal_ranks(Vector{5, 1, 5, 9});  // ranks 2.5, 1, 2.5, 4
  EXPECT_NEAR(z[0], normal_quantile((2.5 - 0.375) / 4.25), 1e-15);
  EXPECT_EQ(z[0], z[2]);
  EXPECT_NEAR(z[1], normal_quantile(0.625 / 4.25), 1e-15);
  EXPECT_NEAR(z[3], -z[1], 1e-12);
  EXPECT_NEAR(z[0], 0, 1e-12);
}

TEST(ChainQuality, QuantilesInterpolate) {
  EXPECT_EQ(sample_quantile({4, 1, 3, 2}, 0), 1);
  EXPECT_EQ(sample_quantile({4, 1, 3, 2}, 1), 4);
  EXPECT_DOUBLE_EQ(sample_quantile({4, 1, 3, 2}, 0.5), 2.5);
  EXPECT_DOUBLE_EQ(sample_quantile({4, 1, 3, 2}, 0.1), 1.3);
}

// An autoregression's time is (1 + rho) / (1 - rho).
TEST(ChainQuality, KnowsTheTimeOfAnAutoregression) {
  for (const double rho : {0.0, 0.8, -0.5}) {
    double sum = 0;  // of the time, over 20 experiments
    for (uint64_t seed = 0; seed < 20; ++seed)
      sum += 8000 / effective_draws(autoregressive(rho, 4, 2000, 0, seed + 1), 4);
    EXPECT_NEAR(sum / 20 * (1 - rho) / (1 + rho), 1, 0.15) << rho;
  }
  const ChainQuality q = chain_quality(autoregressive(0.8, 4, 2000, 0, 3), 4);
  EXPECT_NEAR(q.mean_error, 1 / std::sqrt(8000.0 / 9), 0.006);
  EXPECT_NEAR(q.sd, 1, 0.1);
  EXPECT_LT(q.r_hat, 1.02);
  EXPECT_GT(q.tail, 400);
  EXPECT_LT(q.tail, 4000);
}

TEST(ChainQuality, SeesChainsThatDisagree) {
  EXPECT_LT(chain_quality(autoregressive(0, 4, 500, 0, 1), 4).r_hat, 1.01);
  EXPECT_GT(chain_quality(autoregressive(0, 4, 500, 0.5, 1), 4).r_hat, 1.1);
  // Same mean, another width: only the folded ranks tell.
  Vector wider = autoregressive(0, 2, 500, 0, 6);
  for (size_t i = 500; i < 1000; ++i) wider[i] *= 4;
  EXPECT_LT(potential_scale_reduction(normal_ranks(halved_chains(wider, 2)), 4), 1.01);
  EXPECT_GT(chain_quality(wider, 2).r_hat, 1.1);
  // A drift within each chain: only halves tell.
  Vector drift = autoregressive(0, 2, 500, 0, 7);
  for (size_t i = 0; i < 1000; ++i) drift[i] += 0.004 * static_cast<double>(i % 500);
  EXPECT_LT(potential_scale_reduction(drift, 2), 1.01);
  EXPECT_GT(chain_quality(drift, 2).r_hat, 1.1);
}

// Ranks are those of any monotone transform.
TEST(ChainQuality, RanksDoNotSeeAMonotoneTransform) {
  Vector x = autoregressive(0.3, 4, 200, 0, 9), y = x;
  for (double& v : y) v = std::exp(3 * v);
  EXPECT_EQ(chain_quality(x, 4).bulk, chain_quality(y, 4).bulk);
  EXPECT_EQ(chain_quality(x, 4).tail, chain_quality(y, 4).tail);
}

TEST(ChainQuality, EqualDrawsHaveNone) {
  const ChainQuality q = chain_quality(Vector(40, 3.0), 4);
  EXPECT_EQ(q.mean, 3);
  EXPECT_EQ(q.sd, 0);
  EXPECT_TRUE(std::isnan(q.r_hat));
  EXPECT_TRUE(std::isnan(q.bulk));
  EXPECT_THROW(chain_quality(Vector(10, 1.0), 3), Error);
  EXPECT_THROW(chain_quality(Vector(6, 1.0), 2), Error);
  EXPECT_THROW(chain_quality(Vector(), 2), Error);
}

}  // namespace
}  // namespace covary::numeric
