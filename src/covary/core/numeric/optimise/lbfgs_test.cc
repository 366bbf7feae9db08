#include "covary/core/numeric/optimise/lbfgs.h"

#include <cmath>
#include <limits>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::numeric {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double rosenbrock(std::span<const double> x, std::span<double> g) {
  double f = 0;
  std::fill(g.begin(), g.end(), 0.0);
  for (size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = x[i + 1] - x[i] * x[i], b = 1 - x[i];
    f += 100 * a * a + b * b;
    g[i] += -400 * x[i] * a - 2 * b;
    g[i + 1] += 200 * a;
  }
  return f;
}

void expect_monotone(const Optimum& o) {
  for (size_t i = 1; i < o.trace.size(); ++i) EXPECT_LE(o.trace[i], o.trace[i - 1]) << i;
}

TEST(Lbfgs, FindsTheMinimumOfRosenbrock) {
  for (const size_t n : {2, 5, 40}) {
    Vector start(n, 1.0);
    for (size_t i = 0; i < n; i += 2) start[i] = -1.2;
    const Optimum o = minimise(rosenbrock, start, {}, {}, {.iterations = 1000});
    EXPECT_EQ(o.ending, Ending::kConverged);
    EXPECT_LE(o.gradient_norm, 1e-6);
    for (const double x : o.x) EXPECT_NEAR(x, 1, 1e-6);
    expect_monotone(o);
  }
}

TEST(Lbfgs, TakesFewEvaluationsOnRosenbrock) {
  const Optimum o = minimise(rosenbrock, {-1.2, 1});
  EXPECT_LT(o.evaluations, 60);
}

// With x0 >= 1.5 the minimum lies at (1.5, 1.5^2).
TEST(Lbfgs, StopsAtABoundThatHoldsItBack) {
  const Vector lower{1.5, -kInfinity}, upper{kInfinity, kInfinity};
  const Optimum o = minimise(rosenbrock, {-1.2, 1}, lower, upper);
  EXPECT_EQ(o.ending, Ending::kAtBound);
  EXPECT_EQ(o.x[0], 1.5);
  EXPECT_NEAR(o.x[1], 2.25, 1e-7);
  EXPECT_THAT(o.at_bound, testing::ElementsAre(0));
  expect_monotone(o);
}

// Convex quadratics with random boxes: the conditions of Karush, Kuhn and Tucker hold at the end.
TEST(Lbfgs, SolvesBoxedQuadratics) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    const Random random(seed);
    const size_t n = 1 + random.below(12, 1000);
    Vector a(n * n), b(n), lower(n), upper(n), start(n);
    for (size_t i = 0; i < n * n; ++i) a[i] = random.normal(i);
    for (size_t i = 0; i < n; ++i) {
      b[i] = 3 * random.normal(2000 + i);
      lower[i] = -1 - random.uniform(3000 + i);
      upper[i] = 0.5 * random.uniform(4000 + i);
      start[i] = 5 * random.normal(5000 + i);
    }
    const auto quadratic = [&](std::span<const double> x, std::span<double> g) {
      Vector ax(n);
      double f = 0;
      for (size_t i = 0; i < n; ++i) {
        for (size_t j = 0; j < n; ++j) ax[i] += a[i * n + j] * x[j];
        f += 0.5 * ax[i] * ax[i] + 0.05 * x[i] * x[i] - b[i] * x[i];
      }
      for (size_t j = 0; j < n; ++j) {
        g[j] = 0.1 * x[j] - b[j];
        for (size_t i = 0; i < n; ++i) g[j] += a[i * n + j] * ax[i];
      }
      return f;
    };
    const Optimum o = minimise(quadratic, start, lower, upper, {.iterations = 2000});
    EXPECT_TRUE(o.ending == Ending::kConverged || o.ending == Ending::kAtBound) << seed;
    for (size_t i = 0; i < n; ++i) {
      EXPECT_GE(o.x[i], lower[i]);
      EXPECT_LE(o.x[i], upper[i]);
      if (o.x[i] > lower[i]) {
        EXPECT_LE(o.gradient[i], 1e-5) << seed;
      }
      if (o.x[i] < upper[i]) {
        EXPECT_GE(o.gradient[i], -1e-5) << seed;
      }
    }
    expect_monotone(o);
  }
}

TEST(Lbfgs, ShrinksWhereTheObjectiveIsNotFinite) {
  for (const double bad : {kInfinity, -kInfinity, std::nan("")}) {
    const auto barrier = [&](std::span<const double> x, std::span<double> g) {
      if (x[0] <= 0 || x[0] >= 10) return bad;
      g[0] = 1 - 2 / x[0];
      return x[0] - 2 * std::log(x[0]);
    };
    for (const double start : {1e-3, 0.1, 9.99}) {
      const Optimum o = minimise(barrier, {start});
      EXPECT_EQ(o.ending, Ending::kConverged);
      EXPECT_NEAR(o.x[0], 2, 1e-5);
    }
  }
}

TEST(Lbfgs, StatesWhyItCannotStart) {
  const auto nowhere = [](std::span<const double>, std::span<double>) { return std::nan(""); };
  const Optimum o = minimise(nowhere, {1.0});
  EXPECT_EQ(o.ending, Ending::kLineSearch);
  EXPECT_EQ(o.value, kInfinity);
  EXPECT_EQ(o.x[0], 1.0);
}

// A gradient of the wrong sign: no step lowers f.
TEST(Lbfgs, StatesAFailedLineSearch) {
  const auto wrong = [](std::span<const double> x, std::span<double> g) {
    g[0] = -2 * x[0];
    return x[0] * x[0];
  };
  EXPECT_EQ(minimise(wrong, {1.0}).ending, Ending::kLineSearch);
}

TEST(Lbfgs, StatesAnUnfinishedSearch) {
  const Optimum o = minimise(rosenbrock, {-1.2, 1}, {}, {}, {.iterations = 3});
  EXPECT_EQ(o.ending, Ending::kIterations);
  EXPECT_EQ(o.iterations, 3);
}

TEST(Lbfgs, AWatchSeesEveryStepAndMayEndTheSearch) {
  std::vector<SearchStep> seen;
  LbfgsOptions o;
  o.watch = [&](const SearchStep& s) {
    seen.push_back(s);
    return s.step < 5;
  };
  const Optimum stopped = minimise(rosenbrock, {-1.2, 1}, {}, {}, o);
  EXPECT_EQ(stopped.ending, Ending::kStopped);
  EXPECT_EQ(stopped.iterations, 5);
  ASSERT_GE(seen.size(), 6u);
  EXPECT_EQ(seen.front().step, 0);
  EXPECT_EQ(seen.back().step, 5);
  EXPECT_EQ(seen.back().value, stopped.value);
  EXPECT_EQ(seen.back().gradient_norm, stopped.gradient_norm);
  for (size_t k = 1; k < seen.size(); ++k) EXPECT_LE(seen[k].value, seen[k - 1].value);
  o.watch = [](const SearchStep&) { return true; };
  const Optimum whole = minimise(rosenbrock, {-1.2, 1}, {}, {}, o);
  EXPECT_EQ(whole.x, minimise(rosenbrock, {-1.2, 1}).x);
  for (const Ending e : {Ending::kConverged, Ending::kStopped, Ending::kAtBound}) {
    Ending read = Ending::kIterations;
    EXPECT_TRUE(ending_of(name_of(e), &read));
    EXPECT_EQ(read, e);
  }
  Ending none = Ending::kAtBound;
  EXPECT_FALSE(ending_of("batches", &none));
}

TEST(Lbfgs, HandlesFixedAndNoVariables) {
  const Vector fixed{2.0, -kInfinity}, top{2.0, kInfinity};
  const Optimum o = minimise(rosenbrock, {0, 0}, fixed, top);
  EXPECT_EQ(o.x[0], 2);
  EXPECT_NEAR(o.x[1], 4, 1e-6);
  const auto constant = [](std::span<const double>, std::span<double>) { return 7.0; };
  EXPECT_EQ(minimise(constant, {}).value, 7);
}

TEST(Lbfgs, IsIndifferentToScale) {
  for (const double scale : {1e-6, 1.0, 1e6}) {
    const auto scaled = [&](std::span<const double> x, std::span<double> g) {
      const double f = rosenbrock(x, g);
      for (double& v : g) v *= scale;
      return scale * f;
    };
    const Optimum o = minimise(scaled, {-1.2, 1}, {}, {},
                               {.iterations = 500, .gradient_tolerance = 1e-7 * scale});
    EXPECT_NEAR(o.x[0], 1, 1e-5) << scale;
  }
}

TEST(Lbfgs, RefusesWhatCannotBeMeant) {
  const Vector one{1.0}, two{2.0};
  EXPECT_THROW(minimise(rosenbrock, {0, 0}, one, two), Error);
  EXPECT_THROW(minimise(rosenbrock, {0}, two, one), Error);
  EXPECT_THROW(minimise(rosenbrock, {std::nan("")}), Error);
  EXPECT_THROW(minimise(rosenbrock, {0}, {}, {}, {.history = 0}), Error);
}

// The curvature of a search on a tenth of a quadratic, times ten, is that of the whole: the next
// search needs fewer.
TEST(Lbfgs, GoesOnFromTheCurvatureOfAnEarlierSearch) {
  const auto bowl = [](double factor) {
    return [factor](std::span<const double> x, std::span<double> g) {
      double f = 0;
      for (size_t i = 0; i < x.size(); ++i) {
        const double a = factor * std::pow(4.0, static_cast<double>(i));
        f += 0.5 * a * (x[i] - 1) * (x[i] - 1);
        g[i] = a * (x[i] - 1);
      }
      return f;
    };
  };
  const Vector start(6, 0.0), near(6, 0.9);
  const Optimum part = minimise(bowl(1), start);
  ASSERT_EQ(part.ending, Ending::kConverged);
  Curvature known = part.curvature;
  ASSERT_FALSE(known.steps.empty());
  known.scale(10);
  const Optimum fresh = minimise(bowl(10), near);
  const Optimum again = minimise(bowl(10), near, {}, {}, {}, known);
  EXPECT_EQ(again.ending, Ending::kConverged);
  EXPECT_LE(3 * again.evaluations, 2 * fresh.evaluations);
  for (const double x : again.x) EXPECT_NEAR(x, 1, 1e-6);

  known.scale(-1);  // negative curvature is not believed
  const Optimum wrong = minimise(bowl(10), near, {}, {}, {}, known);
  EXPECT_EQ(wrong.evaluations, fresh.evaluations);
  known.changes.pop_back();
  EXPECT_THROW(minimise(bowl(10), near, {}, {}, {}, known), Error);
}

}  // namespace
}  // namespace covary::numeric
