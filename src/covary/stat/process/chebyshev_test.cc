#include "covary/stat/process/chebyshev.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/hypervolume.h"

namespace covary::stat {
namespace {

TEST(Chebyshev, WeightsAreUniformOverTheSimplex) {
  for (const int64_t m : {1, 2, 3, 5}) {
    const auto n = static_cast<double>(m);
    const int count = 4000;
    std::vector<double> mean(static_cast<size_t>(m)), square(mean);
    for (int i = 0; i < count; ++i) {
      const std::vector<double> w = random_weights(m, 3, static_cast<uint64_t>(i));
      EXPECT_NEAR(std::accumulate(w.begin(), w.end(), 0.0), 1, 1e-14);
      for (size_t j = 0; j < w.size(); ++j) {
        EXPECT_GE(w[j], 0);
        mean[j] += w[j] / count;
        square[j] += w[j] * w[j] / count;
      }
    }
    // Dirichlet(1, ..., 1): mean 1 / m, mean square 2 / (m (m + 1)).
    for (size_t j = 0; j < mean.size(); ++j) {
      EXPECT_NEAR(mean[j], 1 / n, 4 * std::sqrt(1 / n / count)) << m;
      EXPECT_NEAR(square[j], 2 / (n * (n + 1)), 4 * std::sqrt(1 / n / count)) << m;
    }
  }
  EXPECT_EQ(random_weights(3, 1, 2), random_weights(3, 1, 2));
  EXPECT_NE(random_weights(3, 1, 2), random_weights(3, 1, 3));
  EXPECT_NE(random_weights(3, 1, 2), random_weights(3, 2, 2));
}

TEST(Chebyshev, IsItsFormula) {
  const std::vector<double> observed{0, 10, 2, 30};  // ranges [0, 2], [10, 30]
  const Chebyshev one(observed, std::vector<double>{1, 3}, 0.1);
  const std::vector<double> y{0.5, 25};
  const double a = 0.25 * (0.25 - 1), b = 0.75 * (0.75 - 1);
  EXPECT_NEAR(one.value(y), std::min(a, b) + 0.1 * (a + b), 1e-15);
  EXPECT_EQ(one.value(std::vector<double>{2, 30}), 0);  // the ideal
}

// Of a concave-dented front, every point is the best for some weights, and the best never is a
// dominated point.
TEST(Chebyshev, ChoosesPointsOfTheFrontAndAllOfThem) {
  std::vector<double> y;
  for (int i = 0; i <= 8; ++i) {  // a front that bends inwards: no sum of weights finds its middle
    const double t = i / 8.0;
    y.insert(y.end(), {(1 - t) * (1 - t) * 5, t * t * 700});
  }
  const Random random(6, 1);
  for (uint64_t i = 0; i < 9; ++i) {  // dominated ones
    y.push_back(0.5 * y[2 * i] - 0.1 * random.uniform(i));
    y.push_back(0.5 * y[2 * i + 1] - 0.1);
  }
  const std::vector<int64_t> front = non_dominated(y, 2);
  ASSERT_EQ(front.size(), 9u);
  std::set<int64_t> chosen;
  for (uint64_t k = 0; k < 2000; ++k) {
    const Chebyshev one(y, random_weights(2, 1, k), 0.001);
    int64_t best = 0;
    for (int64_t i = 0; i < 18; ++i) {
      const auto row = [&](int64_t r) {
        return std::span(y).subspan(static_cast<size_t>(2 * r), 2);
      };
      if (one.value(row(i)) > one.value(row(best))) best = i;
    }
    chosen.insert(best);
  }
  EXPECT_EQ(std::vector<int64_t>(chosen.begin(), chosen.end()), front);
}

TEST(Chebyshev, SlopesAgreeWithDifferences) {
  for (uint64_t seed = 0; seed < 10; ++seed) {
    const Random random(seed, 2);
    std::vector<double> observed(30), y(3), slopes(3);
    for (size_t i = 0; i < 30; ++i) observed[i] = random.normal(i);
    for (size_t j = 0; j < 3; ++j) y[j] = random.normal(100 + j);
    const Chebyshev one(observed, random_weights(3, seed, 0));
    one.value(y, slopes);
    for (size_t j = 0; j < 3; ++j) {
      auto up = y, down = y;
      up[j] += 1e-6;
      down[j] -= 1e-6;
      EXPECT_NEAR(slopes[j], (one.value(up) - one.value(down)) / 2e-6, 1e-8);
      EXPECT_GT(slopes[j], 0);
    }
  }
}

TEST(Chebyshev, HostileInputGivesErrorsOrFiniteAnswers) {
  const std::vector<double> one{1, 1}, y{0, 0, 1, 1};
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  EXPECT_THROW(Chebyshev(std::vector<double>{1, nan}, one), Error);
  EXPECT_THROW(Chebyshev(std::vector<double>{1, inf}, one), Error);
  EXPECT_THROW(Chebyshev({}, one), Error);
  EXPECT_THROW(Chebyshev(std::vector<double>{1, 2, 3}, one), Error);
  EXPECT_THROW(Chebyshev(y, {}), Error);
  EXPECT_THROW(Chebyshev(y, std::vector<double>{0, 0}), Error);
  EXPECT_THROW(Chebyshev(y, std::vector<double>{1, -1}), Error);
  EXPECT_THROW(Chebyshev(y, std::vector<double>{1, nan}), Error);
  EXPECT_THROW(Chebyshev(y, one, -1), Error);
  EXPECT_THROW(Chebyshev(std::vector<double>{-1e308, 0, 1e308, 0}, one), Error);
  EXPECT_THROW(random_weights(0, 1, 1), Error);
  const Chebyshev fine(y, one);
  EXPECT_THROW(fine.value(std::vector<double>{1}), Error);
  EXPECT_THROW(fine.value(std::vector<double>{1, nan}), Error);
  // Constant objectives, one point, scales far apart.
  EXPECT_EQ(Chebyshev(std::vector<double>{3, 3}, one).value(std::vector<double>{3, 3}), 0);
  const Chebyshev wide(std::vector<double>{0, 0, 1e-12, 1e12}, one);
  EXPECT_NEAR(wide.value(std::vector<double>{0, 0}), -0.5 - 0.05, 1e-15);
}

}  // namespace
}  // namespace covary::stat
