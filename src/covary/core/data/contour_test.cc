#include "covary/core/data/contour.h"

#include <cmath>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace covary::data {
namespace {

using testing::DoubleNear;
using testing::ElementsAre;

TEST(Contour, ACircleIsOneClosedLineOnIt) {
  constexpr int64_t kSide = 41;
  std::vector<double> v;
  for (int64_t i = 0; i < kSide; ++i) {
    for (int64_t j = 0; j < kSide; ++j)
      v.push_back(-std::hypot(static_cast<double>(i) - 20, static_cast<double>(j) - 20));
  }
  const std::vector<ContourLine> lines = contour_lines(v, kSide, kSide, -12.3);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0].x.front(), lines[0].x.back());
  EXPECT_EQ(lines[0].y.front(), lines[0].y.back());
  EXPECT_GT(lines[0].x.size(), 60u);
  double turned = 0;
  for (size_t i = 0; i < lines[0].x.size(); ++i) {
    const double x = lines[0].x[i] - 20, y = lines[0].y[i] - 20;
    EXPECT_NEAR(std::hypot(x, y), 12.3, 0.02);
    if (i > 0) {
      const double a = lines[0].x[i - 1] - 20, b = lines[0].y[i - 1] - 20;
      turned += std::atan2(a * y - b * x, a * x + b * y);
    }
  }
  EXPECT_NEAR(std::abs(turned), 2 * M_PI, 1e-9);  // once round
}

TEST(Contour, LinesThatLeaveTheGridAreOpen) {
  // A slope along the columns: a straight line up the rows.
  const std::vector<ContourLine> lines = contour_lines({0, 1, 2, 0, 1, 2, 0, 1, 2}, 3, 3, 1.25);
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_THAT(lines[0].x, ElementsAre(1.25, 1.25, 1.25));
  EXPECT_THAT(lines[0].y, ElementsAre(0, 1, 2));
}

TEST(Contour, SaddlesJoinWhatTheMiddleSays) {
  // High corners at lower left and upper right; the middle is 0.25 or 1.75 of corners 0 and 1, 3.
  const auto ends_of_first = [](double high) {
    const std::vector<ContourLine> lines = contour_lines({high, 0, 0, high}, 2, 2, 0.5);
    EXPECT_EQ(lines.size(), 2u);
    return std::abs(lines[0].x[0] - lines[0].x[1]) + std::abs(lines[0].y[0] - lines[0].y[1]);
  };
  // Middle below the level: each high corner is cut off by itself, near to it (half a step to it).
  EXPECT_NEAR(ends_of_first(0.9), 2 * 4.0 / 9, 1e-12);
  // Middle above: the low corners are cut off; crossings are far from the high corners.
  EXPECT_NEAR(ends_of_first(3), 2 * 0.5 / 3, 1e-12);
}

TEST(Contour, WhatIsNotFiniteIsBelowAndNothingIsNothing) {
  for (const ContourLine& line : contour_lines({1, NAN, 1, INFINITY, 2, 1}, 2, 3, 0.5)) {
    for (const double v : line.x) EXPECT_TRUE(std::isfinite(v));
    for (const double v : line.y) EXPECT_TRUE(std::isfinite(v));
  }
  EXPECT_TRUE(contour_lines({1, 1, 1, 1}, 2, 2, 0.5).empty());
  EXPECT_TRUE(contour_lines({}, 0, 0, 0.5).empty());
}

TEST(Contour, RegionsHoldTheirShare) {
  EXPECT_THAT(region_levels({1, 4, 2, 3, NAN}, {0.4, 0.5, 0.95, 1}), ElementsAre(4, 3, 1, 1));
  EXPECT_THAT(region_levels({0, -1}, {0.5}), ElementsAre(0));
  // A standard normal: half of the mass is above the density at 0.6745.
  std::vector<double> p;
  for (double x = -8; x < 8; x += 0.001) p.push_back(std::exp(-0.5 * x * x));
  EXPECT_THAT(region_levels(p, {0.5}),
              ElementsAre(DoubleNear(std::exp(-0.5 * 0.67449 * 0.67449), 2e-3)));
}

}  // namespace
}  // namespace covary::data
