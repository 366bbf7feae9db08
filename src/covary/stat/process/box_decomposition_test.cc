#include "covary/stat/process/box_decomposition.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/front_test_data.h"
#include "covary/stat/process/hypervolume.h"

namespace covary::stat {
namespace {

bool inside(const BoxDecomposition& b, int64_t k, std::span<const double> z) {
  for (int64_t j = 0; j < b.objectives(); ++j) {
    const auto i = static_cast<size_t>(k), o = static_cast<size_t>(j);
    if (!(z[o] > b.levels(j)[static_cast<size_t>(b.lower(j)[i])] &&
          z[o] <= b.levels(j)[static_cast<size_t>(b.upper(j)[i])])) {
      return false;
    }
  }
  return true;
}

// Every point of the open region is in one box, every other in none: on a grid that has points on
// the sides, too, for small whole numbers.
TEST(BoxDecomposition, CutsTheOpenRegionWithoutOverlap) {
  for (size_t m = 1; m <= 5; ++m) {
    for (int kind = 0; kind < 3; ++kind) {
      for (uint64_t seed = 0; seed < 8; ++seed) {
        const size_t n = seed == 0 ? 0 : 2 + 3 * seed;
        const std::vector<double> y = points_of(seed, n, m, kind), reference(m, 0);
        const BoxDecomposition boxes(y, reference);
        const Random random(seed, 8);
        for (uint64_t s = 0; s < 300; ++s) {
          std::vector<double> z(m);
          for (size_t j = 0; j < m; ++j) {
            const double u = random.uniform(s * m + j);
            z[j] = kind == 2 ? std::floor(7 * u) - 1 : 1.6 * u - 0.2;
          }
          bool open = *std::min_element(z.begin(), z.end()) > 0;
          for (size_t i = 0; i < n && open; ++i) {
            size_t j = 0;
            while (j < m && y[i * m + j] >= z[j]) ++j;
            open = j < m;
          }
          int64_t count = 0;
          for (int64_t k = 0; k < boxes.size(); ++k) count += inside(boxes, k, z);
          ASSERT_EQ(count, open ? 1 : 0) << m << " " << kind << " " << seed;
        }
      }
    }
  }
}

TEST(BoxDecomposition, ImprovementIsTheGainInVolume) {
  for (size_t m = 1; m <= 5; ++m) {
    for (int kind = 0; kind < 3; ++kind) {
      for (uint64_t seed = 0; seed < 6; ++seed) {
        const std::vector<double> reference(m, -0.3);
        std::vector<double> y = points_of(seed, 12, m, kind);
        const BoxDecomposition boxes(y, reference);
        const double before = hypervolume(y, reference);
        const std::vector<double> extra = points_of(seed + 99, 8, m, kind);
        for (size_t i = 0; i < extra.size(); i += m) {
          const auto point = std::span(extra).subspan(i, m);
          auto with = y;
          with.insert(with.end(), point.begin(), point.end());
          const double after = hypervolume(with, reference);
          EXPECT_NEAR(boxes.improvement(point), after - before, 1e-12 * (1 + after));
        }
      }
    }
  }
}

TEST(BoxDecomposition, HasFewBoxes) {
  for (const size_t n : {1, 10, 50}) {
    const auto boxes = [&](size_t m) {
      return BoxDecomposition(points_of(2, n, m, 1), std::vector<double>(m, 0)).size();
    };
    const auto front = static_cast<int64_t>(n);
    EXPECT_EQ(boxes(2), front + 1);
    EXPECT_LE(boxes(3), 2 * front + 1);
    EXPECT_LE(boxes(4), front * front + 4);
  }
}

TEST(BoxDecomposition, LevelsAreSortedAndSidesInOrder) {
  for (const size_t m : {1, 2, 3, 4}) {
    const BoxDecomposition boxes(points_of(3, 20, m, 2), std::vector<double>(m, 0.5));
    for (int64_t j = 0; j < boxes.objectives(); ++j) {
      const auto levels = boxes.levels(j);
      EXPECT_TRUE(std::is_sorted(levels.begin(), levels.end()));
      EXPECT_EQ(levels.front(), 0.5);
      EXPECT_EQ(levels.back(), std::numeric_limits<double>::infinity());
      for (size_t k = 0; k < static_cast<size_t>(boxes.size()); ++k) {
        EXPECT_LT(boxes.lower(j)[k], boxes.upper(j)[k]);
        EXPECT_GE(boxes.lower(j)[k], 0);
        EXPECT_LT(static_cast<size_t>(boxes.upper(j)[k]), levels.size());
      }
    }
  }
}

TEST(BoxDecomposition, OneBoxWithoutAPoint) {
  for (const size_t m : {1, 2, 3, 4}) {
    const std::vector<double> reference(m, 2), below(m, 1), above(m, 4);
    for (const BoxDecomposition& b :
         {BoxDecomposition({}, reference), BoxDecomposition(below, reference)}) {
      EXPECT_EQ(b.size(), 1);
      EXPECT_TRUE(b.front().empty());
      EXPECT_EQ(b.improvement(above), std::pow(2, m));
      EXPECT_EQ(b.improvement(below), 0);
    }
  }
}

TEST(BoxDecomposition, ScalesFarApart) {
  // Objectives in units of 1e-12 and 1e12 with an offset.
  std::vector<double> y = points_of(4, 20, 3, 1), z = points_of(5, 5, 3, 1);
  const double before =
      BoxDecomposition(y, std::vector<double>{0, 0, 0}).improvement(std::span(z).first(3));
  for (auto* v : {&y, &z}) {
    for (size_t i = 0; i < v->size(); i += 3) (*v)[i] *= 1e-12, (*v)[i + 1] *= 1e12;
  }
  const double after =
      BoxDecomposition(y, std::vector<double>{0, 0, 0}).improvement(std::span(z).first(3));
  EXPECT_NEAR(after, before, 1e-12 * before);
}

TEST(BoxDecomposition, RefusesWhatIsNoSet) {
  const std::vector<double> two{0, 0};
  const double nan = std::nan("");
  EXPECT_THROW(BoxDecomposition(std::vector<double>{1, nan}, two), Error);
  EXPECT_THROW(BoxDecomposition(std::vector<double>{1}, two), Error);
  EXPECT_THROW(BoxDecomposition({}, {}), Error);
  EXPECT_THROW(BoxDecomposition({}, std::vector<double>{0, nan}), Error);
  const BoxDecomposition boxes({}, two);
  EXPECT_THROW(boxes.improvement(std::vector<double>{1}), Error);
  EXPECT_THROW(boxes.improvement(std::vector<double>{1, nan}), Error);
  EXPECT_THROW(boxes.improvement(std::vector<double>{1e300, 1e300}), Error);
}

}  // namespace
}  // namespace covary::stat
