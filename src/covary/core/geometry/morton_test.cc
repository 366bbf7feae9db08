#include "covary/core/geometry/morton.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::geometry {
namespace {

std::vector<float> random_points(int64_t n) {
  const Random random(1, 2);
  std::vector<float> points(static_cast<size_t>(3 * n));
  for (size_t i = 0; i < points.size(); ++i) points[i] = static_cast<float>(random.uniform(i));
  return points;
}

double way(const std::vector<float>& points, const std::vector<int64_t>& order) {
  double sum = 0;
  for (size_t i = 1; i < order.size(); ++i) {
    const float *a = points.data() + 3 * order[i - 1], *b = points.data() + 3 * order[i];
    sum += std::hypot(a[0] - b[0], a[1] - b[1], a[2] - b[2]);
  }
  return sum;
}

void expect_permutation(std::vector<int64_t> order, int64_t n) {
  ASSERT_EQ(static_cast<int64_t>(order.size()), n);
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < n; ++i) EXPECT_EQ(order[static_cast<size_t>(i)], i);
}

TEST(Morton, CornersOfACubeComeByZThenYThenX) {
  std::vector<float> corners;
  for (int i = 7; i >= 0; --i) {
    for (int k = 0; k < 3; ++k) corners.push_back(static_cast<float>((i >> k) & 1));
  }
  EXPECT_EQ(morton_order(corners.data(), 8), (std::vector<int64_t>{7, 6, 5, 4, 3, 2, 1, 0}));
}

TEST(Morton, AGridComesByItsInterleavedBits) {
  constexpr int kSide = 16;
  std::vector<float> points;
  std::vector<std::pair<int, int64_t>> want;
  for (int i = 0; i < kSide * kSide * kSide; ++i) {
    const int cell[3] = {i * 7 % kSide, i / kSide % kSide, i / kSide / kSide};
    int key = 0;
    for (int b = 0; b < 4; ++b)
      for (int k = 0; k < 3; ++k) key |= (cell[k] >> b & 1) << (3 * b + k);
    for (const int c : cell) points.push_back(static_cast<float>(c));
    want.emplace_back(key, i);
  }
  std::sort(want.begin(), want.end());
  const std::vector<int64_t> order = morton_order(points.data(), static_cast<int64_t>(want.size()));
  for (size_t i = 0; i < want.size(); ++i) ASSERT_EQ(order[i], want[i].second) << i;
}

TEST(Morton, NeighboursInTheOrderAreNeighboursInSpace) {
  constexpr int64_t kPoints = 4096;  // 16 cells a side: 1/16 apart
  const std::vector<float> points = random_points(kPoints);
  const std::vector<int64_t> order = morton_order(points.data(), kPoints);
  expect_permutation(order, kPoints);
  std::vector<int64_t> given(kPoints);
  std::iota(given.begin(), given.end(), 0);
  EXPECT_GT(way(points, given) / kPoints, 0.6);  // 0.66 for two random points
  EXPECT_LT(way(points, order) / kPoints, 0.11);
}

// Many in one cell's neighbourhood, some twice, some far: piles that are empty, small, and too large for a comparing sort.
TEST(Morton, IsAStableSortByKeyAtAnyNumberOfThreads) {
  constexpr int64_t kPoints = 30000;
  std::vector<float> points = random_points(kPoints);
  for (int64_t i = 0; i < kPoints; ++i) {
    if (i % 3 == 0) continue;
    for (int64_t k = 0; k < 3; ++k) {
      float& x = points[static_cast<size_t>(3 * i + k)];
      x = 0.3f + 0.001f * (i % 3 == 1 ? x : std::round(20 * x) / 20);
    }
  }
  set_threads(1);
  const std::vector<int64_t> order = morton_order(points.data(), kPoints);
  expect_permutation(order, kPoints);
  const auto point = [&](int64_t i) {
    const auto at = static_cast<size_t>(3 * i);
    return std::array<float, 3>{points[at], points[at + 1], points[at + 2]};
  };
  int64_t same = 0;
  for (size_t i = 1; i < order.size(); ++i)
    if (point(order[i - 1]) == point(order[i])) {
      ++same;
      ASSERT_LT(order[i - 1], order[i]);
    }
  EXPECT_GT(same, 500);
  // Sorting what is sorted changes nothing: each point's key is that of its place.
  std::vector<float> sorted;
  for (const int64_t i : order)
    for (const float x : point(i)) sorted.push_back(x);
  std::vector<int64_t> given(kPoints);
  std::iota(given.begin(), given.end(), 0);
  set_threads(3);
  EXPECT_EQ(morton_order(sorted.data(), kPoints), given);
  EXPECT_EQ(morton_order(points.data(), kPoints), order);
  set_threads(0);
}

TEST(Morton, EqualPointsKeepTheirOrderAndAnyNumbersGiveAPermutation) {
  EXPECT_TRUE(morton_order(nullptr, 0).empty());
  const std::vector<float> same(300, 2.5f);
  std::vector<int64_t> given(100);
  std::iota(given.begin(), given.end(), 0);
  EXPECT_EQ(morton_order(same.data(), 100), given);
  std::vector<float> hostile = random_points(100);
  hostile[7] = std::numeric_limits<float>::quiet_NaN();
  hostile[20] = std::numeric_limits<float>::infinity();
  hostile[100] = -std::numeric_limits<float>::infinity();
  hostile[200] = std::numeric_limits<float>::max();
  expect_permutation(morton_order(hostile.data(), 100), 100);
}

}  // namespace
}  // namespace covary::geometry
