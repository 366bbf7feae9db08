#include "covary/core/base/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace covary {
namespace {

TEST(Random, WordsAreThoseOfPhilox4x32TenRounds) {
  // Known answer of the Random123 distribution: key and counter all zeros.
  const auto w = Random(0, 0).words(0);
  EXPECT_EQ(w, (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
}

TEST(Random, AValueDependsOnSeedStreamAndElementAlone) {
  const Random a(1, 2), b(1, 2);
  EXPECT_EQ(a.normal(7), b.normal(7));
  EXPECT_NE(a.normal(7), a.normal(8));
  EXPECT_NE(a.normal(7), Random(1, 3).normal(7));
  EXPECT_NE(a.normal(7), Random(2, 2).normal(7));
  EXPECT_NE(stream_of("mcmc.noise", 1), stream_of("mcmc.noise", 2));
  EXPECT_NE(stream_of("a"), stream_of("b"));
}

TEST(Random, MomentsOfUniformAndNormal) {
  const Random r(42);
  constexpr int64_t kDraws = 100000;
  double mean = 0, square = 0, normal_mean = 0, normal_square = 0;
  for (int64_t i = 0; i < kDraws; ++i) {
    const double u = r.uniform(static_cast<uint64_t>(i)), z = r.normal(static_cast<uint64_t>(i));
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    mean += u / kDraws;
    square += u * u / kDraws;
    normal_mean += z / kDraws;
    normal_square += z * z / kDraws;
  }
  EXPECT_NEAR(mean, 0.5, 0.005);
  EXPECT_NEAR(square, 1.0 / 3, 0.005);
  EXPECT_NEAR(normal_mean, 0, 0.015);
  EXPECT_NEAR(normal_square, 1, 0.025);
}

TEST(Random, BelowStaysBelowAndReachesAll) {
  const Random r(3);
  std::set<uint64_t> seen;
  for (uint64_t i = 0; i < 300; ++i) seen.insert(r.below(7, i));
  EXPECT_EQ(seen.size(), 7u);
  EXPECT_EQ(*seen.rbegin(), 6u);
}

TEST(Random, PermutationsHoldEachIndexOnce) {
  std::vector<int64_t> p = Random(5).permutation(1000);
  EXPECT_FALSE(std::is_sorted(p.begin(), p.end()));
  std::sort(p.begin(), p.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(p[static_cast<size_t>(i)], i);
  EXPECT_TRUE(Random(5).permutation(0).empty());
}

}  // namespace
}  // namespace covary
