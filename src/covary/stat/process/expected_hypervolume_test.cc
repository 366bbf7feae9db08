#include "covary/stat/process/expected_hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/front_test_data.h"
#include "covary/stat/process/hypervolume.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

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
        const double za = -8 + (a + 0.5) * h, wa = numeric::normal_density(za) * h;
        for (int b = 0; b < (m == 1 ? 1 : steps); ++b) {
          const double zb = -8 + (b + 0.5) * h, wb = m == 1 ? 1 : numeric::normal_density(zb) * h;
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
      double product = 1, logs = 0, error = 1e-14;
      for (size_t j = 0; j < m; ++j) {
        error += 2e-16 * std::pow(y.mean[j] / y.sd[j], 4);  // as the header says
        product *= y.sd[j] * std::exp(numeric::log_improvement(y.mean[j] / y.sd[j]));
        logs += std::log(y.sd[j]) + numeric::log_improvement(y.mean[j] / y.sd[j]);
      }
      EXPECT_NEAR(ehvi.value(y.mean, y.sd), product, error * product);
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
      if (gain > 0) {
        EXPECT_NEAR(log_gain, std::log(gain), 1e-12 * (1 + std::abs(log_gain)));
      }
      if (gain == 0) {
        EXPECT_EQ(log_gain, -kInfinity);
      }
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
  EXPECT_THROW(ExpectedHypervolume(nullptr), Error);
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
  for (size_t j = 0; j < 3; ++j) product *= numeric::normal_cdf(-mean[j] / sd[j]);
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
