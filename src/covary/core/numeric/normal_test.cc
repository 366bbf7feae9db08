#include "covary/core/numeric/normal.h"

#include <cmath>

#include <gtest/gtest.h>

namespace covary::numeric {
namespace {

// mpmath at 60 digits; at -1e5 the asymptotic series at 80.
struct Known {
  double u, log_improvement, slope, log_cdf;
};
constexpr Known kKnown[] = {
    {3.0, 1.0987396653277077727, 0.332840968451795236, -0.0013508099647481937988},
    {0.0, -0.91893853320467274178, 1.25331413731550025, -0.69314718055994530942},
    {-0.5, -1.6205162643873199193, 1.55987314834807967, -1.1759117615936186089},
    {-1.0, -2.4851210257126413368, 1.90427123332969182, -1.8410216450092635058},
    {-1.9, -4.5049311616216667423, 2.59776078153930748, -3.5502813255421345827},
    {-2.1, -5.0408399775039721923, 2.76183621900984694, -4.024944222243984438},
    {-5.0, -16.744301162660990143, 5.36181624128808853, -15.064998393988725736},
    {-40.0, -808.29856835661996024, 40.0499066576485182, -804.60844201375378817},
    {-1e5, -5000000023.9447894634, 100000.00002, -5000000012.4318639983},
};

TEST(Normal, LogarithmsKeepTheirDigits) {
  for (const Known& k : kKnown) {
    double slope, ratio;
    EXPECT_NEAR(log_improvement(k.u, &slope), k.log_improvement,
                4e-15 * (1 + std::abs(k.log_improvement)))
        << k.u;
    EXPECT_NEAR(slope, k.slope, 4e-15 * k.slope) << k.u;
    const double log_cdf = log_normal_cdf(k.u, &ratio);
    EXPECT_NEAR(log_cdf, k.log_cdf, 4e-15 * std::max(1e-3, std::abs(k.log_cdf))) << k.u;
    if (k.u > -10) {
      EXPECT_NEAR(ratio, normal_density(k.u) / normal_cdf(k.u), 1e-13 * ratio);
    }
  }
}

TEST(Normal, SlopesAreThoseOfTheValues) {
  for (double u = -30; u < 8; u += 0.37) {
    const double h = 1e-5 * std::max(1.0, std::abs(u));
    double slope;
    log_improvement(u, &slope);
    EXPECT_NEAR(slope, (log_improvement(u + h) - log_improvement(u - h)) / (2 * h),
                1e-7 * (1 + slope));
    log_normal_cdf(u, &slope);
    EXPECT_NEAR(slope, (log_normal_cdf(u + h) - log_normal_cdf(u - h)) / (2 * h),
                1e-7 * (1 + slope));
  }
}

TEST(Normal, NoStepWhereTheTailBegins) {
  const double left = std::nextafter(-1.5, -3);
  EXPECT_NEAR(log_improvement(left), log_improvement(-1.5), 1e-14);
  EXPECT_NEAR(log_normal_cdf(left), log_normal_cdf(-1.5), 1e-14);
}

TEST(Normal, QuantileInvertsTheDistribution) {
  EXPECT_NEAR(normal_quantile(0.975), 1.959963984540054, 1e-14);
  EXPECT_NEAR(normal_quantile(1e-12), -7.034483825301131, 1e-13);
  EXPECT_NEAR(normal_quantile(0.5), 0, 1e-16);
  for (const double p : {1e-300, 1e-20, 1e-5, 0.01, 0.2, 0.49}) {
    EXPECT_NEAR(normal_cdf(normal_quantile(p)), p, 2e-14 * p * (1 - std::log(p)));
    if (p > 1e-16) {
      EXPECT_NEAR(normal_quantile(1 - p), -normal_quantile(p), 1e-15 / p);
    }
  }
  EXPECT_EQ(normal_quantile(0), -INFINITY);
  EXPECT_EQ(normal_quantile(1), INFINITY);
  EXPECT_TRUE(std::isnan(normal_quantile(-0.1)));
  EXPECT_TRUE(std::isnan(normal_quantile(NAN)));
}

}  // namespace
}  // namespace covary::numeric
