#include "covary/core/linalg/conjugate_gradient.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/dense_operators.h"
#include "covary/core/linalg/low_rank.h"
#include "covary/core/linalg/pivoted_cholesky.h"

namespace covary::linalg {
namespace {

std::vector<double> normals(int64_t n, uint64_t seed) {
  std::vector<double> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = Random(seed, 4).normal(i);
  return v;
}

// exp(-|x_i - x_j|) of normal points in two dimensions, plus noise.
struct Case {
  int64_t n;
  std::vector<double> values;
  double noise;
  Case(int64_t count, double noise_) : n(count), values(static_cast<size_t>(n * n)), noise(noise_) {
    const std::vector<double> x = normals(2 * n, 1);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const auto at = [&](int64_t p, int64_t k) { return x[static_cast<size_t>(2 * p + k)]; };
        values[static_cast<size_t>(i * n + j)] =
            std::exp(-std::hypot(at(i, 0) - at(j, 0), at(i, 1) - at(j, 1))) + (i == j ? noise : 0);
      }
    }
  }
  Matrix matrix() { return {values.data(), n, n}; }
  ColumnsOf columns() {
    return [this](std::span<const int64_t> chosen, double* out) {
      for (const int64_t column : chosen) {
        for (int64_t i = 0; i < n; ++i) {
          *out++ = values[static_cast<size_t>(column * n + i)] - (i == column ? noise : 0);
        }
      }
    };
  }
  LowRankOperator preconditioner(int64_t rank) {
    const std::vector<double> prior(static_cast<size_t>(n), 1.0);
    PivotedCholesky p = pivoted_cholesky(prior, {.rank = rank}, columns());
    return {std::move(p.factor), p.rank(), std::vector<double>(static_cast<size_t>(n), noise)};
  }
};

TEST(PivotedCholesky, LeavesAPositiveSemidefiniteRestOfTheTraceItSays) {
  Case c(120, 0.01);
  const std::vector<double> prior(static_cast<size_t>(c.n), 1.0);
  double greedy = 0;
  for (const int64_t block : {1, 8}) {
    const PivotedCholesky p = pivoted_cholesky(prior, {.rank = 30, .block = block}, c.columns());
    ASSERT_EQ(p.rank(), 30);
    const at::Tensor l =
        at::from_blob(const_cast<double*>(p.factor.data()), {30, c.n}, at::kDouble);
    const at::Tensor rest = at::from_blob(c.values.data(), {c.n, c.n}, at::kDouble) -
                            c.noise * at::eye(c.n, at::kDouble) - l.t().matmul(l);
    EXPECT_GT(at::linalg_eigvalsh(rest).min().item<double>(), -1e-12);
    EXPECT_NEAR(p.left, rest.trace().item<double>(), 1e-10);
    for (const int64_t pivot : p.pivots) {
      EXPECT_LT(rest.select(0, pivot).abs().max().item<double>(), 1e-12);
    }
    if (block == 1) greedy = p.left;
    EXPECT_LT(p.left, 1.1 * greedy);
  }
  // Nothing is left to take: copies of three points.
  const PivotedCholesky few = pivoted_cholesky(std::vector<double>(9, 2.0), {.rank = 9, .block = 4},
                                               [](std::span<const int64_t> chosen, double* out) {
                                                 for (const int64_t column : chosen) {
                                                   for (int64_t i = 0; i < 9; ++i)
                                                     *out++ = i % 3 == column % 3 ? 2 : 0;
                                                 }
                                               });
  EXPECT_EQ(few.rank(), 3);
  EXPECT_EQ(few.left, 0);
}

TEST(LowRank, AgreesWithTheDenseMatrix) {
  const int64_t n = 37, rank = 5, count = 3;
  std::vector<double> diagonal = normals(n, 2);
  for (double& d : diagonal) d = 0.1 + d * d;
  const LowRankOperator p(normals(n * rank, 3), rank, diagonal);
  const at::Tensor l =
      at::from_blob(const_cast<double*>(p.factor().data()), {rank, n}, at::kDouble);
  at::Tensor dense =
      (l.t().matmul(l) + at::diag(at::from_blob(diagonal.data(), {n}, at::kDouble))).contiguous();
  const DenseOperator d({dense.data_ptr<double>(), n, n}, true);
  EXPECT_NEAR(p.log_determinant(), d.log_determinant(), 1e-10);
  EXPECT_NEAR(p.trace(), d.trace(), 1e-10);
  const std::vector<double> b = normals(n * count, 5);
  std::vector<double> ours(b.size()), theirs(b.size()), solved = b, expected = b;
  p.multiply(b.data(), count, ours.data());
  d.multiply(b.data(), count, theirs.data());
  EXPECT_THAT(ours, testing::Pointwise(testing::DoubleNear(1e-11), theirs));
  p.solve(solved.data(), count);
  d.solve(expected.data(), count);
  EXPECT_THAT(solved, testing::Pointwise(testing::DoubleNear(1e-11), expected));
  // Draws have the covariance.
  const int64_t many = 20000;
  at::Tensor draws = at::empty({many, n}, at::kDouble);
  p.draw(7, 8, many, draws.data_ptr<double>());
  const at::Tensor off = (draws.t().matmul(draws) / static_cast<double>(many) - dense).abs();
  EXPECT_LT(off.max().item<double>(), 0.06 * dense.max().item<double>());
  EXPECT_THROW(LowRankOperator({}, 0, {1, 0}), Error);
}

TEST(ConjugateGradient, SolvesToTheStopThatEachRightHandSideHas) {
  Case c(200, 0.01);
  const DenseOperator a(c.matrix(), true);
  const LowRankOperator p = c.preconditioner(40);
  const int64_t count = 4;
  std::vector<double> b = normals(c.n * count, 6), x(b.size()), exact = b;
  std::fill_n(b.begin() + 3 * c.n, c.n, 0.0);
  exact = b;
  a.solve(exact.data(), count);
  const std::vector<Stop> stops{{.residual = 1e-2}, {.residual = 1e-10}, {.energy = 1e-6}, {}};
  for (const LinearOperator* preconditioner :
       {static_cast<const LinearOperator*>(nullptr), static_cast<const LinearOperator*>(&p)}) {
    const std::vector<Solve> report =
        conjugate_gradient(a, preconditioner, b.data(), count, stops, 1000, x.data(), nullptr);
    std::vector<double> back(b.size());
    a.multiply(x.data(), count, back.data());
    for (int64_t k = 0; k < count; ++k) {
      double square = 0, whole = 0, energy = 0;
      for (int64_t i = 0; i < c.n; ++i) {
        const auto at = static_cast<size_t>(k * c.n + i);
        const double r = b[at] - back[at];
        square += r * r;
        whole += b[at] * b[at];
        energy += (exact[at] - x[at]) * r;
      }
      const Solve& s = report[static_cast<size_t>(k)];
      EXPECT_TRUE(s.reached);
      EXPECT_LE(std::sqrt(square), s.residual * std::sqrt(whole) + 1e-12);
      EXPECT_LE(s.residual, stops[static_cast<size_t>(k)].residual);
      if (preconditioner) {
        EXPECT_LE(energy, s.energy * (1 + 1e-6) + 1e-12);
      }
    }
    EXPECT_LT(report[0].iterations, report[1].iterations);
    EXPECT_EQ(report[3].iterations, 0);
  }
}

TEST(ConjugateGradient, PreconditionerSavesStepsAndFailureIsSaid) {
  Case c(200, 1e-4);
  const DenseOperator a(c.matrix());
  const LowRankOperator p = c.preconditioner(150);
  const std::vector<double> b = normals(c.n, 6);
  std::vector<double> x(b.size());
  const std::vector<Stop> stops{{.residual = 1e-8}};
  const Solve plain =
      conjugate_gradient(a, nullptr, b.data(), 1, stops, 1000, x.data(), nullptr)[0];
  const Solve better = conjugate_gradient(a, &p, b.data(), 1, stops, 1000, x.data(), nullptr)[0];
  EXPECT_TRUE(better.reached);
  EXPECT_LT(3 * better.iterations, plain.iterations);
  EXPECT_FALSE(conjugate_gradient(a, nullptr, b.data(), 1, stops, 5, x.data(), nullptr)[0].reached);
  const DiagonalOperator negative(std::vector<double>(200, -1.0));
  EXPECT_FALSE(
      conjugate_gradient(negative, nullptr, b.data(), 1, stops, 50, x.data(), nullptr)[0].reached);
  const DiagonalOperator nothing(std::vector<double>(200, NAN));
  EXPECT_THROW(conjugate_gradient(nothing, nullptr, b.data(), 1, stops, 50, x.data(), nullptr),
               Error);
}

TEST(ConjugateGradient, TridiagonalGivesTheQuadratureOfTheLogarithm) {
  // A full run: T has all eigenvalues that b sees, and e1' log(T) e1 = b' log(A) b / b'b.
  std::vector<double> values;
  for (int i = 0; i < 12; ++i) values.push_back(0.5 + i);
  const DiagonalOperator a(values);
  const std::vector<double> b = normals(12, 9);
  std::vector<double> x(b.size());
  std::vector<Tridiagonal> t;
  conjugate_gradient(a, nullptr, b.data(), 1, std::vector<Stop>{{.residual = 1e-14}}, 12, x.data(),
                     &t);
  double expected = 0, square = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    expected += b[i] * b[i] * std::log(values[i]);
    square += b[i] * b[i];
  }
  EXPECT_NEAR(log_quadrature(t[0]), expected / square, 1e-11);
}

TEST(ConjugateGradient, StochasticDeterminantIsWithinItsError) {
  for (const int64_t rank : {0, 30}) {
    Case c(400, 0.05);
    const DenseOperator a(c.matrix(), true);
    const LowRankOperator p = c.preconditioner(rank);
    const int64_t count = 20;
    std::vector<double> z(static_cast<size_t>(c.n * count)), x(z.size());
    p.draw(3, 1, count, z.data());
    std::vector<double> v = z;
    p.solve(v.data(), count);
    for (int64_t k = 0; k < count; ++k) {
      double square = 0;
      for (int64_t i = 0; i < c.n; ++i) {
        square += z[static_cast<size_t>(k * c.n + i)] * v[static_cast<size_t>(k * c.n + i)];
      }
      for (int64_t i = 0; i < c.n; ++i) {
        z[static_cast<size_t>(k * c.n + i)] *= std::sqrt(static_cast<double>(c.n) / square);
      }
    }
    std::vector<Tridiagonal> t;
    const std::vector<Stop> stops(static_cast<size_t>(count), {.residual = 1e-3});
    conjugate_gradient(a, &p, z.data(), count, stops, 500, x.data(), &t);
    const StochasticLogDeterminant s = stochastic_log_determinant(t, c.n);
    EXPECT_GT(s.error, 0);
    EXPECT_LT(s.error, 12);
    EXPECT_LT(s.quadrature, 0.1);
    EXPECT_NEAR(p.log_determinant() + s.value, a.log_determinant(), 3 * s.error + 0.01);
  }
}

// The bound on the error is that of the exact matrix, though most products are by a copy of fewer
// digits; one that has too few is given up.
TEST(ConjugateGradient, ACopyOfFewerDigitsGivesTheExactSolution) {
  Case c(200, 1e-3);
  const DenseOperator exact(c.matrix(), true);
  const LowRankOperator p = c.preconditioner(40);
  const std::vector<double> b = normals(2 * c.n, 6);
  std::vector<double> solution = b, x(b.size());
  exact.solve(solution.data(), 2);
  for (const double error : {1e-6, 1e-2}) {
    SCOPED_TRACE(error);
    std::vector<double> values = c.values;
    for (int64_t i = 0; i < c.n; ++i) {
      for (int64_t j = 0; j <= i; ++j) {
        double& v = values[static_cast<size_t>(i * c.n + j)];
        v *= 1 + error * Random(3).normal(static_cast<uint64_t>(i * c.n + j));
        values[static_cast<size_t>(j * c.n + i)] = v;
      }
    }
    const DenseOperator copy(Matrix{values.data(), c.n, c.n});
    const std::vector<Stop> stops(2, {.energy = 1e-12});
    const auto report =
        conjugate_gradient(copy, &p, b.data(), 2, stops, 500, x.data(), nullptr, &exact);
    for (int64_t k = 0; k < 2; ++k) {
      EXPECT_TRUE(report[static_cast<size_t>(k)].reached);
      std::vector<double> off(static_cast<size_t>(c.n)), by_a(off);
      for (int64_t i = 0; i < c.n; ++i) {
        off[static_cast<size_t>(i)] =
            x[static_cast<size_t>(k * c.n + i)] - solution[static_cast<size_t>(k * c.n + i)];
      }
      exact.multiply(off.data(), 1, by_a.data());
      EXPECT_LE(dot(c.n, off.data(), by_a.data()), 1.01e-12);
      const double form = dot(c.n, b.data() + k * c.n, solution.data() + k * c.n);
      EXPECT_NEAR(report[static_cast<size_t>(k)].quadratic, form, 1e-11 * form);
      EXPECT_LE(report[static_cast<size_t>(k)].quadratic, form * (1 + 1e-13));
    }
  }
}

TEST(ConjugateGradient, GivesTheSameBitsAtAnyNumberOfThreads) {
  Case c(300, 0.01);
  const DenseOperator a(c.matrix());
  const std::vector<double> b = normals(c.n * 5, 6);
  std::vector<std::vector<double>> results;
  for (const int count : {1, 3}) {
    set_threads(count);
    const LowRankOperator p = c.preconditioner(20);
    std::vector<double> x(b.size());
    conjugate_gradient(a, &p, b.data(), 5, std::vector<Stop>(5, {.residual = 1e-6}), 100, x.data(),
                       nullptr);
    results.push_back(x);
  }
  set_threads(0);
  EXPECT_EQ(results[0], results[1]);
}

}  // namespace
}  // namespace covary::linalg
