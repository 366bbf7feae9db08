#include "covary/core/linalg/cluster/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"

namespace covary::linalg {
namespace {

using testing::HasSubstr;

// Clumps of unit spread about random places.
template <class T>
std::vector<T> clumps(int64_t n, int64_t d, int64_t k, double spread, double origin = 0) {
  const Random random(3), places(4);
  std::vector<T> x;
  for (int64_t i = 0; i < n * d; ++i) {
    const int64_t c = i / d % k;
    x.push_back(static_cast<T>(origin + spread * places.normal(uint64_t(c * d + i % d)) +
                               random.normal(uint64_t(i))));
  }
  return x;
}

template <class T>
class KMeansOf : public testing::Test {};
using Types = testing::Types<float, double>;
TYPED_TEST_SUITE(KMeansOf, Types);

TYPED_TEST(KMeansOf, NearestCentresAreThoseOfTheReference) {
  for (const int64_t d : {1, 3, 17}) {
    for (const int64_t k : {1, 2, 5, 37}) {
      const auto x = clumps<TypeParam>(700, d, k, 3, 10);
      const auto centres = clumps<TypeParam>(k, d, k, 3, 10);
      std::vector<int32_t> expected(700), got(700);
      std::vector<double> exact(700), squares(700);
      nearest_centres_reference(x.data(), 700, d, centres.data(), k, expected.data(), exact.data());
      compute::on_every_target([&](const char* target) {
        SCOPED_TRACE(target);
        nearest_centres(x.data(), 700, d, centres.data(), k, got.data(), squares.data());
        for (size_t i = 0; i < got.size(); ++i) {
          // Near ties may fall either way; the distance may not.
          const double error = 1e3 * double(d) * std::numeric_limits<TypeParam>::epsilon();
          ASSERT_NEAR(squares[i], exact[i], error * (1 + exact[i])) << i;
        }
      });
    }
  }
}

// Of every kind, with few centres and with several groups of them, near ties among them.
TYPED_TEST(KMeansOf, BoundsChangeNothing) {
  for (const int64_t k : {1, 2, 30, 110}) {
    for (const double spread : {0.3, 4.0}) {
      auto x = clumps<TypeParam>(3000, 5, 30, spread, 3);
      if (spread > 1) {
        for (auto& v : x) v = std::round(v);
      }
      KMeansOptions o{
          .clusters = k, .init = "random", .sweeps = 25, .tolerance = 0, .bounds = "none"};
      const auto plain = kmeans<TypeParam>(x.data(), nullptr, 3000, 5, o);
      for (const char* bounds : {"hamerly", "elkan", "yinyang", "auto"}) {
        o.bounds = bounds;
        const auto bounded = kmeans<TypeParam>(x.data(), nullptr, 3000, 5, o);
        EXPECT_EQ(bounded.trace, plain.trace) << bounds << " " << k;
        EXPECT_EQ(bounded.labels, plain.labels) << bounds << " " << k;
        EXPECT_EQ(bounded.centres, plain.centres) << bounds << " " << k;
      }
    }
  }
}

// Centres that stand on one another tie at every point.
TEST(KMeans, BoundsKeepTheOrderOfEqualCentres) {
  const auto x = clumps<float>(2000, 3, 7, 2);
  std::vector<float> start;
  for (int64_t c = 0; c < 60; ++c) {
    for (int64_t j = 0; j < 3; ++j) start.push_back(x[size_t(3 * (c % 50) + j)]);
  }
  KMeansOptions o{.clusters = 60, .sweeps = 12, .tolerance = 0, .bounds = "none"};
  const auto plain = kmeans<float>(x.data(), nullptr, 2000, 3, o, start.data());
  for (const char* bounds : {"hamerly", "elkan", "yinyang"}) {
    o.bounds = bounds;
    EXPECT_EQ(kmeans<float>(x.data(), nullptr, 2000, 3, o, start.data()).labels, plain.labels)
        << bounds;
  }
}

TYPED_TEST(KMeansOf, TheCostNeverRisesAndEndsAtAFixedPoint) {
  const auto x = clumps<TypeParam>(5000, 4, 12, 2);
  const auto r = kmeans<TypeParam>(x.data(), nullptr, 5000, 4,
                                   {.clusters = 20, .sweeps = 500, .tolerance = 0});
  ASSERT_GT(r.trace.size(), 3u);
  for (size_t i = 1; i < r.trace.size(); ++i) {
    EXPECT_LE(r.trace[i], r.trace[i - 1] * (1 + 1e-12)) << i;
  }
  EXPECT_TRUE(r.converged);
  EXPECT_NEAR(r.cost, r.trace.back(), 1e-5 * r.cost);
  EXPECT_EQ(r.empty, 0);
}

TYPED_TEST(KMeansOf, SameBitsAtAnyNumberOfThreads) {
  const auto x = clumps<TypeParam>(20000, 3, 9, 1);
  std::vector<TypeParam> w(20000);
  for (size_t i = 0; i < w.size(); ++i) w[i] = static_cast<TypeParam>(0.1 * double(i % 9));
  for (const int64_t batch : {0, 500}) {
    const KMeansOptions o{
        .clusters = 13, .init = batch ? "k-means++" : "k-means||", .sweeps = 20, .batch = batch};
    set_threads(1);
    const auto one = kmeans(x.data(), w.data(), 20000, 3, o);
    set_threads(3);
    const auto three = kmeans(x.data(), w.data(), 20000, 3, o);
    set_threads(0);
    EXPECT_EQ(one.centres, three.centres);
    EXPECT_EQ(one.labels, three.labels);
    EXPECT_EQ(one.cost, three.cost);
  }
}

TEST(KMeans, WeightsCountAsRepeatedPoints) {
  const auto x = clumps<double>(300, 2, 5, 3);
  std::vector<double> w, repeated;
  for (int64_t i = 0; i < 300; ++i) {
    w.push_back(double(i % 4));
    for (int64_t r = 0; r < i % 4; ++r) {
      repeated.insert(repeated.end(), {x[size_t(2 * i)], x[size_t(2 * i + 1)]});
    }
  }
  const KMeansOptions o{.clusters = 5, .sweeps = 200, .tolerance = 0};
  const std::vector<double> start(x.begin(), x.begin() + 10);
  const auto a = kmeans(x.data(), w.data(), 300, 2, o, start.data());
  const auto b =
      kmeans<double>(repeated.data(), nullptr, int64_t(repeated.size() / 2), 2, o, start.data());
  EXPECT_NEAR(a.cost, b.cost, 1e-10 * b.cost);
  for (size_t i = 0; i < a.centres.size(); ++i) EXPECT_NEAR(a.centres[i], b.centres[i], 1e-12);
}

TEST(KMeans, SeparatedClumpsAreFoundFromEveryStart) {
  const auto x = clumps<double>(2000, 3, 8, 50);
  for (const char* init : {"k-means++", "k-means||", "random"}) {
    const auto r =
        kmeans<double>(x.data(), nullptr, 2000, 3, {.clusters = 8, .init = init, .starts = 20});
    EXPECT_NEAR(r.cost / (2000 * 3), 1, 0.05) << init;
  }
  const auto batches = kmeans<double>(x.data(), nullptr, 2000, 3,
                                      {.clusters = 8, .starts = 5, .sweeps = 100, .batch = 200});
  EXPECT_NEAR(batches.cost / (2000 * 3), 1, 0.1);
}

// One start of k-means|| costs about what one of k-means++ on all rows does, before any sweep.
TEST(KMeans, ParallelSeedsAreAsGoodAsThoseOfPlusPlus) {
  const auto x = clumps<double>(4000, 3, 30, 50);
  double plus = 0, parallel = 0;
  for (int64_t seed = 0; seed < 10; ++seed) {
    KMeansOptions o{.clusters = 30, .init_rows_per_cluster = 0, .sweeps = 0, .seed = seed};
    plus += kmeans<double>(x.data(), nullptr, 4000, 3, o).cost;
    o.init = "k-means||";
    parallel += kmeans<double>(x.data(), nullptr, 4000, 3, o).cost;
  }
  EXPECT_LT(parallel, 1.2 * plus);
}

TEST(KMeans, EmptyClustersAreGivenAPoint) {
  const auto x = clumps<double>(100, 2, 3, 10);
  std::vector<double> start(x.begin(), x.begin() + 6);
  start.insert(start.end(), {1e3, 1e3, 2e3, 2e3});
  for (const char* bounds : {"none", "hamerly", "elkan", "yinyang"}) {
    const auto r = kmeans(x.data(), static_cast<const double*>(nullptr), 100, 2,
                          {.clusters = 5, .tolerance = 0, .bounds = bounds}, start.data());
    EXPECT_GE(r.reseeded, 2);
    EXPECT_EQ(r.empty, 0);
    for (size_t i = 1; i < r.trace.size(); ++i) EXPECT_LE(r.trace[i], r.trace[i - 1] + 1e-9);
  }
}

TEST(KMeans, FewerDistinctPointsThanClustersLeaveSomeEmpty) {
  const std::vector<double> x = {1, 1, 1, 2, 2, 2};
  for (const char* init : {"k-means++", "k-means||"}) {
    const auto r = kmeans<double>(x.data(), nullptr, 6, 1, {.clusters = 4, .init = init});
    EXPECT_EQ(r.cost, 0);
    EXPECT_EQ(r.empty, 2);
  }
  const auto one = kmeans<double>(x.data(), nullptr, 1, 1, {.clusters = 1});
  EXPECT_EQ(one.centres, std::vector<double>{1});
}

TEST(KMeans, BadInputIsNamed) {
  std::vector<double> x = {1, 2, 3, 4};
  const auto fault = [&](KMeansOptions o, const double* w) {
    try {
      kmeans<double>(x.data(), w, 2, 2, o);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("no error");
  };
  EXPECT_THAT(fault({.clusters = 3}, nullptr), HasSubstr("2 rows cannot make 3"));
  EXPECT_THAT(fault({.clusters = 0}, nullptr), HasSubstr("clusters"));
  EXPECT_THAT(fault({.clusters = 1, .init = "best"}, nullptr), HasSubstr("init"));
  const std::vector<double> negative = {1, -1}, none = {0, 0};
  EXPECT_THAT(fault({.clusters = 1, .bounds = "some"}, nullptr), HasSubstr("bounds"));
  EXPECT_THAT(fault({.clusters = 1}, negative.data()), HasSubstr("row 1"));
  EXPECT_THAT(fault({.clusters = 1}, none.data()), HasSubstr("all weights are 0"));
  x[3] = std::nan("");
  EXPECT_THAT(fault({.clusters = 1}, nullptr), HasSubstr("row 1, column 1"));
  x[3] = 1e200;
  EXPECT_THAT(fault({.clusters = 1}, nullptr), HasSubstr("overflow"));
}

RC_GTEST_PROP(KMeansProperty, HostileScalesGiveFiniteCentresAndAMonotoneCost, ()) {
  const int64_t n = *rc::gen::inRange(1, 60), d = *rc::gen::inRange(1, 4);
  const int64_t k = *rc::gen::inRange<int64_t>(1, std::min<int64_t>(n, 7) + 1);
  std::vector<double> x;
  for (int64_t i = 0; i < n * d; ++i) {
    x.push_back(*rc::gen::element(0.0, 1.0, 1e-12, 1e12, -3.0, 1e12 + 1, 5.0));
  }
  const auto r = kmeans<double>(x.data(), nullptr, n, d, {.clusters = k, .tolerance = 0});
  for (const double c : r.centres) RC_ASSERT(std::isfinite(c));
  for (const int32_t c : r.labels) RC_ASSERT(c >= 0 && c < k);
  // The trace is a difference from the total: its rounding is of the total's size.
  double total = 0;
  for (const double v : x) total += v * v;
  for (size_t i = 1; i < r.trace.size(); ++i) {
    RC_ASSERT(r.trace[i] <= r.trace[i - 1] + 1e-13 * total);
  }
}

}  // namespace
}  // namespace covary::linalg
