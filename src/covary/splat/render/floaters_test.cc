#include "covary/splat/render/floaters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/test_clouds.h"

namespace covary::render {
namespace {

constexpr int64_t kBall = 3000, kFloaters = 20;

// A ball of opaque splats, radius 1, and few splats between it and the cameras.
scene::Cloud ball_with_floaters() {
  scene::Cloud c = scene::testing_clouds::random_cloud(kBall + kFloaters, 0);
  const Random random(5, 1);
  for (int64_t i = 0; i < c.size(); ++i) {
    const auto z = random.normal4(static_cast<uint64_t>(i));
    const double length = std::sqrt(z[0] * z[0] + z[1] * z[1] + z[2] * z[2]);
    const double radius =
        i < kBall ? 1 : 1.5 + 0.5 * random.uniform(static_cast<uint64_t>(10 * kBall + i));
    for (int k = 0; k < 3; ++k) c.means[i][k] = radius * z[static_cast<size_t>(k)] / length;
  }
  c.scales.fill_(std::log(0.03f));
  c.opacities.fill_(3);
  return c;
}

std::vector<scene::Camera> around(int count) {
  const scene::Camera like = scene::camera_of_ball({0, 0, 0}, 1, {0, -1, 0}, 120, 90);
  std::vector<scene::Camera> views;
  for (int i = 0; i < count; ++i) {
    const double a = 2 * std::numbers::pi * i / count;
    views.push_back(scene::looking_at(
        like, {4 * std::cos(a), i % 2 == 0 ? 1.5 : -1.5, 4 * std::sin(a)}, {0, 0, 0}, {0, -1, 0}));
  }
  return views;
}

TEST(Floaters, HangInTheAirBeforeASurface) {
  const scene::Cloud c = ball_with_floaters();
  const Floaters f = find_floaters(c, around(8), {.share = 0.1});
  EXPECT_GE(f.rows.narrow(0, kBall, kFloaters).sum().item<int64_t>(), kFloaters - 1);
  EXPECT_LE(f.rows.narrow(0, 0, kBall).sum().item<int64_t>(), 3);
  EXPECT_EQ(f.count, f.rows.sum().item<int64_t>());
  EXPECT_GT(f.pieces, kFloaters / 2);
}

TEST(Floaters, StrengthFindsMoreOfThem) {
  const scene::Cloud c = ball_with_floaters();
  const std::vector<scene::Camera> views = around(4);
  int64_t before = 0;
  for (const double strength : {0.0, 0.3, 0.5, 0.8, 1.0}) {
    const Floaters f = find_floaters(c, views, {.strength = strength});
    EXPECT_GE(f.count, before) << strength;
    if (strength == 0) {
      EXPECT_EQ(f.count, 0);
    }
    before = f.count;
  }
  EXPECT_GT(before, 0);
}

TEST(Floaters, AThingThatMakesMuchOfThePictureStays) {
  scene::Cloud c = ball_with_floaters();
  c.scales[kBall].fill_(std::log(0.5f));
  const Floaters f = find_floaters(c, around(8), {});
  EXPECT_FALSE(f.rows[kBall].item<bool>());
  EXPECT_EQ(error_of([&] { find_floaters(c, {}, {}); }).code(), ExitCode::kUsage);
  EXPECT_EQ(error_of([&] { find_floaters(c, around(1), {.strength = 2}); }).code(),
            ExitCode::kUsage);
}

TEST(Floaters, SplatsThatAllStandAtOnePlaceAreOnePiece) {
  constexpr int64_t kMany = 50000;
  scene::Cloud c = scene::testing_clouds::random_cloud(kMany, 0);
  c.means.zero_();
  c.scales.fill_(std::log(0.05f));
  c.opacities.fill_(3);
  const Floaters f = find_floaters(c, around(1), {});
  EXPECT_EQ(f.count, 0);
  EXPECT_EQ(f.usual, 0);
  EXPECT_EQ(f.spacing.abs().max().item<double>(), 0);
}

TEST(Floaters, ThePreviewShowsThemRed) {
  const scene::Cloud c = ball_with_floaters();
  at::Tensor rows = at::zeros({c.size()}, at::kBool);
  const scene::Camera view = around(1)[0];
  const data::Image8 none = preview_of(c, rows, view);
  rows.narrow(0, kBall, kFloaters).fill_(true);
  const data::Image8 some = preview_of(c, rows, view);
  int64_t red = 0, red_without = 0;
  for (size_t i = 0; i < some.pixels.size(); i += 3) {
    red += some.pixels[i] > 150 && some.pixels[i + 1] < 80;
    red_without += none.pixels[i] > 150 && none.pixels[i + 1] < 80;
  }
  EXPECT_EQ(red_without, 0);
  EXPECT_GT(red, 5);
}

}  // namespace
}  // namespace covary::render
