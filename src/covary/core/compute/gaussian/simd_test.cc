#include <cmath>
#include <limits>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/gaussian/gaussian.h"
#include "covary/core/compute/gaussian/gaussian_test_data.h"

namespace covary::compute {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr CovarianceType kTypes[] = {CovarianceType::kSpherical, CovarianceType::kDiagonal,
                                     CovarianceType::kTied, CovarianceType::kFull};

void expect_close(const std::vector<double>& a, const std::vector<double>& b, double tolerance) {
  ASSERT_EQ(a.size(), b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    ASSERT_NEAR(a[i], b[i], tolerance * (1 + std::abs(b[i]))) << i;
  }
}

void expect_close(const MixtureSums& a, const MixtureSums& b, double tolerance) {
  expect_close(a.mass, b.mass, tolerance);
  expect_close(a.shift, b.shift, tolerance);
  expect_close(a.scatter, b.scatter, tolerance);
  EXPECT_NEAR(a.log_likelihood, b.log_likelihood, tolerance * (1 + std::abs(b.log_likelihood)));
  EXPECT_NEAR(a.entropy, b.entropy, tolerance * (1 + std::abs(b.entropy)));
  EXPECT_EQ(a.weight, b.weight);
  EXPECT_EQ(a.rows, b.rows);
  EXPECT_EQ(a.lowest_row, b.lowest_row);
}

using Case = std::tuple<CovarianceType, int, int, int>;  // type, k, d, n
class GaussianSimd : public testing::TestWithParam<Case> {};

TEST_P(GaussianSimd, AgreesWithTheReference) {
  const auto [type, k, d, n] = GetParam();
  for (const double spread : {0.5, 20.0}) {
    const RandomMixture mixture(type, k, d, spread);
    const std::vector<double> x = mixture.points(n);
    std::vector<double> u(static_cast<size_t>(n));
    for (size_t i = 0; i < u.size(); ++i) u[i] = i % 5 == 0 ? 0.0 : 0.25 * double(i % 7 + 1);
    const auto run = [&](auto score, auto accumulate, MixtureSums& plain, MixtureSums& weighted) {
      const auto points = static_cast<size_t>(n), pairs = static_cast<size_t>(n * k);
      std::vector<double> density(points), r(pairs), joint(pairs);
      std::vector<int64_t> labels(points);
      score(mixture.view(), x.data(), n,
            MixtureScores{density.data(), r.data(), joint.data(), labels.data()});
      accumulate(mixture.view(), x.data(), nullptr, n, plain);
      accumulate(mixture.view(), x.data(), u.data(), n, weighted);
      return std::tuple{density, r, joint, labels};
    };
    MixtureSums plain(type, k, d), weighted(type, k, d);
    const auto expected =
        run(mixture_scores_reference, accumulate_mixture_reference, plain, weighted);
    on_every_target([&](const char* target) {
      SCOPED_TRACE(target);
      MixtureSums a(type, k, d), b(type, k, d);
      const auto accumulate = [](const GaussianMixtureView& m, const double* points,
                                 const double* weights, int64_t count, MixtureSums& sums) {
        accumulate_mixture(m, points, weights, count, sums);
      };
      const auto got = run(mixture_scores, accumulate, a, b);
      MixtureSums scored(type, k, d);
      accumulate_mixture(mixture.view(), x.data(), u.data(), n, scored, false);
      EXPECT_EQ(scored.log_likelihood, b.log_likelihood);
      EXPECT_EQ(scored.weight, b.weight);
      expect_close(std::get<0>(got), std::get<0>(expected), 1e-12);
      expect_close(std::get<1>(got), std::get<1>(expected), 1e-10);
      expect_close(std::get<2>(got), std::get<2>(expected), 1e-12);
      EXPECT_EQ(std::get<3>(got), std::get<3>(expected));
      expect_close(a, plain, 1e-10);
      expect_close(b, weighted, 1e-10);
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Cases, GaussianSimd,
                         testing::Combine(testing::ValuesIn(kTypes), testing::Values(1, 3),
                                          testing::Values(1, 2, 5, 16, 33),
                                          testing::Values(1, 300)));

// More rows than a block, and more than a queue holds.
INSTANTIATE_TEST_SUITE_P(Blocks, GaussianSimd,
                         testing::Combine(testing::ValuesIn(kTypes), testing::Values(3),
                                          testing::Values(5), testing::Values(5000)));

TEST(GaussianSimdProperty, SameBitsAtAnyNumberOfThreadsAndInChunksOfWholeBlocks) {
  const RandomMixture mixture(CovarianceType::kFull, 4, 6, 1.0);
  const int64_t n = 20 * kReductionBlock + 77;
  const std::vector<double> x = mixture.points(n);
  MixtureSums one(CovarianceType::kFull, 4, 6), three = one, chunks = one;
  set_threads(1);
  accumulate_mixture(mixture.view(), x.data(), nullptr, n, one);
  set_threads(3);
  accumulate_mixture(mixture.view(), x.data(), nullptr, n, three);
  set_threads(0);
  for (int64_t from = 0; from < n; from += 3 * kReductionBlock) {
    accumulate_mixture(mixture.view(), x.data() + from * 6, nullptr,
                       std::min<int64_t>(3 * kReductionBlock, n - from), chunks);
  }
  for (const MixtureSums* other : {&three, &chunks}) {
    EXPECT_EQ(one.scatter, other->scatter);
    EXPECT_EQ(one.shift, other->shift);
    EXPECT_EQ(one.mass, other->mass);
    EXPECT_EQ(one.log_likelihood, other->log_likelihood);
    EXPECT_EQ(one.lowest_row, other->lowest_row);
  }
}

TEST(GaussianSimdProperty, PointsOfNoDensityAreMinusInfinityNotNaN) {
  for (const CovarianceType type : kTypes) {
    RandomMixture mixture(type, 2, 3, 1.0);
    const std::vector<double> far = {1e200, 0, 0, 1, 2, 3};
    std::vector<double> density(2), r(4);
    mixture_scores(mixture.view(), far.data(), 2, {density.data(), r.data(), nullptr, nullptr});
    EXPECT_EQ(density[0], -kInfinity);
    EXPECT_EQ(r[0], 0);
    EXPECT_TRUE(std::isfinite(density[1]));
    mixture.log_weights = {-kInfinity, 0};
    mixture_scores(mixture.view(), far.data(), 2, {density.data(), r.data(), nullptr, nullptr});
    EXPECT_EQ(r[2], 0);
    EXPECT_EQ(r[3], 1);
    MixtureSums sums(type, 2, 3);
    accumulate_mixture(mixture.view(), far.data() + 3, nullptr, 1, sums);
    EXPECT_EQ(sums.mass[0], 0);
    EXPECT_EQ(sums.mass[1], 1);
    EXPECT_TRUE(std::isfinite(sums.entropy));
  }
}

// Centred sums lose nothing to a far origin; E[x x'] - m m' would lose every digit.
TEST(GaussianSimdProperty, FarFromTheOriginTheScatterKeepsItsDigits) {
  const int64_t n = 1000;
  std::vector<double> x(n), mean = {1e8}, weight = {0}, whiten = {1};
  for (int64_t i = 0; i < n; ++i) x[size_t(i)] = 1e8 + (i % 2 ? 0.5 : -0.5);
  MixtureSums sums(CovarianceType::kFull, 1, 1);
  accumulate_mixture({CovarianceType::kFull, 1, 1, weight.data(), mean.data(), whiten.data()},
                     x.data(), nullptr, n, sums);
  EXPECT_DOUBLE_EQ(sums.scatter[0], 250);
  EXPECT_EQ(sums.shift[0], 0);
}

}  // namespace
}  // namespace covary::compute
