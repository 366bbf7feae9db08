// What single footprints say of a pixel, against closed forms and sums.
#include "covary/core/compute/rasterize/footprints.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/lanes.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

using Analytic = AnalyticFootprint;

Analytic::Setup<double> analytic(double s1, double s2, double angle) {
  const double c = std::cos(angle), s = std::sin(angle), a = s1 * s1, b = s2 * s2;
  return Analytic::setup<double>({}, c * c * a + s * s * b, c * s * (a - b), s * s * a + c * c * b,
                                 nullptr);
}
double response(const Analytic::Setup<double>& f, double dx, double dy) {
  return f.opacity_factor * Analytic::value<double>(dx, dy, f.params);
}
double normal_cdf(double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)); }

// The integral of the Gaussian over the unit square around (dx, dy), by the midpoint rule.
double integral(double s1, double s2, double angle, double dx, double dy) {
  constexpr int kSteps = 160;
  const double c = std::cos(angle), s = std::sin(angle);
  double sum = 0;
  for (int i = 0; i < kSteps; ++i)
    for (int k = 0; k < kSteps; ++k) {
      const double x = dx - 0.5 + (i + 0.5) / kSteps, y = dy - 0.5 + (k + 0.5) / kSteps;
      const double u = (c * x + s * y) / s1, v = (c * y - s * x) / s2;
      sum += std::exp(-0.5 * (u * u + v * v));
    }
  return sum / (kSteps * kSteps);
}

TEST(AnalyticFootprint, PixelsOfAGridSumToTheGaussiansTotal) {
  for (const auto& [s1, s2] : {std::pair{3.0, 0.7}, {0.3, 0.2}, {1.0, 0.05}}) {
    const auto f = analytic(s1, s2, 0);
    double sum = 0;
    for (int y = -40; y <= 40; ++y)
      for (int x = -40; x <= 40; ++x) sum += response(f, x + 0.21, y - 0.37);
    EXPECT_NEAR(sum, 2 * M_PI * s1 * s2, 1e-6 * sum) << s1 << " " << s2;
  }
}

TEST(AnalyticFootprint, AlongTheAxesItIsTheIntegral) {
  for (const auto& [s1, s2] : {std::pair{0.5, 0.5}, {2.0, 0.5}, {2.0, 2.0}, {8.0, 1.0}}) {
    const auto f = analytic(s1, s2, 0);
    const auto side = [](double s, double x) {
      return std::sqrt(2 * M_PI) * s * (normal_cdf((x + 0.5) / s) - normal_cdf((x - 0.5) / s));
    };
    for (double x = 0; x < 3 * s1; x += 0.3 * s1)
      for (double y = 0; y < 3 * s2; y += 0.3 * s2)
        EXPECT_NEAR(response(f, x, y), side(s1, x) * side(s2, y), 0.006) << s1 << " " << s2;
  }
}

// Largest error over offsets: the square does not turn with the Gaussian.
TEST(AnalyticFootprint, TurnedItIsTheIntegralToAFewHundredths) {
  const struct {
    double s1, s2, degrees, error;
  } rows[] = {
      {0.5, 0.5, 45, 0.003}, {1, 1, 15, 0.0032}, {2, 0.5, 45, 0.0044}, {5, 0.1, 45, 0.0625}};
  for (const auto& row : rows) {
    const double angle = row.degrees * M_PI / 180;
    const auto f = analytic(row.s1, row.s2, angle);
    double worst = 0;
    for (double u = 0; u < 3 * row.s1 + 0.5; u += std::max(0.25, 0.25 * row.s1))
      for (double v = 0; v < 3 * row.s2 + 0.8; v += 0.1) {
        const double x = std::cos(angle) * u - std::sin(angle) * v,
                     y = std::sin(angle) * u + std::cos(angle) * v;
        worst =
            std::max(worst, std::abs(response(f, x, y) - integral(row.s1, row.s2, angle, x, y)));
      }
    EXPECT_LT(worst, row.error + 0.001) << row.s1 << " " << row.s2 << " " << row.degrees;
  }
}

TEST(AnalyticFootprint, LargeOnesArePointSamplesAndSmallOnesFillOnePixel) {
  const auto slope = [](double x) {  // S'
    const double e = std::exp(-std::abs(1.6 * x + 0.07 * x * x * x));
    return (1.6 + 0.21 * x * x) * e / ((1 + e) * (1 + e));
  };
  const auto large = analytic(400, 300, 0);
  for (const double x : {0.0, 350.0, 900.0})
    EXPECT_NEAR(response(large, x, 100), 2 * M_PI * slope(x / 400) * slope(100.0 / 300), 1e-5);
  const auto small = analytic(0.01, 0.005, 0.4);
  EXPECT_NEAR(response(small, 0.1, -0.2), 2 * M_PI * 0.01 * 0.005, 1e-9);
  EXPECT_LT(response(small, 0.9, 0.9), 1e-12);
  // a line without width shows nothing, and no number breaks
  const auto needle = Analytic::setup<double>({}, 9.0, 0.0, 0.0, nullptr);
  EXPECT_NEAR(response(needle, 0, 0), 2 * M_PI * 3 * Analytic::kFloor * 0.1324, 1e-4);
}

TEST(AnalyticFootprint, ItsEllipseHoldsAllThatIsSeen) {
  const Random random(3, 1);
  for (uint64_t n = 0; n < 300; ++n) {
    const double s1 = std::exp(5 * random.uniform(4 * n) - 3.5),
                 s2 = s1 * std::exp(-3 * random.uniform(4 * n + 1));
    const double opacity = 0.02 + 0.98 * random.uniform(4 * n + 2);
    const auto f = analytic(s1, s2, 3 * random.uniform(4 * n + 3));
    const double extent = Analytic::extent(f, opacity * f.opacity_factor);
    const double reach = 5 * s1 + 1, step = reach / 40;
    for (double y = -reach; y <= reach; y += step)
      for (double x = -reach; x <= reach; x += step) {
        if (opacity * response(f, x, y) < 1.0 / 255) continue;
        const double* p = f.params;
        ASSERT_LE(p[0] * x * x + 2 * p[1] * x * y + p[2] * y * y, extent)
            << s1 << " " << s2 << " " << opacity;
      }
  }
}

TEST(AnalyticFootprint, AQuarterTurnTurnsThePicture) {
  const auto a = analytic(2, 0.4, 0.3), b = analytic(2, 0.4, 0.3 + M_PI / 2);
  for (const double x : {0.0, 0.7, -1.6})
    for (const double y : {0.2, -1.1}) EXPECT_NEAR(response(a, x, y), response(b, -y, x), 1e-12);
}

TEST(GeneralizedFootprint, ItsExtentIsWhereAlphaIsOneStepOfAPicture) {
  for (const double shape : {1.0, 1.5, 2.0, 3.0, 8.0}) {
    const auto f = GeneralizedFootprint::setup<double>({.dilation = 0}, 4, 0, 4, &shape);
    const double q = GeneralizedFootprint::extent(f, 0.7);
    EXPECT_NEAR(0.7 * GeneralizedFootprint::value<double>(2 * std::sqrt(q), 0, f.params), 1.0 / 255,
                1e-9);
  }
  const double wild[] = {0.2, 30};  // taken into [1, 8]
  EXPECT_EQ(GeneralizedFootprint::setup<double>({}, 4, 0, 4, wild).params[3], 1);
  EXPECT_EQ(GeneralizedFootprint::setup<double>({}, 4, 0, 4, wild + 1).params[3], 8);
}

TEST(Footprints, AreFoundByName) {
  for (const std::string& name : footprint_names())
    EXPECT_EQ(footprint_names()[static_cast<size_t>(footprint_index(name))], name);
  EXPECT_THROW(footprint_index("triangle"), Error);
}

}  // namespace
}  // namespace covary::compute
