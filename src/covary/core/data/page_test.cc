#include "covary/core/data/page.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <regex>

namespace covary::data {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(Page, NamesFromElsewhereCannotBecomeMarkup) {
  Chart chart({0, 1}, {0, 1}, "<script>", "a & b");
  chart.line({0, 1}, {0, 1}, 0, "<b>");
  const std::string text = page("<i>", "", chart.card("\"quoted\""));
  for (const char* markup : {"<script>", "<b>", "<i>", "\"quoted\""})
    EXPECT_THAT(text, Not(HasSubstr(markup))) << markup;
  EXPECT_THAT(text, HasSubstr("a &amp; b"));
}

TEST(Page, WhatIsNotFiniteIsLeftOutOfCharts) {
  Chart chart(range_of({1, NAN, 3}), range_of({INFINITY}), "x", "y");
  chart.dots({1, NAN, 2}, {1, 1, INFINITY}, {0});
  chart.line({0, NAN, 1}, {0, 1, NAN}, 0);
  chart.ellipse({1, 1}, {0, 0, 0}, 1);
  chart.heat({0, NAN, 1, 0.5}, 2, 2);
  const std::string svg = chart.card("t");
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
  EXPECT_THAT(svg, Not(HasSubstr("inf")));
}

TEST(Page, AnEllipseTouchesItsCovariancesBox) {
  // A chart of 608 x 388 px over [-10, 10]^2: 30.4 and 19.4 px a unit.
  Chart chart({-10, 10}, {-10, 10}, "x", "y");
  chart.ellipse({0, 0}, {4, 1.8, 1}, 0);
  const std::string svg = chart.card("t");
  double left = 1e9, right = -1e9, top = 1e9, bottom = -1e9;
  const std::regex points("points=\"([^\"]*)\"");
  for (std::sregex_iterator it(svg.begin(), svg.end(), points), end; it != end; ++it) {
    std::stringstream in((*it)[1].str());
    for (double x, y; in >> x && in.ignore() && in >> y;) {
      left = std::min(left, x), right = std::max(right, x);
      top = std::min(top, y), bottom = std::max(bottom, y);
    }
  }
  EXPECT_NEAR(right - left, 2 * 2 * 2 * 30.4, 0.3);  // two standard deviations to both sides
  EXPECT_NEAR(bottom - top, 2 * 2 * 1 * 19.4, 0.3);
}

TEST(Page, TicksAreRoundAndFew) {
  EXPECT_THAT(ticks(0, 10), ElementsAre(0, 5, 10));
  EXPECT_THAT(ticks(-1, 1), ElementsAre(-1, -0.5, 0, 0.5, 1));
  EXPECT_EQ(short_number(1234567), "1.23M");
  EXPECT_EQ(short_number(0.12345), "0.123");
}

}  // namespace
}  // namespace covary::data
