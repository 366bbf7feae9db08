#include "covary/splat/scene/moment_merge.h"

#include <gtest/gtest.h>

#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::scene {
namespace {

using testing_clouds::covariances;
using testing_clouds::gap;
using testing_clouds::random_cloud;

TEST(MomentMerge, APairKeepsItsMoments) {
  Cloud c = random_cloud(2, 1);
  c.columns["label"] = at::tensor({4, 9}, at::kInt);
  const at::Tensor mass = at::tensor({1.0, 3.0}, at::kDouble);
  const Merged m = merged_by_moments(c, mass, {.target = 1});
  ASSERT_EQ(m.cloud.size(), 1);
  m.cloud.check();
  const at::Tensor x = c.means.to(at::kDouble), w = mass / 4;
  const at::Tensor mean = w.matmul(x), d = x - mean;
  const at::Tensor second =
      (w.view({2, 1, 1}) * (covariances(c) + d.unsqueeze(2) * d.unsqueeze(1))).sum(0);
  EXPECT_LT(gap(m.cloud.means[0], mean), 1e-6);
  EXPECT_LT(gap(covariances(m.cloud)[0], second), 1e-5);
  EXPECT_LT(gap(m.cloud.sh0[0], w[0] * c.sh0[0] + w[1] * c.sh0[1]), 1e-6);
  EXPECT_LT(gap(m.cloud.shN[0], w[0] * c.shN[0] + w[1] * c.shN[1]), 1e-6);
  EXPECT_EQ(m.cloud.columns.at("label")[0].item<int>(), 9);  // of the heavier
  EXPECT_EQ(m.into.sum().item<int64_t>(), 0);
  EXPECT_EQ(m.mass[0].item<double>(), 4);
}

// Two balls of one size, `apart` deviations apart: the opacity of what they become.
double merged_opacity(double opacity, double apart) {
  Cloud c = random_cloud(2, 0);
  c.scales.fill_(std::log(0.1f));
  c.means.zero_();
  c.means[1][0] = 0.1 * apart;
  c.opacities.fill_(std::log(opacity / (1 - opacity)));
  const Merged m = merged_by_moments(c, at::ones({2}, at::kDouble), {.target = 1});
  return m.cloud.opacities.sigmoid()[0].item<double>();
}

TEST(MomentMerge, OpacityLeavesWhatIsCovered) {
  // At one place: one behind the other.
  EXPECT_NEAR(merged_opacity(0.4, 0), 1 - 0.6 * 0.6, 1e-5);
  EXPECT_LE(merged_opacity(0.99, 0), 0.9951);
  // Far apart: the sum of opacity times area, spread over the area of both.
  const double s = 0.25 * 40 * 40;
  EXPECT_NEAR(merged_opacity(0.4, 40), 2 * 0.4 * std::sqrt(3) / std::sqrt(1 + 2 * (1 + s)), 1e-3);
}

TEST(MomentMerge, WhatIsLeftAloneKeepsItsBits) {
  Cloud c = random_cloud(400, 2);
  const Merged m = merged_by_moments(c, at::rand({400}, at::kDouble) + 0.1, {.target = 390});
  ASSERT_EQ(m.cloud.size(), 390);
  const at::Tensor count =
      at::zeros({390}, at::kLong).index_add_(0, m.into, at::ones({400}, at::kLong));
  int64_t alone = 0;
  for (int64_t i = 0; i < 400; ++i) {
    const int64_t to = m.into[i].item<int64_t>();
    if (count[to].item<int64_t>() > 1) continue;
    ++alone;
    EXPECT_TRUE(m.cloud.means[to].equal(c.means[i]));
    EXPECT_TRUE(m.cloud.quats[to].equal(c.quats[i]));
    EXPECT_TRUE(m.cloud.shN[to].equal(c.shN[i]));
  }
  EXPECT_GE(alone, 380);
}

TEST(MomentMerge, CheapPairsGoFirst) {
  // A row of pairs; in each the partners are near, the more so the lower the pair.
  constexpr int64_t kPairs = 20;
  Cloud c = random_cloud(2 * kPairs, 0);
  c.scales.fill_(std::log(0.1f));
  c.sh0.zero_();
  for (int64_t i = 0; i < kPairs; ++i)
    for (int64_t k = 0; k < 2; ++k) {
      c.means[2 * i + k].zero_();
      c.means[2 * i + k][0] =
          5.0 * static_cast<double>(i) + 0.01 * static_cast<double>(k * (i + 1));
    }
  const Merged m =
      merged_by_moments(c, at::ones({2 * kPairs}, at::kDouble), {.target = 2 * kPairs - 7});
  for (int64_t i = 0; i < kPairs; ++i)
    EXPECT_EQ(m.into[2 * i].item<int64_t>() == m.into[2 * i + 1].item<int64_t>(), i < 7) << i;
}

TEST(MomentMerge, ABoundOnTheDivergenceStopsIt) {
  // Two pairs, far from one another.
  Cloud c = random_cloud(4, 0);
  c.scales.fill_(std::log(0.1f));
  c.sh0.zero_();
  c.means.zero_();
  for (int64_t i = 0; i < 4; ++i)
    c.means[i][0] = 5.0 * static_cast<double>(i / 2) + 0.01 * static_cast<double>(i % 2);
  const at::Tensor mass = at::ones({4}, at::kDouble);
  const Merged m = merged_by_moments(c, mass, {.target = 1, .divergence = 1});
  EXPECT_EQ(m.cloud.size(), 2);
  EXPECT_LE(m.worst, 1);
  const Merged all = merged_by_moments(c, mass, {.target = 1});
  EXPECT_EQ(all.cloud.size(), 1);
  EXPECT_GT(all.worst, 1);
}

TEST(MomentMerge, ManyAtOnePlaceTakeFewRounds) {
  constexpr int64_t kCount = 20000;
  Cloud c = random_cloud(kCount, 0);
  c.means.zero_();
  const Merged half = merged_by_moments(c, at::ones({kCount}, at::kDouble), {.target = kCount / 2});
  EXPECT_EQ(half.cloud.size(), kCount / 2);
  EXPECT_LE(half.rounds, 4);
  const Merged one = merged_by_moments(c, at::ones({kCount}, at::kDouble), {.target = 1});
  EXPECT_EQ(one.cloud.size(), 1);
  EXPECT_LE(one.rounds, 60);
  // Others beside them are merged as well.
  c.means.narrow(0, 0, 5).select(1, 0).fill_(1);
  EXPECT_EQ(merged_by_moments(c, at::ones({kCount}, at::kDouble), {.target = 1}).cloud.size(), 1);
}

TEST(MomentMerge, DifferentColoursCost) {
  Cloud c = random_cloud(3, 0);
  c.scales.fill_(std::log(0.1f));
  c.means.zero_();
  c.means[0][0] = -0.05;
  c.means[2][0] = 0.06;  // a little farther from the middle than the first
  c.sh0[0].fill_(2);
  c.sh0[1].zero_();
  c.sh0[2].zero_();
  const Merged m = merged_by_moments(c, at::ones({3}, at::kDouble), {.target = 2});
  EXPECT_EQ(m.into[1].item<int64_t>(), m.into[2].item<int64_t>());
}

TEST(MomentMerge, IsTheSameOnAnyNumberOfThreadsAndRefusesWhatIsNotFinite) {
  Cloud c = random_cloud(3000, 1);
  const at::Tensor mass = at::rand({3000}, at::kDouble);
  set_threads(1);
  const Merged one = merged_by_moments(c, mass, {.target = 700});
  set_threads(4);
  const Merged four = merged_by_moments(c, mass, {.target = 700});
  set_threads(0);
  EXPECT_TRUE(one.into.equal(four.into));
  EXPECT_TRUE(one.cloud.quats.equal(four.cloud.quats));
  EXPECT_TRUE(one.cloud.shN.equal(four.cloud.shN));
  c.means[17][1] = std::nanf("");
  const Error e = error_of([&] { merged_by_moments(c, mass, {.target = 700}); });
  EXPECT_EQ(e.code(), ExitCode::kData);
  EXPECT_NE(std::string(e.what()).find("17"), std::string::npos);
}

}  // namespace
}  // namespace covary::scene
