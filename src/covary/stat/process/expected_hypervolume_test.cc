#include "covary/stat/process/expected_hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/hypervolume.h"
#include "covary/stat/process/normal_tail.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::vector<double> sphere(uint64_t seed, size_t n, size_t m) {
  const Random random(seed, 3);
  std::vector<double> y(n * m);
  for (size_t i = 0; i < n; ++i) {
    double norm = 0;
    for (size_t j = 0; j < m; ++j) {
      y[i * m + j] = std::abs(random.normal(i * m + j));
      norm += y[i * m + j] * y[i * m + j];
    }
    for (size_t j = 0; j < m; ++j) y[i * m + j] /= std::sqrt(norm);
  }
  return y;
}

std::shared_ptr<BoxDecomposition> boxes_of(const std::vector<double>& points, size_t m) {
  return std::make_shared<BoxDecomposition>(points, std::vector<double>(m, 0));
}

struct Normals {
  std::vector<double> mean, sd;
};
Normals normals_of(uint64_t seed, size_t m, double shift = 0) {
  const Random random(seed, 12);
  Normals n;
  for (size_t j = 0; j < m; ++j) {
    n.mean.push_back(0.6 + 0.4 * random.normal(j) + shift);
    n.sd.push_back(0.05 + 0.4 * random.uniform(50 + j));
  }
  return n;
}

TEST(NormalTail, HasAllDigits) {
  struct Row {
    double z, log_expectation, probability_ratio, log_probability;
  };
  // By 80 digits of arithmetic.
  static constexpr Row kRows[] = {
      {8.0, 2.0794415416798359, 0.12499999999999992, -6.2209605742717861e-16},
      {2.0, 0.69738354578822831, 0.48655931878528387, -0.023012909328963488},
      {0.5, -0.35982768374506382, 0.99092271800410996, -0.36894641528865639},
      {0.0, -0.91893853320467274, 1.2533141373155003, -0.69314718055994531},
      {-1.0, -2.4851210257126413, 1.9042712333296918, -1.8410216450092635},
      {-2.9, -7.5208464928878732, 3.4445327294133315, -6.2840582349474184},
      {-3.0, -7.8696860596030285, 3.5323375176251605, -6.6077262215103495},
      {-3.1, -8.2273293935727492, 3.620604262143193, -6.9406884584212281},
      {-5.0, -16.74430116266099, 5.3618162412880885, -15.064998393988726},
      {-10.0, -55.553122036122356, 10.194383033412553, -53.231285150512471},
      {-38.0, -730.19618340211374, 38.052522760041328, -726.55721601882013},
      {-40.0, -808.29856835661996, 40.049906657648518, -804.60844201375379},
      {-100.0, -5010.1295788002498, 100.01999400419587, -5005.5242086942051},
      {-1000.0, -500014.73445209116, 1000.001999994, -500007.82669481218},
      {-1.0e+6, -500000000028.54996, 1000000.000002, -500000000014.73445},
  };
  for (const Row& r : kRows) {
    const LogTail l = log_normal_tail(r.z);
    const double far = 1e-14 * std::abs(r.log_expectation) + 2e-15;
    EXPECT_NEAR(l.log_expectation, r.log_expectation, far) << r.z;
    EXPECT_NEAR(l.probability_ratio, r.probability_ratio, 2e-14 * r.probability_ratio) << r.z;
    EXPECT_NEAR(l.density_ratio, 1 - r.z * l.probability_ratio,
                1e-13 * (1 + std::abs(r.z * l.probability_ratio)))
        << r.z;
    double slope;
    EXPECT_NEAR(log_normal_cdf(r.z, &slope), r.log_probability, 1e-14 * std::abs(r.log_probability))
        << r.z;
    EXPECT_NEAR(slope, l.density_ratio / l.probability_ratio, 1e-13 * (1 + slope)) << r.z;
    if (r.z < -37) continue;
    const NormalTail t = normal_tail(r.z);
    EXPECT_NEAR(t.expectation, std::exp(r.log_expectation), 1e-12 * t.expectation) << r.z;
    EXPECT_NEAR(t.probability, std::exp(r.log_probability), 1e-12 * t.probability) << r.z;
  }
}

TEST(NormalTail, IsContinuousWhereTheFormulaChanges) {
  const double below = std::nextafter(-3.0, -4.0), above = std::nextafter(-3.0, 0.0);
  EXPECT_NEAR(normal_tail(below).expectation / normal_tail(above).expectation, 1, 2e-14);
  EXPECT_NEAR(log_normal_tail(below).probability_ratio / log_normal_tail(above).probability_ratio,
              1, 2e-14);
  EXPECT_NEAR(log_normal_cdf(below) / log_normal_cdf(above), 1, 1e-14);
}

// E improvement(Y) by the midpoint rule over the quantiles' range: an integral over outcomes, not
// over boxes.
TEST(ExpectedHypervolume, AgreesWithQuadratureOverOutcomes) {
  for (const size_t m : {1, 2}) {
    const auto boxes = boxes_of(sphere(1, 6, m), m);
    ExpectedHypervolume ehvi(boxes);
    for (uint64_t seed = 0; seed < 4; ++seed) {
      const Normals y = normals_of(seed, m, seed == 3 ? -1 : 0);
      const int steps = m == 1 ? 20000 : 900;
      const double h = 16.0 / steps;
      double sum = 0;
      for (int a = 0; a < steps; ++a) {
        const double za = -8 + (a + 0.5) * h, wa = normal_tail(za).density * h;
        for (int b = 0; b < (m == 1 ? 1 : steps); ++b) {
          const double zb = -8 + (b + 0.5) * h, wb = m == 1 ? 1 : normal_tail(zb).density * h;
          std::vector<double> point{y.mean[0] + y.sd[0] * za};
          if (m == 2) point.push_back(y.mean[1] + y.sd[1] * zb);
          sum += wa * wb * boxes->improvement(point);
        }
      }
      EXPECT_NEAR(ehvi.value(y.mean, y.sd), sum, m == 1 ? 1e-8 : 3e-6);
    }
  }
}

TEST(ExpectedHypervolume, AgreesWithMonteCarlo) {
  for (const size_t m : {2, 3, 4}) {
    const std::vector<double> front = sphere(2, 15, m), reference(m, 0);
    ExpectedHypervolume ehvi(boxes_of(front, m));
    const double before = hypervolume(front, reference);
    for (uint64_t seed = 0; seed < 2; ++seed) {
      const Normals y = normals_of(10 + seed, m);
      const Random random(seed, 77);
      double sum = 0, squares = 0;
      const int draws = 20000;
      for (int s = 0; s < draws; ++s) {
        auto with = front;
        for (size_t j = 0; j < m; ++j) {
          with.push_back(y.mean[j] + y.sd[j] * random.normal(static_cast<uint64_t>(s) * m + j));
        }
        const double gain = hypervolume(with, reference) - before;
        sum += gain, squares += gain * gain;
      }
      const double mean = sum / draws, spread = std::sqrt(squares / draws - mean * mean);
      EXPECT_NEAR(ehvi.value(y.mean, y.sd), mean, 4 * spread / std::sqrt(draws)) << m;
    }
  }
}

// Published closed form in the case of no front: the product of expected improvements.
TEST(ExpectedHypervolume, WithoutAFrontIsAProductOfExpectedImprovements) {
  for (const size_t m : {1, 2, 3, 4}) {
    ExpectedHypervolume ehvi(boxes_of({}, m));
    for (const double shift : {0.0, -3.0, -30.0}) {
      const Normals y = normals_of(3, m, shift);
      double product = 1, logs = 0;
      for (size_t j = 0; j < m; ++j) {
        product *= y.sd[j] * normal_tail(y.mean[j] / y.sd[j]).expectation;
        logs += std::log(y.sd[j]) + log_normal_tail(y.mean[j] / y.sd[j]).log_expectation;
      }
      EXPECT_NEAR(ehvi.value(y.mean, y.sd), product, 1e-14 * product);
      EXPECT_NEAR(ehvi.log_value(y.mean, y.sd), logs, 1e-13 * std::abs(logs));
    }
  }
}

// Of f at x by coordinate, central and of fourth order.
template <class F>
double slope_of(F f, std::vector<double> x, size_t j, double h) {
  const double at = x[j];
  const auto moved = [&](double step) {
    x[j] = at + step;
    return f(x);
  };
  return (8 * (moved(h) - moved(-h)) - (moved(2 * h) - moved(-2 * h))) / (12 * h);
}

TEST(ExpectedHypervolume, GradientsAgreeWithDifferences) {
  for (const size_t m : {1, 2, 3, 4, 5}) {
    ExpectedHypervolume ehvi(boxes_of(sphere(4, 12, m), m));
    for (uint64_t seed = 0; seed < 12; ++seed) {
      // The last ones many deviations below the front.
      const double shift = seed < 6 ? 0 : seed < 9 ? -2 : -40;
      const Normals y = normals_of(20 + seed, m, shift);
      std::vector<double> by_mean(m), by_sd(m);
      for (const bool logarithm : {false, true}) {
        if (!logarithm && shift < 0) continue;  // differences have no digits there
        const auto f = [&](const std::vector<double>& mean, const std::vector<double>& sd) {
          return logarithm ? ehvi.log_value(mean, sd) : ehvi.value(mean, sd);
        };
        const double value = logarithm ? ehvi.log_value(y.mean, y.sd, by_mean, by_sd)
                                       : ehvi.value(y.mean, y.sd, by_mean, by_sd);
        EXPECT_EQ(value, f(y.mean, y.sd));
        for (size_t j = 0; j < m; ++j) {
          const double h = 1e-3 * y.sd[j];
          const double mean_slope =
              slope_of([&](const std::vector<double>& v) { return f(v, y.sd); }, y.mean, j, h);
          const double sd_slope =
              slope_of([&](const std::vector<double>& v) { return f(y.mean, v); }, y.sd, j, h);
          const double scale = logarithm ? std::max(1.0, std::abs(value)) : value;
          EXPECT_NEAR(by_mean[j], mean_slope, 1e-8 * (std::abs(mean_slope) + scale / y.sd[j]))
              << m << " " << seed << " " << logarithm;
          EXPECT_NEAR(by_sd[j], sd_slope, 1e-8 * (std::abs(sd_slope) + scale / y.sd[j]))
              << m << " " << seed << " " << logarithm;
        }
      }
    }
  }
}

TEST(ExpectedHypervolume, LogarithmAgreesAndReachesFurther) {
  for (const size_t m : {1, 2, 3, 4}) {
    ExpectedHypervolume ehvi(boxes_of(sphere(5, 12, m), m));
    for (const double shift : {0.5, 0.0, -0.5, -1.0, -2.0}) {
      const Normals y = normals_of(40, m, shift);
      const double value = ehvi.value(y.mean, y.sd);
      ASSERT_GT(value, 0);
      EXPECT_NEAR(ehvi.log_value(y.mean, y.sd), std::log(value), 1e-10 * (1 - std::log(value)));
    }
    const Normals far = normals_of(40, m, -1e4);
    std::vector<double> by_mean(m);
    EXPECT_EQ(ehvi.value(far.mean, far.sd), 0);
    EXPECT_TRUE(std::isfinite(ehvi.log_value(far.mean, far.sd, by_mean)));
    for (const double g : by_mean) EXPECT_GT(g, 1);
  }
}

TEST(ExpectedHypervolume, CertainOutcomesGainTheirImprovement) {
  for (const size_t m : {1, 2, 3, 4}) {
    const auto boxes = boxes_of(sphere(6, 12, m), m);
    ExpectedHypervolume ehvi(boxes);
    const std::vector<double> none(m, 0), tiny(m, 1e-300);
    for (uint64_t seed = 0; seed < 10; ++seed) {
      const Normals y = normals_of(60 + seed, m);
      const double gain = boxes->improvement(y.mean);
      EXPECT_NEAR(ehvi.value(y.mean, none), gain, 1e-14);
      EXPECT_NEAR(ehvi.value(y.mean, tiny), gain, 1e-14);
      std::vector<double> by_mean(m), by_sd(m);
      const double log_gain = ehvi.log_value(y.mean, none, by_mean, by_sd);
      if (gain > 0) EXPECT_NEAR(log_gain, std::log(gain), 1e-12 * (1 + std::abs(log_gain)));
      if (gain == 0) EXPECT_EQ(log_gain, -kInfinity);
      for (const double g : by_mean) EXPECT_TRUE(std::isfinite(g));
      for (const double g : by_sd) EXPECT_EQ(g, 0);
    }
  }
}

// Grows with every mean, and is never above what the reference alone would give.
TEST(ExpectedHypervolume, IsMonotone) {
  for (const size_t m : {2, 3, 4}) {
    ExpectedHypervolume ehvi(boxes_of(sphere(7, 20, m), m)), open(boxes_of({}, m));
    for (uint64_t seed = 0; seed < 20; ++seed) {
      Normals y = normals_of(80 + seed, m);
      const double value = ehvi.value(y.mean, y.sd);
      EXPECT_GE(value, 0);
      EXPECT_LE(value, open.value(y.mean, y.sd));
      for (size_t j = 0; j < m; ++j) {
        Normals higher = y;
        higher.mean[j] += 0.1;
        EXPECT_GT(ehvi.value(higher.mean, higher.sd), value);
      }
    }
  }
}

TEST(ExpectedHypervolume, HostileNormalsGiveErrorsOrFiniteAnswers) {
  ExpectedHypervolume ehvi(boxes_of(sphere(8, 5, 2), 2));
  const double nan = std::nan("");
  const std::vector<double> two{1, 1};
  for (const std::vector<double>& bad :
       std::vector<std::vector<double>>{{1}, {1, nan}, {1, kInfinity}, {1, 1, 1}}) {
    EXPECT_THROW(ehvi.value(bad, two), Error);
    EXPECT_THROW(ehvi.log_value(two, bad), Error);
    EXPECT_THROW(log_feasibility(bad, two), Error);
  }
  EXPECT_THROW(ehvi.value(two, std::vector<double>{1, -1}), Error);
  std::vector<double> one(1), by_mean(2), by_sd(2);
  EXPECT_THROW(ehvi.value(two, two, one), Error);
  EXPECT_THROW(ehvi.value(std::vector<double>{1e300, 1e300}, two), Error);
  for (const double mean : {-1e300, -1e12, -1.0, 0.0, 1.0, 1e12}) {
    for (const double sd : {1e-300, 1e-12, 1.0, 1e12}) {
      const std::vector<double> a{mean, mean}, s{sd, sd};
      EXPECT_TRUE(std::isfinite(ehvi.value(a, s, by_mean, by_sd)));
      for (const double g : by_mean) EXPECT_TRUE(std::isfinite(g)) << mean << " " << sd;
      for (const double g : by_sd) EXPECT_TRUE(std::isfinite(g)) << mean << " " << sd;
      EXPECT_FALSE(std::isnan(ehvi.log_value(a, s, by_mean, by_sd)));
      for (const double g : by_mean) EXPECT_TRUE(std::isfinite(g)) << mean << " " << sd;
      for (const double g : by_sd) EXPECT_TRUE(std::isfinite(g)) << mean << " " << sd;
    }
  }
}

TEST(Feasibility, IsAProductOfProbabilities) {
  const std::vector<double> mean{-0.3, 0.8, -2}, sd{0.5, 0.2, 1};
  double product = 1;
  for (size_t j = 0; j < 3; ++j) product *= normal_tail(-mean[j] / sd[j]).probability;
  std::vector<double> by_mean(3), by_sd(3);
  EXPECT_NEAR(log_feasibility(mean, sd, by_mean, by_sd), std::log(product), 1e-14);
  for (size_t j = 0; j < 3; ++j) {
    EXPECT_NEAR(by_mean[j],
                slope_of([&](const std::vector<double>& v) { return log_feasibility(v, sd); }, mean,
                         j, 1e-4),
                1e-9 * std::abs(by_mean[j]));
    EXPECT_NEAR(by_sd[j],
                slope_of([&](const std::vector<double>& v) { return log_feasibility(mean, v); }, sd,
                         j, 1e-4),
                1e-9 * std::abs(by_sd[j]));
  }
  EXPECT_EQ(log_feasibility({}, {}), 0);
  EXPECT_EQ(log_feasibility(std::vector<double>{1}, std::vector<double>{0}), -kInfinity);
  EXPECT_EQ(log_feasibility(std::vector<double>{0}, std::vector<double>{0}), 0);
  EXPECT_TRUE(std::isfinite(log_feasibility(std::vector<double>{1e6}, std::vector<double>{1})));
}

// A constrained gain by simulation: counted only where the constraint is met.
TEST(Feasibility, MultipliesTheGain) {
  const std::vector<double> front = sphere(9, 8, 2), reference{0, 0};
  const auto boxes = boxes_of(front, 2);
  ExpectedHypervolume ehvi(boxes);
  const Normals y = normals_of(90, 2), c{{0.2}, {0.4}};
  const Random random(4, 4);
  double sum = 0, squares = 0;
  const int draws = 40000;
  for (int s = 0; s < draws; ++s) {
    const auto e = [&](size_t k) { return random.normal(static_cast<uint64_t>(3 * s) + k); };
    if (c.mean[0] + c.sd[0] * e(2) > 0) continue;
    const double gain = boxes->improvement(
        std::vector<double>{y.mean[0] + y.sd[0] * e(0), y.mean[1] + y.sd[1] * e(1)});
    sum += gain, squares += gain * gain;
  }
  const double mean = sum / draws, spread = std::sqrt(squares / draws - mean * mean);
  EXPECT_NEAR(std::exp(ehvi.log_value(y.mean, y.sd) + log_feasibility(c.mean, c.sd)), mean,
              4 * spread / std::sqrt(draws));
}

}  // namespace
}  // namespace covary::stat
