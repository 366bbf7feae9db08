#include "covary/splat/fit/cross_ray.h"

#include <cmath>

#include <gtest/gtest.h>
#include <Eigen/Dense>

#include "covary/core/base/random.h"
#include "covary/splat/fit/small_capture.h"

namespace covary::fit {
namespace {

using Eigen::Vector3d;

TEST(WorstWindow, IsTheLargestMeanAndKnowsTheBorder) {
  const int64_t h = 45,
                w = 90;  // two rows of windows of 20 and one of 5, two columns of 40 and one of 10
  std::vector<float> errors(static_cast<size_t>(h * w), 0.1f);
  for (int64_t x = 80; x < 90; ++x) errors[static_cast<size_t>(44 * w + x)] = 3;
  const ErrorWindow a = worst_window(errors.data(), h, w, 40, 20);
  EXPECT_EQ(a.left, 80);
  EXPECT_EQ(a.right, 90);
  EXPECT_EQ(a.top, 40);
  EXPECT_EQ(a.bottom, 45);
  EXPECT_NEAR(a.error, (3 + 4 * 0.1) / 5, 1e-6);
  std::fill(errors.begin(), errors.end(), 0.1f);
  const ErrorWindow first = worst_window(errors.data(), h, w, 40, 20);
  EXPECT_EQ(first.left, 0);
  EXPECT_EQ(first.top, 0);
}

TEST(ClosestApproach, AgreesWithLeastSquares) {
  const Random random(3);
  for (uint64_t i = 0; i < 200; ++i) {
    const auto vector = [&](uint64_t k) {
      return Vector3d(random.normal(100 * i + 3 * k), random.normal(100 * i + 3 * k + 1),
                      random.normal(100 * i + 3 * k + 2));
    };
    const Vector3d a = vector(0), b = vector(1), p = vector(2).normalized(),
                   q = vector(3).normalized();
    const auto near = closest_approach(a, p, b, q);
    ASSERT_TRUE(near);
    Eigen::Matrix<double, 3, 2> m;
    m << p, -q;
    const Eigen::Vector2d t = m.colPivHouseholderQr().solve(b - a);
    const double scale = 1 + t.norm();
    EXPECT_NEAR(near->along_a, t[0], 1e-9 * scale);
    EXPECT_NEAR(near->along_b, t[1], 1e-9 * scale);
    EXPECT_NEAR(near->gap, (m * t - (b - a)).norm(), 1e-9 * scale);
    EXPECT_LT((near->middle - 0.5 * (a + t[0] * p + b + t[1] * q)).norm(), 1e-9 * scale);
    const auto other = closest_approach(b, q, a, p);
    EXPECT_LT((near->middle - other->middle).norm(), 1e-9 * scale);
    EXPECT_NEAR(near->along_a, other->along_b, 1e-9 * scale);
  }
  EXPECT_FALSE(closest_approach({0, 0, 0}, {0, 0, 1}, {1, 0, 0}, {0, 0, 1}));
}

// The window of 8 x 8 px around where a camera sees a point.
ErrorWindow around(const scene::Camera& camera, const Vector3d& point) {
  const Eigen::Vector2d at = camera.project(point);
  const auto x = static_cast<int64_t>(std::lround(at.x())),
             y = static_cast<int64_t>(std::lround(at.y()));
  return {x - 4, y - 4, x + 4, y + 4, 1};
}

TEST(Meeting, OfWindowsOnOnePointHoldsIt) {
  const scene::Camera a = ring_camera(0.3, 480, 360), b = ring_camera(1.2, 480, 360);
  const Vector3d point(0.1, -0.2, 0.15);
  const Meeting m = meeting_of(a, around(a, point), b, around(b, point), {.extent = 2});
  ASSERT_TRUE(m.box);
  EXPECT_TRUE(m.box->holds(point));
  EXPECT_LT((m.box->high - m.box->low).norm(), 0.2);
  const Meeting other = meeting_of(b, around(b, point), a, around(a, point), {.extent = 2});
  EXPECT_LT((m.box->low - other.box->low).norm(), 1e-12);
  EXPECT_LT((m.box->high - other.box->high).norm(), 1e-12);
}

TEST(Meeting, OfWhatIsNotOneThingIsRefused) {
  const scene::Camera a = ring_camera(0, 480, 360), b = ring_camera(1.2, 480, 360);
  const Vector3d here(0, 0, 0), there(0.1, 0.45, 0.1);
  EXPECT_EQ(meeting_of(a, around(a, here), b, around(b, there), {.extent = 2}).refusal,
            Refusal::kApart);
  EXPECT_TRUE(
      meeting_of(a, around(a, here), b, around(b, there), {.guarded = false, .extent = 2}).box);

  scene::Camera away = b;  // looks the other way: its rays meet those of a behind it
  away.cam_from_world.row(0).head<3>() *= -1;
  away.cam_from_world.row(2).head<3>() *= -1;
  away.cam_from_world.topRightCorner<3, 1>() =
      -away.cam_from_world.topLeftCorner<3, 3>() * b.centre();
  const ErrorWindow middle{236, 176, 244, 184, 1};
  EXPECT_EQ(meeting_of(a, middle, away, middle, {.extent = 2}).refusal, Refusal::kBehind);

  EXPECT_EQ(meeting_of(a, {100, 60, 380, 300, 1}, b, {100, 60, 380, 300, 1},
                       {.extent = 0.2, .most_gap = 10})
                .refusal,
            Refusal::kLarge);
  EXPECT_EQ(meeting_of(a, middle, a, middle, {.extent = 2}).refusal, Refusal::kParallel);
}

TEST(LookFromAfar, BeginsAtSixtyDegrees) {
  const auto at = [](double degrees) {
    const double r = degrees * M_PI / 180;
    return Vector3d(5 + 2 * std::cos(r), 2 * std::sin(r), 7);
  };
  const Vector3d origin(5, 0, 7);
  EXPECT_FALSE(look_from_afar({at(0), at(59.99)}, origin));
  EXPECT_TRUE(look_from_afar({at(0), at(60.01)}, origin));
  EXPECT_TRUE(look_from_afar({at(0), at(20), at(-45)}, origin));
  EXPECT_FALSE(look_from_afar({at(0), at(60.01)}, Vector3d(-1e4, 0, 0)));  // seen from far away
  EXPECT_FALSE(look_from_afar({at(10)}, origin));
}

}  // namespace
}  // namespace covary::fit
