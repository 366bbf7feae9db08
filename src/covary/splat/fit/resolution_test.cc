#include "covary/splat/fit/resolution.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/splat/fit/loss.h"
#include "covary/splat/fit/resolution_options.h"
#include "covary/splat/fit/small_capture.h"

namespace covary::fit {
namespace {

TEST(ResolutionOptions, DivisionIsAFunctionOfTheStep) {
  const auto levels = resolution_levels("4:0.1,2.5:0.25,2:0.5");
  const auto at = [&](int64_t step) { return division_at(levels, step, 1000); };
  EXPECT_EQ(at(1), 4);
  EXPECT_EQ(at(100), 4);
  EXPECT_EQ(at(101), 2.5);
  EXPECT_EQ(at(250), 2.5);
  EXPECT_EQ(at(251), 2);
  EXPECT_EQ(at(500), 2);
  EXPECT_EQ(at(501), 1);
  EXPECT_EQ(at(1000), 1);
  EXPECT_TRUE(resolution_levels("full").empty());
  EXPECT_EQ(division_at({}, 1, 10), 1);
}

TEST(ResolutionOptions, ALevelMayHaveItsOwnNumberOfViewsAStep) {
  const auto levels = resolution_levels("8:0.1:48,4:0.25:24,2:0.5");
  EXPECT_EQ(levels[0].views, 48);
  EXPECT_EQ(levels[2].views, 0);
  EXPECT_EQ(division_at(levels, 100, 1000), 8);
  const auto before = [&](int64_t step) { return views_before(levels, 3, step, 1000); };
  EXPECT_EQ(before(1), 0);
  EXPECT_EQ(before(2), 48);
  EXPECT_EQ(before(101), 4800);
  EXPECT_EQ(before(102), 4824);
  EXPECT_EQ(before(251), 4800 + 150 * 24);
  EXPECT_EQ(before(1001), 4800 + 150 * 24 + 750 * 3);
  EXPECT_EQ(views_before({}, 2, 8, 10), 14);
  TrainOptions o;  // what rates of photos are of
  o.steps = 1000;
  o.views_per_step = 3;
  EXPECT_EQ(o.views_drawn(), 3000);
  o.resolution_schedule = "4:0.1:12,2:0.4:6";
  EXPECT_EQ(o.views_drawn(), 100 * 12 + 300 * 6 + 600 * 3);
}

TEST(ResolutionOptions, WhatIsNoScheduleIsRefusedByName) {
  for (const char* text : {"",
                           "auto",
                           "4",
                           "4:",
                           ":0.5",
                           "4:0.1,",
                           "4:0.1,,2:0.5",
                           "0.5:0.1",
                           "nan:0.1",
                           "4:nan",
                           "4:0",
                           "4:1.1",
                           "4:-0.1",
                           "inf:0.1",
                           "1000:0.1",
                           "2:0.1,4:0.5",
                           "4:0.5,2:0.5",
                           "4:0.5;2:1",
                           "4:0.1 ,2:0.4",
                           "4:0.1:",
                           "4:0.1:0",
                           "4:0.1:2.5",
                           "4:0.1:2:3",
                           "4:0.1:2000",
                           "4:0x1"}) {
    SCOPED_TRACE(text);
    try {
      resolution_levels(text);
      ADD_FAILURE() << "taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kUsage);
      EXPECT_EQ(e.where(), "resolution_schedule");
    }
  }
}

TEST(Shrunk, ScalesTheCameraByTheActualRatios) {
  scene::View view;
  view.camera = ring_camera(0.3, 50, 37);
  view.camera.cx = 21.25;
  view.camera.cy = 19.5;
  view.image = data::Image8(37, 50, 3);
  const scene::View small = shrunk(view, 2, false);
  ASSERT_EQ(small.image.width, 25);
  ASSERT_EQ(small.image.height, 19);  // 18.5 rounded
  EXPECT_EQ(small.camera.width, 25);
  EXPECT_EQ(small.camera.height, 19);
  // pixel centres at +0.5: a point at (x, y) px of the whole picture is at the same share of the small one
  const Eigen::Vector3d point(0.2, -0.1, 0.15);
  const Eigen::Vector2d whole = view.camera.project(point), half = small.camera.project(point);
  EXPECT_NEAR(half.x(), whole.x() * 25 / 50, 1e-12);
  EXPECT_NEAR(half.y(), whole.y() * 19 / 37, 1e-12);
  const scene::View least = shrunk(view, 30, false);
  EXPECT_EQ(least.image.width, kLeastSide);
  EXPECT_EQ(least.image.height, kLeastSide);
}

// The whole picture's mean over squares of `division` pixels.
at::Tensor box_mean(const at::Tensor& image, int64_t division) {
  return at::avg_pool2d(image.permute({2, 0, 1}).unsqueeze(0), {division, division})
      .squeeze(0)
      .permute({1, 2, 0});
}

at::Tensor drawn(const scene::Cloud& cloud, const scene::Camera& camera, double dilation) {
  const at::NoGradGuard no_gradient;
  return render::rasterize(activated(cloud), render::views_of({camera}), {.dilation = dilation})
      .color.squeeze(0);
}

TEST(Shrunk, SmallCameraSeesTheBoxFilteredPictureOfTheWholeOne) {
  const scene::Cloud cloud = small_cloud();
  const double usual = render::RasterizeOptions{}.dilation;
  scene::View view;
  view.camera = ring_camera(0.7, 192, 144);
  view.image = data::Image8(144, 192, 3);
  const at::Tensor whole = drawn(cloud, view.camera, usual);
  for (const int64_t division : {2, 4}) {
    SCOPED_TRACE(division);
    const scene::Camera small = shrunk(view, static_cast<double>(division), false).camera;
    const at::Tensor mean = box_mean(whole, division);
    const auto error = [&](const scene::Camera& camera, double dilation) {
      return (drawn(cloud, camera, dilation) - mean).abs().mean().item<double>();
    };
    // the whole picture's dilation, and the variance of a square of its pixels
    const double square = static_cast<double>(division * division);
    const double dilation = usual / square + (1 - 1 / square) / 12;
    EXPECT_LT(error(small, dilation), 2e-3);
    // worse: the whole picture's dilation, and a principal point that is half a pixel off
    EXPECT_LT(2 * error(small, dilation), error(small, usual));
    scene::Camera off = small;
    off.cx += 0.5 - 0.5 / static_cast<double>(division);
    EXPECT_LT(2 * error(small, dilation), error(off, dilation));
  }
}

TEST(Shrunk, PixelsAreMeansOfWhatTheMaskLeaves) {
  scene::View view;
  view.camera = ring_camera(0, 32, 32);
  view.image = data::Image8(32, 32, 3);
  view.mask = data::Image8(32, 32, 1);
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) {
      const bool used = x % 2 == 0 && x < 16;  // half of the left pixels, none of the right
      *view.mask.at(y, x) = used ? 255 : 0;
      for (int k = 0; k < 3; ++k)
        view.image.at(y, x)[k] = static_cast<uint8_t>(used ? 40 + y : 251);
    }
  const scene::View small = shrunk(view, 2, false);
  ASSERT_EQ(small.mask.width, 16);
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 16; ++x) {
      EXPECT_EQ(*small.mask.at(y, x), x < 8 ? 255 : 0);
      if (x < 8) {
        EXPECT_NEAR(small.image.at(y, x)[1], 40.5 + 2 * y, 0.51);
      }
    }
}

TEST(Shrunk, TransparencyAndWhatItShowsCommute) {
  // straight colours before a random background: shrinking the composite gives the composite of the shrunk
  scene::Capture capture;
  capture.random_background = true;
  scene::View view;
  view.camera = ring_camera(0, 32, 32);
  view.image = data::Image8(32, 32, 3);
  view.alpha = data::Image8(32, 32, 1);
  for (int y = 0; y < 32; ++y)
    for (int x = 0; x < 32; ++x) {
      *view.alpha.at(y, x) = static_cast<uint8_t>((37 * x + 11 * y) % 256);
      for (int k = 0; k < 3; ++k)
        view.image.at(y, x)[k] = static_cast<uint8_t>((71 * x + 29 * y + 90 * k) % 256);
    }
  const at::Tensor background = at::tensor({0.5f, 0.1f, 0.9f});
  const scene::View small = shrunk(view, 2, true);
  const at::Tensor a = make_target(small, capture, "ignore", background).image;
  const at::Tensor b = box_mean(make_target(view, capture, "ignore", background).image, 2);
  EXPECT_LT((a - b).abs().max().item<double>(), 1.01 / 255);  // two roundings to bytes
}

TEST(CoarseViews, KeepOneLevel) {
  const scene::Capture capture = small_capture();
  CoarseViews coarse;
  const auto first = coarse.at(capture, 1, 2);
  EXPECT_EQ(first->image.width, 24);
  EXPECT_EQ(first, coarse.at(capture, 1, 2));
  EXPECT_EQ(coarse.at(capture, 2, 2)->name, "view2.png");
  EXPECT_EQ(coarse.at(capture, 1, 1.5)->image.width, 32);
  EXPECT_EQ(coarse.at(capture, 1, 2)->image.width, 24);
  EXPECT_EQ(coarse.at(capture, 1, 1).get(), &capture.views[1]) << "the whole photo";
}

}  // namespace
}  // namespace covary::fit
