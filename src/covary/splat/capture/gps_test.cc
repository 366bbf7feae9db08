#include "covary/splat/capture/gps.h"

#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/geometry/rigid.h"

namespace covary::capture {
namespace {

using Eigen::Vector3d;

// Cameras on a ring of `radius` m about a place; the model is turned, scaled and shifted.
struct Walk {
  GpsPositions positions;
  Poses poses;
};

constexpr double kTurn = 0.7, kScale = 0.02;  // model units a metre

Walk walk(int n, double radius, double noise_m) {
  const Vector3d origin(47.3769, 8.5417, 408);
  const Random random(4);
  Walk w;
  for (int i = 0; i < n; ++i) {
    const std::string name = "p" + std::to_string(100 + i);
    const double t = 6.2 * i / n, x = radius * std::cos(t), y = radius * std::sin(t);
    const auto noise = [&](int k) {
      return noise_m * random.normal(static_cast<uint64_t>(3 * i + k));
    };
    const double north = y + noise(0), east = x + noise(1);
    w.positions[name] = {origin[0] + north / 111180.0, origin[1] + east / 75500.0,
                         origin[2] + noise(2)};
    // model = scale * turn * metric + shift
    const Vector3d at(kScale * (std::cos(kTurn) * x - std::sin(kTurn) * y) + 3,
                      kScale * (std::sin(kTurn) * x + std::cos(kTurn) * y) - 2, 0.5);
    w.poses[name] = geometry::look_at(at, {3, -2, 0.4}, {0, 0, 1});
  }
  return w;
}

TEST(Gps, EastNorthUpOfSmallSteps) {
  const Vector3d origin(47.3769, 8.5417, 408);
  EXPECT_LT(east_north_up(origin, origin).norm(), 1e-9);
  const Vector3d north = east_north_up({47.3769 + 1e-4, 8.5417, 408}, origin);
  EXPECT_NEAR(north.y(), 11.118, 0.01);
  EXPECT_NEAR(north.x(), 0, 1e-6);
  EXPECT_NEAR(east_north_up({47.3769, 8.5417, 418}, origin).z(), 10, 1e-6);
  EXPECT_GT(east_north_up({47.3769, 8.5418, 408}, origin).x(), 7);
}

TEST(Gps, ScaleAndNorthComeBack) {
  const Walk w = walk(40, 60, 2);
  const auto fit = fit_gps(w.positions, w.poses);
  ASSERT_TRUE(fit.has_value());
  EXPECT_EQ(fit->photos, 40);
  EXPECT_NEAR(geometry::similarity_scale(fit->metric_from_model), 1 / kScale, 0.02 / kScale);
  // A step to the model's x is one of 1 / scale m, turned back.
  const Vector3d step = geometry::apply(fit->metric_from_model, {4, -2, 0.5}) -
                        geometry::apply(fit->metric_from_model, {3, -2, 0.5});
  EXPECT_NEAR(std::atan2(step.y(), step.x()), -kTurn, 0.03);
  EXPECT_LT(fit->residual_m, 5);
}

TEST(Gps, OnesFarOffAreLeftOut) {
  Walk w = walk(40, 60, 0.5);
  int i = 0;
  for (auto& [name, position] : w.positions)
    if (++i % 5 == 0) position[0] += 0.01;  // a kilometre
  const auto fit = fit_gps(w.positions, w.poses);
  ASSERT_TRUE(fit.has_value());
  EXPECT_NEAR(geometry::similarity_scale(fit->metric_from_model), 1 / kScale, 0.02 / kScale);
}

TEST(Gps, SmallOrMeaninglessOnesSayNothing) {
  const Walk small = walk(40, 3, 4), few = walk(4, 60, 1);
  EXPECT_FALSE(fit_gps(small.positions, small.poses).has_value());
  EXPECT_FALSE(fit_gps(few.positions, few.poses).has_value());
  Walk noise = walk(40, 60, 200);
  EXPECT_FALSE(fit_gps(noise.positions, noise.poses).has_value());
  EXPECT_FALSE(fit_gps({}, noise.poses).has_value());
}

}  // namespace
}  // namespace covary::capture
