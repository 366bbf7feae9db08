#include "covary/splat/capture/pairs.h"

#include <set>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covary::capture {
namespace {

using testing::ElementsAre;
using testing::Pair;

std::vector<std::string> names(int n) {
  std::vector<std::string> out;
  for (int i = 0; i < n; ++i) out.push_back(std::to_string(1000 + i));
  return out;
}

TEST(Pairs, EachWithEach) {
  EXPECT_THAT(exhaustive_pairs({"a", "b", "c"}),
              ElementsAre(Pair("a", "b"), Pair("a", "c"), Pair("b", "c")));
  EXPECT_EQ(exhaustive_pairs(names(50)).size(), 1225u);
}

TEST(Pairs, NearAndFarInASequence) {
  const NamePairs pairs = sequential_pairs(names(100), 10);
  const std::set<std::pair<std::string, std::string>> set(pairs.begin(), pairs.end());
  EXPECT_EQ(set.size(), pairs.size());
  for (const int gap : {1, 2, 9, 10, 16, 32, 64})
    EXPECT_TRUE(set.contains({"1000", std::to_string(1000 + gap)})) << gap;
  for (const int gap : {11, 15, 17, 33})
    EXPECT_FALSE(set.contains({"1000", std::to_string(1000 + gap)})) << gap;
}

TEST(Pairs, OfFewNamesTheSequenceHasAll) {
  EXPECT_EQ(sequential_pairs(names(8), 10), exhaustive_pairs(names(8)));
}

TEST(Pairs, WhatIsLeft) {
  EXPECT_THAT(without(exhaustive_pairs({"a", "b", "c"}), {{"a", "c"}}),
              ElementsAre(Pair("a", "b"), Pair("b", "c")));
}

TEST(Pairs, AutoByNumberAndKind) {
  EXPECT_EQ(resolved_matching("auto", 50, false), "exhaustive");
  EXPECT_EQ(resolved_matching("auto", 500, true), "sequential");
  EXPECT_EQ(resolved_matching("auto", 500, false), "similar");
  EXPECT_EQ(resolved_matching("similar", 5, true), "similar");
}

}  // namespace
}  // namespace covary::capture
