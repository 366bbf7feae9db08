#include "covary/splat/capture/frame_choice.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::capture {
namespace {

using testing::ElementsAre;

// A wide texture of noise at three scales, looked at from x; blurred along x alone, as by a shake.
data::Image8 look(double x, int blur = 0) {
  static const Random random(5);
  data::Image8 out(90, 160, 1);
  const auto texture = [&](double u, double v) {
    const auto fu = std::floor(u), fv = std::floor(v);
    const auto at = [&](double i, double j) {
      return random.words(static_cast<uint64_t>(i + 1000) * 4096 +
                          static_cast<uint64_t>(j + 1000))[0] /
             4294967296.0;
    };
    const double a = u - fu, b = v - fv;
    return (1 - a) * ((1 - b) * at(fu, fv) + b * at(fu, fv + 1)) +
           a * ((1 - b) * at(fu + 1, fv) + b * at(fu + 1, fv + 1));
  };
  for (int r = 0; r < out.height; ++r)
    for (int c = 0; c < out.width; ++c) {
      double sum = 0;
      for (int k = -blur; k <= blur; ++k)
        for (const double size : {4.0, 16.0, 48.0})
          sum += texture((c + x + k) / size, r / size) / 3;
      *out.at(r, c) = static_cast<uint8_t>(255 * sum / (2 * blur + 1));
    }
  return out;
}

std::vector<FrameScore> scored(const std::vector<data::Image8>& frames) {
  FrameScorer scorer;
  for (const auto& f : frames) scorer.add(f);
  return scorer.scores();
}

TEST(FrameChoosing, MotionIsThatOfThePicture) {
  const auto s = scored({look(0), look(0), look(4), look(12)});
  EXPECT_EQ(s[0].motion, 0);
  EXPECT_NEAR(s[1].motion, 0, 1e-3);
  EXPECT_NEAR(s[2].motion, 4.0 / 160, 0.006);
  EXPECT_NEAR(s[3].motion, 8.0 / 160, 0.006);
}

TEST(FrameChoosing, BlurLowersSharpness) {
  const auto s = scored({look(0), look(0, 2), look(0, 6)});
  EXPECT_LT(s[1].sharpness, 0.5 * s[0].sharpness);
  EXPECT_LT(s[2].sharpness, 0.5 * s[1].sharpness);
}

TEST(FrameChoosing, SharpestOfEachWindow) {
  std::vector<FrameScore> s(12, {1, 0.01});
  s[1].sharpness = s[6].sharpness = s[8].sharpness = 1.2;
  EXPECT_THAT(choose_frames(s, {.count = 3}).frames, ElementsAre(1, 6, 8));
}

TEST(FrameChoosing, ACameraAtRestGivesLittle) {
  std::vector<FrameScore> s(200, {1, 0});
  for (int i = 100; i < 200; ++i) s[static_cast<size_t>(i)].motion = 0.02;
  const auto frames = choose_frames(s, {.count = 40}).frames;
  const auto resting =
      std::count_if(frames.begin(), frames.end(), [](int64_t f) { return f < 100; });
  EXPECT_GE(resting, 1);
  EXPECT_LE(resting, 4);
  EXPECT_GE(frames.size(), 30u);
}

TEST(FrameChoosing, WhollyBlurredWindowsAreLeftOut) {
  std::vector<FrameScore> s(100, {1, 0.01});
  for (int i = 40; i < 50; ++i) s[static_cast<size_t>(i)].sharpness = 0.2;
  const FrameChoice c = choose_frames(s, {.count = 10});
  EXPECT_EQ(c.blurred_windows, 1);
  EXPECT_EQ(c.frames.size(), 9u);
  for (const int64_t f : c.frames) EXPECT_TRUE(f < 40 || f >= 50) << f;
}

TEST(FrameChoosing, TheirNumberFollowsTheWay) {
  EXPECT_EQ(choose_frames(std::vector<FrameScore>(3000, {1, 0.004}), {}).frames.size(), 150u);
  EXPECT_EQ(choose_frames(std::vector<FrameScore>(3000, {1, 0}), {}).frames.size(), 40u);
  EXPECT_EQ(choose_frames(std::vector<FrameScore>(7, {1, 0}), {}).frames.size(), 7u);
  EXPECT_TRUE(choose_frames({}, {}).frames.empty());
  EXPECT_THROW(choose_frames({}, {.count = -1}), Error);
}

}  // namespace
}  // namespace covary::capture
