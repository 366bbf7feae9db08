#include "covary/core/numeric/sobol.h"

#include <cmath>
#include <set>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"

namespace covary::numeric {
namespace {

// Elementary boxes of sides 2^-a and 2^-b hold 2^t points each.
int t_value(const std::vector<double>& x, int64_t width, int64_t p, int64_t q, int size) {
  const int64_t n = int64_t{1} << size;
  for (int t = 0; t <= size; ++t) {
    bool even = true;
    for (int a = 0; even && a <= size - t; ++a) {
      const int b = size - t - a;
      std::vector<int> boxes(size_t{1} << (size - t));
      for (int64_t i = 0; i < n; ++i) {
        const auto at = [&](int64_t d, int bits) {
          return static_cast<size_t>(std::ldexp(x[static_cast<size_t>(i * width + d)], bits));
        };
        ++boxes[(at(p, a) << b) + at(q, b)];
      }
      for (const int count : boxes) even = even && count == 1 << t;
    }
    if (even) return t;
  }
  return size + 1;
}

TEST(Sobol, EveryCoordinateMeetsEveryIntervalOnce) {
  for (const bool scramble : {false, true}) {
    const int64_t width = 300;
    const Sobol sobol(width, 5, scramble);
    const std::vector<double> x = sobol.points(256);
    for (int64_t d = 0; d < width; ++d) {
      std::set<int> seen;
      for (int64_t i = 0; i < 256; ++i) {
        const double v = x[static_cast<size_t>(i * width + d)];
        ASSERT_GT(v, 0);
        ASSERT_LT(v, 1);
        seen.insert(static_cast<int>(256 * v));
      }
      EXPECT_EQ(seen.size(), 256u) << d;
    }
  }
}

TEST(Sobol, PairsOfCoordinatesAreNets) {
  const int64_t width = 64;
  const int size = 8;
  for (const bool scramble : {false, true}) {
    const std::vector<double> x = Sobol(width, 9, scramble).points(1 << size);
    int worst = 0;
    double total = 0, pairs = 0;
    EXPECT_EQ(t_value(x, width, 0, 1, size), 0);
    for (int64_t p = 0; p < width; p += 3) {
      for (int64_t q = p + 1; q < std::min<int64_t>(p + 6, width); ++q) {
        const int t = t_value(x, width, p, q, size);
        worst = std::max(worst, t);
        total += t;
        ++pairs;
      }
    }
    EXPECT_LE(worst, 5);
    EXPECT_LE(total / pairs, 2.5);
  }
}

TEST(Sobol, PointsAreTheSameByIndexAndInARow) {
  const Sobol sobol(7, 3);
  const std::vector<double> row = sobol.points(20, 1000);
  std::vector<double> one(7);
  for (uint64_t i = 0; i < 20; ++i) {
    sobol.point(1000 + i, one);
    for (size_t d = 0; d < 7; ++d) EXPECT_EQ(one[d], row[i * 7 + d]);
  }
  EXPECT_NE(Sobol(7, 4).points(1), Sobol(7, 3).points(1));
  EXPECT_EQ(Sobol(9, 3).points(1)[6], Sobol(7, 3).points(1)[6]);
}

TEST(Sobol, IntegratesBetterThanChance) {
  // Product of 1 + (x - 1/2) / d over 10 coordinates: mean 1, standard deviation of a plain mean of
  // 1024 points 0.0028.
  const Sobol sobol(10, 1);
  const std::vector<double> x = sobol.points(1024);
  double mean = 0;
  for (size_t i = 0; i < 1024; ++i) {
    double product = 1;
    for (size_t d = 0; d < 10; ++d) {
      product *= 1 + (x[i * 10 + d] - 0.5) / static_cast<double>(d + 1);
    }
    mean += product / 1024;
  }
  EXPECT_NEAR(mean, 1, 2e-4);
}

TEST(Sobol, NormalsHaveTheMomentsOfANormal) {
  const std::vector<double> z = Sobol(2, 8).normals(4096);
  double mean = 0, square = 0, product = 0;
  for (size_t i = 0; i < 4096; ++i) {
    mean += z[2 * i] / 4096;
    square += z[2 * i] * z[2 * i] / 4096;
    product += z[2 * i] * z[2 * i + 1] / 4096;
  }
  EXPECT_NEAR(mean, 0, 1e-3);
  EXPECT_NEAR(square, 1, 3e-3);
  EXPECT_NEAR(product, 0, 1e-2);
}

TEST(Sobol, RefusesWhatItDoesNotHave) {
  EXPECT_THROW(Sobol(0), Error);
  EXPECT_THROW(Sobol(30000), Error);
  std::vector<double> x(3);
  EXPECT_THROW(Sobol(2).point(0, x), Error);
  EXPECT_THROW(Sobol(3).point(uint64_t{1} << 32, x), Error);
  EXPECT_THROW(Sobol(3).points(-1), Error);
}

}  // namespace
}  // namespace covary::numeric
