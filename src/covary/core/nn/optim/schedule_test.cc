#include "covary/core/nn/optim/schedule.h"

#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::nn {
namespace {

TEST(Schedule, ExponentialIsAStraightLineInTheLogarithm) {
  const Schedule s = exponential(1e-2, 1e-4, 100);
  EXPECT_NEAR(s.at(0), 1e-2, 1e-16);
  EXPECT_NEAR(s.at(50), 1e-3, 1e-15);
  EXPECT_NEAR(s.at(25) / s.at(50), s.at(50) / s.at(75), 1e-12);
  EXPECT_NEAR(s.at(100), 1e-4, 1e-17);
  EXPECT_EQ(s.at(100), s.at(100000));
}

TEST(Schedule, ExponentialOfEqualEndsIsConstantToTheBit) {
  const Schedule s = exponential(2.5e-3, 2.5e-3, 1000);
  for (const int64_t i : {0, 1, 333, 1000, 2000}) EXPECT_EQ(s.at(i), 2.5e-3);
}

TEST(Schedule, WarmUpRisesFromItsFactorToOne) {
  Schedule s = constant(2);
  s.warm_up(0.1, 10);
  EXPECT_DOUBLE_EQ(s.at(0), 0.2);
  EXPECT_NEAR(s.at(5), 2 * (0.1 + 0.9 * std::sqrt(0.5)), 1e-12);
  for (int i = 0; i < 10; ++i) EXPECT_LT(s.at(i), s.at(i + 1));
  EXPECT_EQ(s.at(10), 2);
}

TEST(Schedule, SurvivesJson) {
  Schedule s = exponential(1.6e-4, 1.6e-6, 30000);
  s.warm_up(0.01, 500);
  const Schedule t = nlohmann::json::parse(nlohmann::json(s).dump()).get<Schedule>();
  for (const int64_t i : {0, 3, 499, 500, 12345, 40000}) EXPECT_EQ(s.at(i), t.at(i));
}

TEST(Schedule, RefusesWhatIsNoRate) {
  EXPECT_THROW(constant(-1).check("x"), Error);
  EXPECT_THROW(constant(std::numeric_limits<double>::quiet_NaN()).check("x"), Error);
  EXPECT_THROW(exponential(1, 0, 10).check("x"), Error);
  EXPECT_NO_THROW(exponential(1, 0.5, 10).check("x"));
  EXPECT_NO_THROW(constant(0).check("x"));
}

}  // namespace
}  // namespace covary::nn
