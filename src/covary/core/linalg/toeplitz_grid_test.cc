#include "covary/core/linalg/toeplitz_grid.h"

#include <cmath>
#include <functional>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/linalg/conjugate_gradient.h"

namespace covary::linalg {
namespace {

using Shape = std::vector<int64_t>;

// A covariance of differences that is no product and no function of distance alone.
double covariance(const std::vector<double>& lag) {
  double q = 0, phase = 0;
  for (size_t k = 0; k < lag.size(); ++k) {
    q += std::pow(lag[k] / (3.0 + static_cast<double>(k)), 2);
    phase += lag[k] / (5.0 + static_cast<double>(k));
  }
  return std::exp(-std::sqrt(q)) * std::cos(phase);
}

// The cell, or difference, number `index` of a shape.
std::vector<double> place(const Shape& shape, int64_t index) {
  std::vector<double> at(shape.size());
  for (size_t k = shape.size(); k-- > 0;) {
    at[k] = static_cast<double>(index % shape[k]);
    index /= shape[k];
  }
  return at;
}

at::Tensor lags_of(const Shape& shape, double noise) {
  Shape wide;
  for (const int64_t n : shape) wide.push_back(2 * n - 1);
  at::Tensor lags = at::empty(wide, at::kDouble);
  for (int64_t i = 0; i < lags.numel(); ++i) {
    std::vector<double> lag = place(wide, i);
    for (size_t k = 0; k < lag.size(); ++k) lag[k] -= static_cast<double>(shape[k] - 1);
    lags.data_ptr<double>()[i] = covariance(lag) + (i == lags.numel() / 2 ? noise : 0);
  }
  return lags;
}

at::Tensor dense_of(const Shape& shape, double noise) {
  int64_t n = 1;
  for (const int64_t s : shape) n *= s;
  at::Tensor t = at::empty({n, n}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      std::vector<double> a = place(shape, i), b = place(shape, j);
      for (size_t k = 0; k < a.size(); ++k) a[k] -= b[k];
      t.data_ptr<double>()[i * n + j] = covariance(a) + (i == j ? noise : 0);
    }
  }
  return t;
}

at::Tensor waves(int64_t count, int64_t n) {
  return (at::arange(count * n, at::TensorOptions(at::kDouble)) * 0.7).sin().reshape({count, n});
}

const Shape kShapes[] = {{9}, {1}, {6, 7}, {4, 1, 5}, {3, 4, 5}};

TEST(ToeplitzGrid, ProductsAreThoseOfTheDenseMatrix) {
  for (const Shape& shape : kShapes) {
    const ToeplitzGridOperator t(shape, lags_of(shape, 0.3));
    const at::Tensor k = dense_of(shape, 0.3), b = waves(3, t.size());
    at::Tensor out = at::empty_like(b);
    t.multiply(b.const_data_ptr<double>(), 3, out.data_ptr<double>());
    EXPECT_LT((out - b.matmul(k)).abs().max().item<double>(), 1e-12);
    std::vector<double> diagonal(static_cast<size_t>(t.size()));
    t.diagonal(diagonal.data());
    EXPECT_NEAR(diagonal.back(), 1.3, 1e-14);
    EXPECT_NEAR(t.trace(), 1.3 * static_cast<double>(t.size()), 1e-10);
  }
}

// Of an axis the nearest circulant has the means of T's wrapped diagonals; of a grid the matrix is
// met by projecting on circulants of circulants.
TEST(ToeplitzGrid, TheCirculantIsTheNearest) {
  for (const Shape& shape : kShapes) {
    const CirculantGrid c(shape, lags_of(shape, 0.3));
    const int64_t n = c.size();
    const at::Tensor k = dense_of(shape, 0.3);
    at::Tensor nearest = at::zeros({n}, at::kDouble);  // its first column
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const std::vector<double> a = place(shape, i), b = place(shape, j);
        int64_t cell = 0;
        for (size_t d = 0; d < shape.size(); ++d) {
          const auto lag = static_cast<int64_t>(a[d] - b[d]);
          cell = cell * shape[d] + (lag + shape[d]) % shape[d];
        }
        nearest[cell] += k[i][j] / static_cast<double>(n);
      }
    }
    at::Tensor unit = at::zeros({n}, at::kDouble), column = at::empty({n}, at::kDouble);
    unit[0] = 1;
    c.multiply(unit.const_data_ptr<double>(), 1, column.data_ptr<double>());
    EXPECT_LT((column - nearest).abs().max().item<double>(), 1e-13);
    const at::Tensor own = at::linalg_eigvalsh(k);
    at::Tensor eye = at::eye(n, at::kDouble), whole = at::empty({n, n}, at::kDouble);
    c.multiply(eye.const_data_ptr<double>(), n, whole.data_ptr<double>());
    const at::Tensor values = at::linalg_eigvalsh(whole);
    EXPECT_GT(values.min().item<double>(), own.min().item<double>() - 1e-12);
    EXPECT_LT(values.max().item<double>(), own.max().item<double>() + 1e-12);
    EXPECT_NEAR(c.log_determinant(), values.log().sum().item<double>(), 1e-10);
    // Solutions and roots.
    at::Tensor b = waves(2, n).clone();
    const at::Tensor before = b.clone();
    c.solve(b.data_ptr<double>(), 2);
    EXPECT_LT((b.matmul(whole) - before).abs().max().item<double>(), 1e-11);
    b = before.clone();
    c.root(b.data_ptr<double>(), 2);
    c.root(b.data_ptr<double>(), 2);
    EXPECT_LT((b - before.matmul(whole)).abs().max().item<double>(), 1e-11);
  }
}

TEST(ToeplitzGrid, SolvesInFewerStepsThanWithoutThePreconditioner) {
  const Shape shape = {24, 30};
  const at::Tensor lags = lags_of(shape, 1e-3);
  const ToeplitzGridOperator t(shape, lags);
  const CirculantGrid c(shape, lags);
  const at::Tensor b = waves(2, t.size());
  at::Tensor x = at::empty_like(b), plain = at::empty_like(b);
  const std::vector<Stop> stops(2, {.residual = 1e-10});
  const auto with = conjugate_gradient(t, &c, b.const_data_ptr<double>(), 2, stops, 2000,
                                       x.data_ptr<double>(), nullptr);
  const auto without = conjugate_gradient(t, nullptr, b.const_data_ptr<double>(), 2, stops, 2000,
                                          plain.data_ptr<double>(), nullptr);
  EXPECT_TRUE(with[0].reached && with[1].reached && without[0].reached);
  EXPECT_LT(with[0].iterations, without[0].iterations / 2);
  const at::Tensor k = dense_of(shape, 1e-3);
  EXPECT_LT((x.matmul(k) - b).norm().item<double>(), 1e-8 * b.norm().item<double>());
}

TEST(ToeplitzGrid, LagProductsSumPairsOfEveryDifference) {
  for (const Shape& shape : kShapes) {
    int64_t n = 1;
    Shape wide;
    for (const int64_t s : shape) {
      n *= s;
      wide.push_back(2 * s - 1);
    }
    const at::Tensor a = waves(2, n), b = (waves(2, n) + 0.3).cos();
    at::Tensor expected = at::zeros(wide, at::kDouble);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        const std::vector<double> from = place(shape, i), to = place(shape, j);
        int64_t at = 0;
        for (size_t d = 0; d < shape.size(); ++d)
          at = at * wide[d] + static_cast<int64_t>(from[d] - to[d]) + shape[d] - 1;
        for (int64_t r = 0; r < 2; ++r)
          expected.data_ptr<double>()[at] += (a[r][i] * b[r][j]).item<double>();
      }
    }
    const at::Tensor sums =
        lag_products(shape, a.const_data_ptr<double>(), b.const_data_ptr<double>(), 2);
    EXPECT_EQ(sums.sizes(), expected.sizes());
    EXPECT_LT((sums - expected).abs().max().item<double>(), 1e-12);
  }
}

TEST(ToeplitzGrid, WrongLagsAreNamed) {
  EXPECT_THROW(ToeplitzGridOperator({3, 4}, at::ones({5, 6}, at::kDouble)), Error);
  EXPECT_THROW(ToeplitzGridOperator({3, 0}, at::ones({5, 1}, at::kDouble)), Error);
  EXPECT_THROW(ToeplitzGridOperator({3}, at::arange(5, at::kDouble)), Error);
  EXPECT_THROW(ToeplitzGridOperator({3}, at::full({5}, NAN, at::kDouble)), Error);
  EXPECT_THROW(CirculantGrid({3}, at::tensor({1.0, 1.0, 0.5, 1.0, 1.0}, at::kDouble)), Error);
}

}  // namespace
}  // namespace covary::linalg
