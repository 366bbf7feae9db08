#include "covary/stat/process/hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/front_test_data.h"

namespace covary::stat {
namespace {

bool dominates(const double* a, const double* b, size_t m) {
  bool better = false;
  for (size_t j = 0; j < m; ++j) {
    if (a[j] < b[j]) return false;
    better = better || a[j] > b[j];
  }
  return better;
}

// By inclusion and exclusion over all subsets, in long doubles.
double brute_force(const std::vector<double>& y, const std::vector<double>& reference) {
  const size_t m = reference.size(), n = y.size() / m;
  long double volume = 0;
  for (uint64_t set = 1; set < (uint64_t{1} << n); ++set) {
    long double box = 1;
    for (size_t j = 0; j < m; ++j) {
      double least = std::numeric_limits<double>::infinity();
      for (size_t i = 0; i < n; ++i) {
        if ((set >> i) & 1) least = std::min(least, y[i * m + j]);
      }
      box *= std::max(0.0L, static_cast<long double>(least) - reference[j]);
    }
    volume += __builtin_popcountll(set) % 2 == 1 ? box : -box;
  }
  return static_cast<double>(volume);
}

TEST(NonDominated, AgreesWithComparisonOfAllPairs) {
  for (size_t m = 1; m <= 5; ++m) {
    for (int kind = 0; kind < 3; ++kind) {
      for (uint64_t seed = 0; seed < 10; ++seed) {
        const size_t n = 40;
        const std::vector<double> y = points_of(seed, n, m, kind);
        std::vector<int64_t> expected;
        for (size_t i = 0; i < n; ++i) {
          bool kept = true;
          for (size_t k = 0; k < n && kept; ++k) {
            const double *a = &y[k * m], *b = &y[i * m];
            kept = !dominates(a, b, m) && !(k < i && std::equal(a, a + m, b));
          }
          if (kept) expected.push_back(static_cast<int64_t>(i));
        }
        EXPECT_EQ(non_dominated(y, static_cast<int64_t>(m)), expected) << m << " " << kind;
      }
    }
  }
}

TEST(Hypervolume, AgreesWithInclusionAndExclusion) {
  for (size_t m = 1; m <= 6; ++m) {
    const std::vector<double> reference(m, -0.25);
    for (int kind = 0; kind < 3; ++kind) {
      for (uint64_t seed = 0; seed < 6; ++seed) {
        for (const size_t n : {1, 2, 5, 11}) {
          const std::vector<double> y = points_of(seed + 50, n, m, kind);
          const double expected = brute_force(y, reference);
          EXPECT_NEAR(hypervolume(y, reference), expected, 1e-12 * std::max(1.0, expected))
              << m << " " << kind << " " << seed << " " << n;
        }
      }
    }
  }
}

TEST(Hypervolume, AgreesWithMonteCarlo) {
  for (const size_t m : {2, 3, 4, 5}) {
    const std::vector<double> y = points_of(4, 60, m, 1), reference(m, 0);
    const Random random(9, 1);
    const int draws = 20000;
    int inside = 0;
    for (int s = 0; s < draws; ++s) {
      std::vector<double> z(m);
      for (size_t j = 0; j < m; ++j) z[j] = random.uniform(static_cast<uint64_t>(s) * m + j);
      for (size_t i = 0; i < 60; ++i) {
        if (dominates(&y[i * m], z.data(), m)) {
          ++inside;
          break;
        }
      }
    }
    const double share = static_cast<double>(inside) / draws;
    EXPECT_NEAR(hypervolume(y, reference), share, 4 * std::sqrt(share * (1 - share) / draws)) << m;
  }
}

TEST(Hypervolume, HasItsSymmetries) {
  for (const size_t m : {2, 3, 4}) {
    const std::vector<double> y = points_of(5, 30, m, 1), reference(m, 0);
    const double volume = hypervolume(y, reference);
    std::vector<double> backwards(y.rbegin(), y.rend());  // rows and objectives in other order
    EXPECT_NEAR(hypervolume(backwards, reference), volume, 1e-13);
    std::vector<double> twice = y;
    twice.insert(twice.end(), y.begin(), y.end());
    EXPECT_EQ(hypervolume(twice, reference), volume);
    std::vector<double> wide = y;  // the first objective times 1e12, the second times 1e-12
    for (size_t i = 0; i < wide.size(); i += m) wide[i] *= 1e12, wide[i + 1] *= 1e-12;
    EXPECT_NEAR(hypervolume(wide, reference), volume, 1e-13);
    std::vector<double> moved = y;
    for (double& v : moved) v += 8;
    EXPECT_NEAR(hypervolume(moved, std::vector<double>(m, 8)), volume, 1e-13);
  }
}

TEST(Hypervolume, PointsAtOrBelowTheReferenceAddNothing) {
  const std::vector<double> reference{1, 1, 1};
  EXPECT_EQ(hypervolume({}, reference), 0);
  EXPECT_EQ(hypervolume(std::vector<double>{5, 5, 1}, reference), 0);
  EXPECT_EQ(hypervolume(std::vector<double>{5, 5, 0, 2, 2, 2}, reference), 1);
  EXPECT_TRUE(front_above(std::vector<double>{5, 5, 1}, reference).empty());
  EXPECT_EQ(front_above(std::vector<double>{2, 2, 2, 2, 2, 2, 1.5, 2, 2}, reference),
            (std::vector<double>{2, 2, 2}));
}

TEST(Hypervolume, RefusesWhatIsNoSet) {
  const std::vector<double> two{0, 0};
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  EXPECT_THROW(hypervolume(std::vector<double>{1, 2, 3}, two), Error);
  EXPECT_THROW(hypervolume(std::vector<double>{1, nan}, two), Error);
  EXPECT_THROW(hypervolume(std::vector<double>{1, inf}, two), Error);
  EXPECT_THROW(hypervolume(std::vector<double>{1, 2}, std::vector<double>{0, nan}), Error);
  EXPECT_THROW(hypervolume(std::vector<double>{1, 2}, std::vector<double>{0, -inf}), Error);
  EXPECT_THROW(hypervolume({}, {}), Error);
  EXPECT_THROW(hypervolume(std::vector<double>{1e300, 1e300}, two), Error);
  EXPECT_THROW(non_dominated(std::vector<double>{1, 2}, 0), Error);
  EXPECT_THROW(non_dominated(std::vector<double>{1, nan}, 2), Error);
  EXPECT_TRUE(non_dominated({}, 2).empty());
}

}  // namespace
}  // namespace covary::stat
