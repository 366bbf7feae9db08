#include "covary/core/geometry/point_distance.h"

#include <gtest/gtest.h>

#include "covary/core/base/error_of.h"
#include "covary/core/base/random.h"

namespace covary::geometry {
namespace {

std::vector<Eigen::Vector3f> cloud(int n, uint64_t seed) {
  std::vector<Eigen::Vector3f> all;
  const Random random(seed, 1);
  for (int i = 0; i < n; ++i) {
    Eigen::Vector3f p;
    for (int k = 0; k < 3; ++k)
      p[k] = static_cast<float>(random.uniform(static_cast<uint64_t>(3 * i + k)));
    all.push_back(p);
  }
  return all;
}

TEST(PointDistance, IsThatOfPlainSearch) {
  const auto a = cloud(300, 1), b = cloud(500, 2);
  const auto d = distances_to(a, b);
  for (size_t i = 0; i < a.size(); ++i) {
    float best = 10;
    for (const auto& p : b) best = std::min(best, (p - a[i]).norm());
    EXPECT_NEAR(d[i], best, 1e-6);
  }
}

TEST(PointDistance, ScoresCountWhatIsNear) {
  const std::vector<Eigen::Vector3f> truth = {{0, 0, 0}, {1, 0, 0}, {2, 0, 0}, {3, 0, 0}};
  const std::vector<Eigen::Vector3f> ours = {{0, 0.05f, 0}, {1, 0, 0}, {9, 0, 0}};
  const SurfaceScore s = surface_score(ours, truth, 0.1);
  EXPECT_NEAR(s.precision, 2.0 / 3, 1e-12);
  EXPECT_NEAR(s.recall, 0.5, 1e-12);
  EXPECT_NEAR(s.f, 2 * (2.0 / 3) * 0.5 / (2.0 / 3 + 0.5), 1e-12);
  EXPECT_NEAR(s.mean_error, 6.05 / 3, 1e-6);
  EXPECT_EQ(surface_score(truth, truth, 1e-9).f, 1);
  EXPECT_EQ(error_of([&] { surface_score({}, truth, 1); }).code(), ExitCode::kData);
}

}  // namespace
}  // namespace covary::geometry
