#include <cmath>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/oracle.h"

namespace covary::compute {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr BesselOptions kLogI{BesselKind::kI}, kLogK{BesselKind::kK};
constexpr BesselOptions kScaledI{BesselKind::kI, true}, kScaledK{BesselKind::kK, true};

struct Parts {
  double value, dv, dx, dvv, dvx, dxx;
};

Parts parts(const BesselOptions& options, double v, double x) {
  Parts p;
  log_bessel_reference<double>(options, {1, &v, &x},
                               {&p.value, &p.dv, &p.dx, &p.dvv, &p.dvx, &p.dxx});
  return p;
}

// The error in units of max(1, |expected|).
double error(double got, double expected) {
  return std::fabs(got - expected) / std::fmax(1, std::fabs(expected));
}

TEST(BesselReference, AgreesWithPublishedDigits) {
  const struct {
    double v, x, log_i, log_k;
  } known[] = {
      {0, 0.5, 0.061549719185481303941, -0.078589769869081416895},
      {0.1, 0.5, -0.032689191944409885322, -0.072477655086122359354},
      {2.5, 7.25, 4.8993871980407107532, -7.6288566693690244267},
      {12.5, 19.5, 13.128944356084052962, -16.964700641012441732},
      {15, 31, 24.751221299302213412, -28.983535001589912352},
      {3, 1500, 1495.4215336346595994, -1503.427903146751806},
      {1023, 1000, 507.83022839542616003, -515.78920349512485997},
      {1023, 10, -4424.8010147526111181, 4417.1773250313517227},
      {4095, 2000, -1445.6851950567511023, 1436.5675612466486},
      {16383, 5000, -14044.88758179156685, 14034.445906316580332},
      {32767, 32768, 17454.690854079034451, -17466.127767299528144},
      {200, 1e6, 999992.15330630287991, -1000006.661964061404},
      {1e5, 1, -1120613.9399526164211, 1120601.7338799708409},
  };
  for (const auto& k : known) {
    EXPECT_LE(error(log_bessel(kLogI, k.v, k.x), k.log_i), 1e-15) << k.v << " " << k.x;
    EXPECT_LE(error(log_bessel(kLogK, k.v, k.x), k.log_k), 1e-15) << k.v << " " << k.x;
  }
}

TEST(BesselReference, IsWithin4e15OfTheOracleEverywhere) {
  for (const OracleRow& row : bessel_oracle()) {
    SCOPED_TRACE(testing::Message() << "v " << row.v << " x " << row.x);
    ASSERT_LE(row.error(log_bessel(kLogI, row.v, row.x), row.log_i), 4e-15);
    ASSERT_LE(row.error(log_bessel(kLogK, row.v, row.x), row.log_k), 4e-15);
    ASSERT_LE(row.error(log_bessel(kScaledI, row.v, row.x), row.scaled_i), 4e-15);
    ASSERT_LE(row.error(log_bessel(kScaledK, row.v, row.x), row.scaled_k), 4e-15);
    const double ri = bessel_ratio(BesselKind::kI, row.v, row.x);
    const double rk = bessel_ratio(BesselKind::kK, row.v, row.x);
    ASSERT_LE(std::fabs(static_cast<double>(ri - row.ratio_i)), 4e-15 * row.ratio_i);
    ASSERT_LE(std::fabs(static_cast<double>(rk - row.ratio_k)), 4e-15 * row.ratio_k);
  }
}

TEST(BesselReference, DerivativesAreThoseOfTheOracle) {
  for (const OracleRow& row : bessel_oracle()) {
    SCOPED_TRACE(testing::Message() << "v " << row.v << " x " << row.x);
    const Parts i = parts(kLogI, row.v, row.x), k = parts(kLogK, row.v, row.x);
    const long double r = static_cast<long double>(row.v) / row.x;
    ASSERT_LE(row.error(i.dv, row.dv_i), 1e-14);
    ASSERT_LE(row.error(k.dv, row.dv_k), 1e-14);
    ASSERT_LE(row.error(i.dx, row.ratio_i + r), 1e-14);
    ASSERT_LE(row.error(k.dx, r - row.ratio_k), 1e-14);
    ASSERT_LE(row.error(parts(kScaledI, row.v, row.x).dx, row.ratio_i + r - 1), 1e-14);
    ASSERT_LE(row.error(parts(kScaledK, row.v, row.x).dx, 1 + (r - row.ratio_k)), 1e-14);
  }
}

// Central differences of the first derivatives, in every region.
TEST(BesselReference, SecondDerivativesAreDifferencesOfTheFirst) {
  const double points[][2] = {{0.3, 0.7}, {2.5, 0.2},  {7.5, 0.9},    {13.7, 0.4}, {0.2, 1.5},
                              {3, 12},    {14, 9},     {19, 2},       {0.4, 25},   {18, 18},
                              {30, 20},   {50, 3},     {3, 90},       {150, 120},  {400, 30},
                              {20, 600},  {3000, 900}, {2000, 20000}, {9, 1.2},    {0.05, 5}};
  for (const auto& point : points) {
    const double v = point[0], x = point[1];
    for (const BesselOptions& options : {kLogI, kLogK, kScaledI, kScaledK}) {
      SCOPED_TRACE(testing::Message() << v << " " << x << " " << static_cast<int>(options.kind));
      const double ev = 1e-4 * v, ex = 1e-4 * x;
      const Parts at = parts(options, v, x);
      const Parts up = parts(options, v + ev, x), down = parts(options, v - ev, x);
      const Parts right = parts(options, v, x + ex), left = parts(options, v, x - ex);
      const auto near = [](double got, double difference, double scale) {
        EXPECT_NEAR(got, difference, 2e-7 * (std::fabs(difference) + scale));
      };
      near(at.dvv, (up.dv - down.dv) / (2 * ev), 1e-4 / ev * 1e-3 * std::fabs(at.dv) * 1e-3);
      near(at.dvx, (right.dv - left.dv) / (2 * ex), 0);
      near(at.dvx, (up.dx - down.dx) / (2 * ev), 0);
      near(at.dxx, (right.dx - left.dx) / (2 * ex), 1e-9 * std::fabs(at.dx) / ex);
    }
  }
}

// L'' = 1 + v^2/x^2 - L'/x - L'^2 for L = log I and L = log K.
TEST(BesselReference, FulfilsBesselsEquation) {
  const Random rng(5, 0);
  for (uint64_t n = 0; n < 2000; ++n) {
    const double v = 60 * rng.uniform(2 * n), x = 60 * rng.uniform(2 * n + 1);
    for (const BesselOptions& options : {kLogI, kLogK}) {
      const Parts p = parts(options, v, x);
      const double r = v / x, scale = 1 + r * r + p.dx * p.dx + std::fabs(p.dx) / x;
      ASSERT_NEAR(p.dxx, 1 + r * r - p.dx / x - p.dx * p.dx, 2e-14 * scale) << v << " " << x;
    }
  }
}

TEST(BesselReference, FulfilsTheWronskian) {
  const Random rng(6, 0);
  for (uint64_t n = 0; n < 5000; ++n) {
    const double v = std::pow(10, 11 * rng.uniform(2 * n) - 3);
    const double x = std::pow(10, 19 * rng.uniform(2 * n + 1) - 10);
    const double i = log_bessel(kScaledI, v, x), k = log_bessel(kScaledK, v, x);
    const double sum = bessel_ratio(BesselKind::kK, v, x) + bessel_ratio(BesselKind::kI, v, x);
    ASSERT_NEAR(i + k + std::log(sum) + std::log(x), 0,
                8e-15 * (1 + std::fabs(i) + std::fabs(std::log(x)) + std::fabs(std::log(sum))))
        << v << " " << x;
  }
}

TEST(BesselReference, RatiosFulfilTheRecurrence) {
  const Random rng(7, 0);
  for (uint64_t n = 0; n < 5000; ++n) {
    const double v = 1 + 200 * rng.uniform(2 * n), x = 200 * rng.uniform(2 * n + 1) + 1e-3;
    // 1/A_(v-1) - A_v = 2 v / x, and for K with the other sign.
    const double below = 1 / bessel_ratio(BesselKind::kI, v - 1, x);
    ASSERT_NEAR(below, 2 * v / x + bessel_ratio(BesselKind::kI, v, x), 1e-14 * below);
    const double at = bessel_ratio(BesselKind::kK, v, x);
    ASSERT_NEAR(at, 2 * v / x + 1 / bessel_ratio(BesselKind::kK, v - 1, x), 1e-14 * at);
  }
}

TEST(BesselReference, HalfIntegersHaveClosedForms) {
  const double half_log_half_pi = 0.5 * std::log(std::acos(0.0));
  for (const double x :
       {1e-3, 0.02, 0.5, 1.0, 1.5, 4.0, 12.0, 24.9, 25.1, 31.0, 70.0, 300.0, 4e4}) {
    const double k = half_log_half_pi - 0.5 * std::log(x);
    EXPECT_LE(error(log_bessel(kScaledK, 0.5, x), k), 4e-15) << x;
    EXPECT_LE(error(log_bessel(kScaledK, 1.5, x), k + std::log1p(1 / x)), 4e-15) << x;
    EXPECT_LE(error(log_bessel(kScaledK, 2.5, x), k + std::log1p(3 / x + 3 / (x * x))), 4e-15) << x;
    // (1 - e^-2x) / sqrt(2 pi x)
    const double i =
        std::log(-std::expm1(-2 * x)) - half_log_half_pi - std::log(2.0) - 0.5 * std::log(x);
    EXPECT_LE(error(log_bessel(kScaledI, 0.5, x), i), 4e-15) << x;
    if (x > 0.3) {
      EXPECT_LE(error(bessel_ratio(BesselKind::kI, 0.5, x), 1 / std::tanh(x) - 1 / x), 4e-15) << x;
    }
  }
}

TEST(BesselReference, RunsOnAcrossTheBoundariesOfItsRegions) {
  const double radii[] = {25, 32, 64, 200, 1024};
  for (const BesselOptions& options : {kLogI, kLogK, kScaledI, kScaledK}) {
    const auto jump = [&](double v, double x0, double x1) {
      const Parts a = parts(options, v, x0), b = parts(options, v, x1);
      EXPECT_NEAR(b.value - a.value, a.dx * (x1 - x0), 4e-15 * std::fmax(1, std::fabs(a.value)))
          << v << " " << x0;
      EXPECT_LE(error(b.dv, a.dv), 3e-14);
      EXPECT_LE(error(b.dx, a.dx), 3e-14);
      EXPECT_LE(error(b.dvv, a.dvv), 3e-14);
      EXPECT_LE(error(b.dvx, a.dvx), 3e-14);
      EXPECT_LE(error(b.dxx, a.dxx), 3e-14);
    };
    for (const double radius : radii) {
      for (double share = 0; share < 0.995; share += 0.01) {
        const double v = radius * share, x = std::sqrt(radius * radius - v * v);
        jump(v, x * (1 - 1e-15), x * (1 + 1e-15));
      }
    }
    for (double v = 0; v < 24.5; v += 0.125) {
      for (const double x : {1.0, 2.0, 5.0}) jump(v, x, x * (1 + 1e-15));
    }
  }
}

TEST(BesselReference, EdgesHaveTheirLimits) {
  EXPECT_EQ(log_bessel(kLogI, 0, 0), 0);
  EXPECT_EQ(log_bessel(kLogI, 0.5, 0), -kInf);
  EXPECT_EQ(log_bessel(kLogK, 0, 0), kInf);
  EXPECT_EQ(log_bessel(kLogK, 3, 0), kInf);
  EXPECT_EQ(log_bessel(kLogI, 3, kInf), kInf);
  EXPECT_EQ(log_bessel(kLogK, 3, kInf), -kInf);
  EXPECT_EQ(log_bessel(kScaledI, 3, kInf), -kInf);
  EXPECT_EQ(log_bessel(kScaledK, 3, kInf), -kInf);
  EXPECT_EQ(log_bessel(kLogI, kInf, 3), -kInf);
  EXPECT_EQ(log_bessel(kLogK, kInf, 3), kInf);
  EXPECT_EQ(bessel_ratio(BesselKind::kI, 2, 0), 0);
  EXPECT_EQ(bessel_ratio(BesselKind::kI, 2, kInf), 1);
  for (const double v : {0.0, 0.3, 5.0, 30.0, 1e8}) {
    for (const double x : {5e-324, 1e-300, 1e-200, 1e-12, 1e12, 1e99}) {
      EXPECT_TRUE(std::isfinite(log_bessel(kLogI, v, x))) << v << " " << x;
      EXPECT_TRUE(std::isfinite(log_bessel(kLogK, v, x))) << v << " " << x;
    }
  }
}

TEST(BesselReference, OrdersMayBeNegativeWhereTheFunctionIsReal) {
  EXPECT_EQ(log_bessel(kLogK, -2.3, 4), log_bessel(kLogK, 2.3, 4));
  EXPECT_EQ(log_bessel(kLogI, -3, 4), log_bessel(kLogI, 3, 4));
  EXPECT_TRUE(std::isnan(log_bessel(kLogI, -2.3, 4)));
  const Parts a = parts(kLogK, -2.3, 4), b = parts(kLogK, 2.3, 4);
  EXPECT_EQ(a.dv, -b.dv);
  EXPECT_EQ(a.dvx, -b.dvx);
  EXPECT_EQ(a.dvv, b.dvv);
  EXPECT_EQ(a.dx, b.dx);
  EXPECT_TRUE(std::isnan(parts(kLogI, -3, 4).dv));
  EXPECT_EQ(parts(kLogI, -3, 4).dx, parts(kLogI, 3, 4).dx);
}

TEST(BesselReference, CountsWhatLiesOutsideItsDomain) {
  const std::vector<double> v{1, 1, kNaN, -0.5, 1e101, kInf, 1};
  const std::vector<double> x{2, -1, 1, 1, 1, kInf, kNaN};
  std::vector<double> value(v.size());
  EXPECT_EQ(log_bessel_reference<double>(kLogI, {7, v.data(), x.data()}, {.value = value.data()}),
            6);
  EXPECT_TRUE(std::isfinite(value[0]));
  for (size_t i = 1; i < v.size(); ++i) EXPECT_TRUE(std::isnan(value[i])) << i;
  EXPECT_EQ(bessel_ratio_reference<double>(BesselKind::kI, {7, v.data(), x.data()}, value.data()),
            6);
}

TEST(BesselReference, FloatsAreComputedInDouble) {
  const float v = 12.3f, x = 45.6f;
  float value, dx;
  log_bessel_reference<float>(kLogI, {1, &v, &x}, {.value = &value, .dx = &dx});
  EXPECT_EQ(value, static_cast<float>(log_bessel(kLogI, v, x)));
  EXPECT_EQ(dx, static_cast<float>(parts(kLogI, v, x).dx));
}

}  // namespace
}  // namespace covary::compute
