#include "covary/splat/fit/exif_gains.h"

#include <cmath>
#include <numeric>

#include <gtest/gtest.h>

#include "covary/splat/fit/small_capture.h"

namespace covary::fit {
namespace {

scene::Capture with_stops(const std::vector<std::optional<double>>& stops) {
  scene::Capture capture = small_capture();
  for (size_t k = 0; k < capture.train.size(); ++k)
    capture.views[static_cast<size_t>(capture.train[k])].log2_exposure = stops.at(k);
  return capture;
}

TEST(ExifGains, TwiceTheLightIsTheCodedGainOfTwo) {
  const auto gains = exif_gains(with_stops({-7, -6, -8, -7, std::nullopt, -7}));
  ASSERT_EQ(gains.size(), 6u);
  EXPECT_NEAR(gains[1] / gains[0], std::exp2(1 / 2.2), 1e-12);
  EXPECT_NEAR(gains[2] / gains[0], std::exp2(-1 / 2.2), 1e-12);
  EXPECT_NEAR(gains[4], gains[0], 1e-12);  // unknown: the mean of the known
  EXPECT_NEAR(std::accumulate(gains.begin(), gains.end(), 0.0), 6, 1e-12);
}

TEST(ExifGains, WhatTellsNothingGivesNone) {
  EXPECT_TRUE(exif_gains(small_capture()).empty());
  EXPECT_TRUE(exif_gains(with_stops({-7, -7, -7, -7, -7, -7})).empty());
  const auto none = std::nullopt;
  EXPECT_TRUE(exif_gains(with_stops({none, none, -3, none, none, none})).empty());
  // held-out photos have no say
  scene::Capture capture = with_stops({-7, -7, -7, -7, -7, -7});
  capture.views[static_cast<size_t>(capture.test[0])].log2_exposure = 2;
  EXPECT_TRUE(exif_gains(capture).empty());
}

TEST(ExifGains, AnAbsurdExposureIsCut) {
  const auto gains = exif_gains(with_stops({0, 0, 0, 0, 0, 60}));
  EXPECT_NEAR(gains[5] / gains[0], std::exp2(8 / 2.2), 1e-9);  // from -4 to 4
}

}  // namespace
}  // namespace covary::fit
