#include "covary/stat/process/sampled_hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/process/expected_hypervolume.h"
#include "covary/stat/process/front_test_data.h"
#include "covary/stat/process/hypervolume.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// [m, q, draws]; whole quarters when tied.
std::vector<double> samples_of(uint64_t seed, size_t m, size_t q, size_t draws, bool tied = false,
                               double shift = 0.6) {
  std::vector<double> y(m * q * draws);
  const Random random(seed, 31);
  for (size_t i = 0; i < y.size(); ++i) {
    y[i] = shift + 0.5 * random.normal(i);
    if (tied) y[i] = std::round(4 * y[i]) / 4;
  }
  return y;
}

// The batch of one draw as rows.
std::vector<double> batch_of(const std::vector<double>& samples, size_t m, size_t q, size_t draws,
                             size_t s) {
  std::vector<double> rows;
  for (size_t i = 0; i < q; ++i) {
    for (size_t j = 0; j < m; ++j) rows.push_back(samples[(j * q + i) * draws + s]);
  }
  return rows;
}

double joint_gain(std::vector<double> front, const std::vector<double>& batch, size_t m) {
  const std::vector<double> reference(m, 0);
  const double before = hypervolume(front, reference);
  front.insert(front.end(), batch.begin(), batch.end());
  return hypervolume(front, reference) - before;
}

TEST(SampledHypervolume, IsTheMeanOfJointGains) {
  for (size_t m = 1; m <= 5; ++m) {
    for (size_t q = 1; q <= 6; ++q) {
      for (const bool tied : {false, true}) {
        const size_t draws = 8;
        std::vector<double> front = sphere(q, 9, m);
        if (tied) {
          for (double& v : front) v = std::round(4 * v) / 4;
        }
        const std::vector<double> y = samples_of(10 * m + q, m, q, draws, tied);
        SampledHypervolume sampled(boxes_of(front, m), static_cast<int64_t>(q), draws);
        double mean = 0;
        for (size_t s = 0; s < draws; ++s) {
          mean += joint_gain(front, batch_of(y, m, q, draws, s), m) / draws;
        }
        EXPECT_NEAR(sampled.value(y), mean, 1e-12) << m << " " << q << " " << tied;
      }
    }
  }
}

// Overlaps of boxes by inclusion and exclusion over all subsets of the batch.
TEST(SampledHypervolume, AgreesWithInclusionAndExclusion) {
  for (const size_t m : {2, 3, 4}) {
    const size_t q = 4, draws = 5;
    const auto boxes = boxes_of(sphere(3, 12, m), m);
    const std::vector<double> y = samples_of(m, m, q, draws);
    SampledHypervolume sampled(boxes, q, draws);
    double sum = 0;
    for (size_t s = 0; s < draws; ++s) {
      for (unsigned set = 1; set < (1u << q); ++set) {
        std::vector<double> least(m, 1e300);
        for (size_t i = 0; i < q; ++i) {
          for (size_t j = 0; j < m && ((set >> i) & 1) != 0; ++j) {
            least[j] = std::min(least[j], y[(j * q + i) * draws + s]);
          }
        }
        const double gain = boxes->improvement(least);
        sum += __builtin_popcount(set) % 2 == 1 ? gain : -gain;
      }
    }
    EXPECT_NEAR(sampled.value(y), sum / draws, 1e-13);
  }
}

TEST(SampledHypervolume, OnePointApproachesTheClosedForm) {
  for (const size_t m : {1, 2, 3, 4}) {
    const size_t draws = 20000;
    const auto boxes = boxes_of(sphere(4, 10, m), m);
    std::vector<double> mean, sd, y(m * draws);
    const Random random(5, m);
    for (size_t j = 0; j < m; ++j) {
      mean.push_back(0.5 + 0.1 * static_cast<double>(j));
      sd.push_back(0.3);
      for (size_t s = 0; s < draws; ++s) {
        y[j * draws + s] = mean[j] + sd[j] * random.normal(j * draws + s);
      }
    }
    double squares = 0;
    for (size_t s = 0; s < draws; ++s) {
      squares += std::pow(boxes->improvement(batch_of(y, m, 1, draws, s)), 2);
    }
    SampledHypervolume sampled(boxes, 1, draws);
    const double value = sampled.value(y);
    const double error = std::sqrt((squares / draws - value * value) / draws);
    EXPECT_NEAR(value, ExpectedHypervolume(boxes).value(mean, sd), 4 * error) << m;
    EXPECT_GT(value, 10 * error);  // the comparison says something
  }
}

TEST(SampledHypervolume, NoisyHasAFrontADraw) {
  for (const size_t m : {1, 2, 3, 4}) {
    const size_t n = 7, q = 2, draws = 9;
    const std::vector<double> observed = samples_of(20, m, n, draws), reference(m, 0),
                              y = samples_of(21, m, q, draws);
    SampledHypervolume sampled(observed, reference, q, draws);
    double mean = 0;
    for (size_t s = 0; s < draws; ++s) {
      mean +=
          joint_gain(batch_of(observed, m, n, draws, s), batch_of(y, m, q, draws, s), m) / draws;
    }
    EXPECT_NEAR(sampled.value(y), mean, 1e-12);
    // Without observed points: as without a front.
    SampledHypervolume none(std::span<const double>(), reference, q, draws),
        open(boxes_of({}, m), q, draws);
    EXPECT_EQ(none.value(y), open.value(y));
    // Threads decompose fronts, and change nothing.
    set_threads(1);
    SampledHypervolume serial(observed, reference, q, draws);
    set_threads(0);
    EXPECT_EQ(serial.value(y), sampled.value(y));
    EXPECT_EQ(serial.log_value(y), sampled.log_value(y));
  }
}

TEST(SampledHypervolume, WeightsOfZeroAndOneChooseThePoints) {
  for (const size_t m : {1, 2, 3}) {
    const size_t q = 4, draws = 16;
    const std::vector<double> front = sphere(6, 8, m), y = samples_of(30, m, q, draws);
    SampledHypervolume sampled(boxes_of(front, m), q, draws);
    const Random random(7, 7);
    std::vector<double> weights(q * draws);
    for (size_t i = 0; i < weights.size(); ++i) weights[i] = random.uniform(i) < 0.5 ? 0 : 1;
    double mean = 0;
    for (size_t s = 0; s < draws; ++s) {
      const std::vector<double> all = batch_of(y, m, q, draws, s);
      std::vector<double> chosen;
      for (size_t i = 0; i < q; ++i) {
        if (weights[i * draws + s] == 1) {
          chosen.insert(chosen.end(), &all[i * m], &all[i * m] + m);
        }
      }
      mean += joint_gain(front, chosen, m) / draws;
    }
    EXPECT_NEAR(sampled.value(y, {}, weights), mean, 1e-13);
    const std::vector<double> ones(q * draws, 1), zeros(q * draws, 0);
    EXPECT_EQ(sampled.value(y, {}, ones), sampled.value(y));
    EXPECT_EQ(sampled.value(y, {}, zeros), 0);
    EXPECT_EQ(sampled.log_value(y, {}, zeros), -kInfinity);
  }
}

// The space counted at the largest weight is the integral over thresholds of what the points above
// the threshold gain.
TEST(SampledHypervolume, WeightsCountLayers) {
  const size_t m = 2, q = 3;
  const std::vector<double> front = sphere(8, 5, m), y = samples_of(32, m, q, 1);
  const std::vector<double> weights{0.2, 0.9, 0.5};
  const auto gain_from = [&](double threshold) {
    std::vector<double> chosen;
    const std::vector<double> all = batch_of(y, m, q, 1, 0);
    for (size_t i = 0; i < q; ++i) {
      if (weights[i] >= threshold) chosen.insert(chosen.end(), &all[i * m], &all[i * m] + m);
    }
    return joint_gain(front, chosen, m);
  };
  SampledHypervolume sampled(boxes_of(front, m), q, 1);
  EXPECT_NEAR(sampled.value(y, {}, weights),
              0.2 * gain_from(0.2) + 0.3 * gain_from(0.5) + 0.4 * gain_from(0.9), 1e-13);
}

template <class F>
double slope_of(F f, std::vector<double> x, size_t j, double h) {
  const double at = x[j];
  const auto moved = [&](double step) {
    x[j] = at + step;
    return f(x);
  };
  return (moved(h) - moved(-h)) / (2 * h);
}

TEST(SampledHypervolume, SlopesAgreeWithDifferences) {
  for (size_t m = 1; m <= 5; ++m) {
    for (const size_t q : {1, 2, 4}) {
      for (const bool noisy : {false, true}) {
        for (const double shift : {0.6, -1.0}) {
          const size_t draws = 3;
          const std::vector<double> y = samples_of(40 + q, m, q, draws, false, shift),
                                    reference(m, 0);
          std::vector<double> weights(q * draws), weight_slopes(q * draws);
          const Random random(m, q);
          for (size_t i = 0; i < weights.size(); ++i) weights[i] = 0.1 + 0.8 * random.uniform(i);
          SampledHypervolume sampled =
              noisy ? SampledHypervolume(samples_of(50, m, 6, draws), reference,
                                         static_cast<int64_t>(q), draws)
                    : SampledHypervolume(boxes_of(sphere(9, 10, m), m), static_cast<int64_t>(q),
                                         draws);
          for (const bool logarithm : {false, true}) {
            std::vector<double> slopes(y.size(), 99), none;
            const auto f = [&](const std::vector<double>& v, const std::vector<double>& w) {
              return logarithm ? sampled.log_value(v, {}, w) : sampled.value(v, {}, w);
            };
            const double value = logarithm ? sampled.log_value(y, slopes, weights, weight_slopes)
                                           : sampled.value(y, slopes, weights, weight_slopes);
            EXPECT_EQ(value, f(y, weights));
            for (size_t i = 0; i < y.size(); ++i) {
              const double slope =
                  slope_of([&](const std::vector<double>& v) { return f(v, weights); }, y, i, 1e-6);
              EXPECT_NEAR(slopes[i], slope, 1e-7 * std::max(1.0, std::abs(slope)))
                  << m << " " << q << " " << noisy << " " << logarithm;
              // Something to follow everywhere.
              if (logarithm && shift < 0) {
                EXPECT_GT(slopes[i], 0);
              }
            }
            for (size_t i = 0; i < weights.size(); ++i) {
              const double slope =
                  slope_of([&](const std::vector<double>& w) { return f(y, w); }, weights, i, 1e-6);
              EXPECT_NEAR(weight_slopes[i], slope, 1e-7 * std::max(1.0, std::abs(slope)));
            }
          }
        }
      }
    }
  }
}

TEST(SampledHypervolume, LogarithmIsThatOfTheValueWhereThereIsGain) {
  for (const size_t m : {1, 2, 3, 4}) {
    const size_t q = 3, draws = 32;
    SampledHypervolume sampled(boxes_of(sphere(11, 10, m), m), q, draws);
    const std::vector<double> y = samples_of(60, m, q, draws);
    const double value = sampled.value(y);
    ASSERT_GT(value, 1e-3);
    // (1 - e) gain + e blurred, and blurred is below the volume of the box [0, largest + 1].
    EXPECT_NEAR(std::exp(sampled.log_value(y)) / value, 1, 1e-4);
    // Far below the front: tails of a power, not of an exponential.
    const double far = sampled.log_value(samples_of(61, m, q, draws, false, -1e6));
    EXPECT_GT(far, std::log(1e-6) + static_cast<double>(m) * std::log(1e-11));
    EXPECT_TRUE(std::isfinite(far));
  }
}

// The mean gain under Student noise by quantiles of it: T = u sqrt(2 / (1 - u^2)) for u uniform in
// (-1, 1).
TEST(SampledHypervolume, BlurIsStudentNoise) {
  const std::vector<double> front{0.5};  // one objective, extent 0.5
  SampledHypervolume sampled(boxes_of(front, 1), 1, 1);
  const double scale = 0.05 * 0.5 / std::sqrt(2), y = 0.47;  // no gain without noise
  const int steps = 4000000;
  double sum = 0;
  for (int k = 0; k < steps; ++k) {
    const double u = -1 + 2 * (k + 0.5) / steps;
    sum += std::max(0.0, y + scale * u * std::sqrt(2 / ((1 - u) * (1 + u))) - 0.5);
  }
  const double blurred = std::exp(sampled.log_value(std::vector<double>{y})) / 1e-6;
  EXPECT_NEAR(blurred, sum / steps, 2e-3 * blurred);
}

TEST(SampledHypervolume, MorePointsNeverGainLess) {
  const size_t m = 3, draws = 10;
  const auto boxes = boxes_of(sphere(12, 10, m), m);
  const std::vector<double> y = samples_of(70, m, 5, draws);
  double before = 0;
  for (size_t q = 1; q <= 5; ++q) {
    std::vector<double> part;
    for (size_t j = 0; j < m; ++j) {
      part.insert(part.end(), &y[j * 5 * draws], &y[j * 5 * draws] + q * draws);
    }
    const double value = SampledHypervolume(boxes, static_cast<int64_t>(q), draws).value(part);
    EXPECT_GE(value, before);
    before = value;
  }
}

TEST(SampledHypervolume, RefusesWhatIsNoSample) {
  const auto boxes = boxes_of(sphere(13, 5, 2), 2);
  SampledHypervolume sampled(boxes, 2, 3);
  std::vector<double> y(12, 1), slopes(11), weights(6, 1);
  EXPECT_THROW(sampled.value(std::span(y).first(11)), Error);
  EXPECT_THROW(sampled.value(y, slopes), Error);
  EXPECT_THROW(sampled.value(y, {}, std::span(weights).first(5)), Error);
  weights[2] = 1.5;
  EXPECT_THROW(sampled.value(y, {}, weights), Error);
  weights[2] = std::nan("");
  EXPECT_THROW(sampled.value(y, {}, weights), Error);
  y[5] = std::nan("");
  EXPECT_THROW(sampled.value(y), Error);
  y[5] = kInfinity;
  EXPECT_THROW(sampled.log_value(y), Error);
  std::fill(y.begin(), y.end(), 1e300);
  EXPECT_THROW(sampled.value(y), Error);
  const std::vector<double> two{0, 0}, seven(7, 1), nine(9, 0);
  EXPECT_THROW(SampledHypervolume(boxes, 0, 3), Error);
  EXPECT_THROW(SampledHypervolume(nullptr, 2, 3), Error);
  EXPECT_THROW(sampled.for_batch(0), Error);
  EXPECT_EQ(sampled.for_batch(5).points(), 5);
  EXPECT_THROW(SampledHypervolume(boxes, 2, 0), Error);
  EXPECT_THROW(SampledHypervolume(seven, two, 2, 3), Error);
  EXPECT_THROW(SampledHypervolume(seven, {}, 2, 3), Error);
  EXPECT_THROW(SampledHypervolume(std::span<const double>(), nine, 2, 3), Error);
}

}  // namespace
}  // namespace covary::stat
