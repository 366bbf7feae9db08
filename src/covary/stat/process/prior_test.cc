#include "covary/stat/process/prior.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::stat {
namespace {

const std::vector<Prior>& all_priors() {
  static const std::vector<Prior> priors{Prior(),
                                         Prior::gamma(3, 6),
                                         Prior::gamma(0.7, 0.2),
                                         Prior::log_normal(-1, 0.8),
                                         Prior::normal(1, 2),
                                         Prior::half_cauchy(2),
                                         Prior::smoothed_box(0.5, 2, 0.1),
                                         Prior::log_box(0.6, 3, 0.4)};
  return priors;
}

TEST(Prior, SlopeIsTheDerivativeByTheLogarithm) {
  for (const Prior& p : all_priors()) {
    for (const double u : {-2.0, -0.3, 0.1, 1.4}) {
      double slope;
      p.log_density(std::exp(u), &slope);
      const double h = 1e-5;
      const double difference =
          (p.log_density(std::exp(u + h), nullptr) - p.log_density(std::exp(u - h), nullptr)) /
          (2 * h);
      EXPECT_NEAR(slope, difference, 1e-7 * (1 + std::abs(slope))) << p.text() << " at " << u;
    }
  }
}

// Midpoint rule over log value.
TEST(Prior, DensitiesIntegrateToOne) {
  for (const Prior& p : {Prior::gamma(3, 6), Prior::log_normal(-1, 0.8),
                         Prior::smoothed_box(2, 4, 0.1), Prior::log_box(0.3, 2, 0.4)}) {
    double mass = 0;
    const double h = 1e-3;
    for (double u = -15; u < 5; u += h) {
      const double v = std::exp(u + h / 2);
      mass += h * v * std::exp(p.log_density(v, nullptr));
    }
    EXPECT_NEAR(mass, 1, 1e-6) << p.text();
  }
}

TEST(Prior, TextReadsBack) {
  for (const Prior& p : all_priors()) {
    const Prior again = Prior::parse(p.text());
    EXPECT_EQ(again.text(), p.text());
    EXPECT_EQ(again.log_density(0.7, nullptr), p.log_density(0.7, nullptr));
  }
  for (const char* text : {"", "gamma", "gamma()", "gamma(1)", "gamma(1,2", "gamma(1,2,3)",
                           "flat(1)", "gamma(-1,2)", "beta(1,2)"}) {
    EXPECT_THROW(Prior::parse(text), Error) << text;
  }
}

TEST(Prior, RefusesArgumentsOutOfRange) {
  EXPECT_THROW(Prior::gamma(0, 1), Error);
  EXPECT_THROW(Prior::log_normal(0, -1), Error);
  EXPECT_THROW(Prior::normal(std::nan(""), 1), Error);
  EXPECT_THROW(Prior::half_cauchy(0), Error);
  EXPECT_THROW(Prior::smoothed_box(2, 1, 1), Error);
}

}  // namespace
}  // namespace covary::stat
