#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/kalman/kalman.h"
#include "covary/core/compute/kalman/kalman_test_data.h"

namespace covary::compute {
namespace {

void expect_near(const std::vector<double>& a, const std::vector<double>& b, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], 1e-11 * (1 + std::abs(b[i]))) << what << " " << i;
  }
}

class KalmanSimd : public testing::TestWithParam<KalmanCase> {};

TEST_P(KalmanSimd, AgreesWithTheReference) {
  const RandomKalmanBatch data(GetParam());
  KalmanResults exact(data.batch());
  kalman_batch_reference(data.batch(), exact.view());
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    KalmanResults one(data.batch()), three(data.batch());
    set_threads(1);
    kalman_batch(data.batch(), one.view());
    set_threads(3);
    kalman_batch(data.batch(), three.view());
    set_threads(0);
    expect_near(one.log_likelihood, exact.log_likelihood, "log-likelihood");
    expect_near(one.mean, exact.mean, "mean");
    expect_near(one.cov, exact.cov, "covariance");
    EXPECT_EQ(one.failed, exact.failed);
    EXPECT_EQ(one.log_likelihood, three.log_likelihood);
    EXPECT_EQ(one.mean, three.mean);
    EXPECT_EQ(one.cov, three.cov);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Cases, KalmanSimd,
    testing::Values(
        KalmanCase{.series = 37, .steps = 300, .states = 4, .observations = 2, .own_noise = true},
        KalmanCase{.series = 37, .steps = 300, .states = 4, .observations = 2},
        KalmanCase{.series = 300, .steps = 41, .states = 4, .observations = 2},
        KalmanCase{.series = 300, .steps = 41, .states = 4, .observations = 2, .missing = 1e-4},
        KalmanCase{.series = 33,
                   .steps = 200,
                   .states = 3,
                   .observations = 3,
                   .own_noise = true,
                   .correlated = true,
                   .missing = 0.02},
        KalmanCase{.series = 33, .steps = 200, .states = 3, .observations = 3, .correlated = true},
        KalmanCase{.series = 9,
                   .steps = 50,
                   .states = 2,
                   .observations = 5,
                   .own_models = true,
                   .correlated = true,
                   .missing = 0.3},
        KalmanCase{.series = 9,
                   .steps = 50,
                   .states = 5,
                   .observations = 2,
                   .own_models = true,
                   .by_step = true,
                   .correlated = true,
                   .missing = 0.1},
        KalmanCase{.series = 9,
                   .steps = 50,
                   .states = 5,
                   .observations = 2,
                   .by_step = true,
                   .correlated = true},
        KalmanCase{.series = 5, .steps = 60, .states = 1, .observations = 1, .own_models = true},
        KalmanCase{.series = 5, .steps = 60, .states = 6, .observations = 1, .own_models = true},
        KalmanCase{.series = 5, .steps = 60, .states = 7, .observations = 2, .missing = 0.1},
        KalmanCase{.series = 5,
                   .steps = 60,
                   .states = 8,
                   .observations = 8,
                   .own_noise = true,
                   .correlated = true},
        KalmanCase{.series = 5,
                   .steps = 30,
                   .states = 16,
                   .observations = 8,
                   .own_models = true,
                   .correlated = true,
                   .missing = 0.2},
        KalmanCase{.series = 1, .steps = 1, .states = 16, .observations = 1},
        KalmanCase{.series = 0, .steps = 3, .states = 2, .observations = 1}));

TEST(KalmanSimdProperty, SettledGainsGiveTheBitsOfTheWholeRecursion) {
  // A hole near the end brings the series back to the whole recursion and must change nothing
  // before it.
  KalmanCase c{.series = 8, .steps = 1200, .states = 4, .observations = 2, .own_noise = true};
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    RandomKalmanBatch settled(c), broken(c);
    for (int64_t s = 0; s < c.series; ++s) {
      broken.y()[size_t((s * c.steps + 900) * 2)] = std::nan("");
    }
    KalmanResults a(settled.batch()), b(broken.batch());
    kalman_batch(settled.batch(), a.view());
    kalman_batch(broken.batch(), b.view());
    KalmanResults exact(broken.batch());
    kalman_batch_reference(broken.batch(), exact.view());
    expect_near(b.mean, exact.mean, "mean");
    expect_near(b.log_likelihood, exact.log_likelihood, "log-likelihood");
    for (int64_t s = 0; s < c.series; ++s) {
      const auto from = a.mean.begin() + s * c.steps * 4;
      EXPECT_TRUE(std::equal(from, from + 900 * 4, b.mean.begin() + s * c.steps * 4)) << s;
    }
  });
}

TEST(KalmanSimdProperty, ASeriesWithoutVarianceIsNamedAndLeavesTheOthersAlone) {
  KalmanCase c{.series = 11, .steps = 20, .states = 2, .observations = 1, .own_noise = true};
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    RandomKalmanBatch data(c);
    data.r()[6] = -1e6;
    KalmanResults one(data.batch()), exact(data.batch());
    kalman_batch(data.batch(), one.view());
    kalman_batch_reference(data.batch(), exact.view());
    EXPECT_EQ(exact.failed[6], 0);
    EXPECT_EQ(one.failed, exact.failed);
    expect_near(one.mean, exact.mean, "mean");
  });
}

}  // namespace
}  // namespace covary::compute
