#include "covary/core/linalg/operator.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/linalg/dense_operators.h"
#include "covary/core/linalg/kronecker.h"
#include "covary/core/linalg/toeplitz_operator.h"

namespace covary::linalg {
namespace {

at::Tensor normals(at::IntArrayRef shape, uint64_t seed) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 4).normal(static_cast<uint64_t>(i));
  }
  return t;
}

at::Tensor positive(int64_t n, uint64_t seed) {
  const at::Tensor a = normals({n, n}, seed);
  return (a.matmul(a.t()) + 0.5 * static_cast<double>(n) * at::eye(n, at::kDouble)).contiguous();
}

Matrix view(const at::Tensor& t) { return {t.data_ptr<double>(), t.size(0), t.stride(0)}; }

// Everything that an operator says, against the matrix that it should be.
void expect_is(const LinearOperator& a, const at::Tensor& dense) {
  const int64_t n = dense.size(0), count = 3;
  ASSERT_EQ(a.size(), n);
  const double size = dense.abs().max().item<double>();
  const at::Tensor b = normals({count, n}, 11);
  at::Tensor out = at::full({count, n}, NAN, at::kDouble);
  a.multiply(b.const_data_ptr<double>(), count, out.data_ptr<double>());
  EXPECT_LT((out - b.matmul(dense.t())).abs().max().item<double>(), 1e-12 * size * n);
  at::Tensor diagonal = at::full({n}, NAN, at::kDouble);
  a.diagonal(diagonal.data_ptr<double>());
  EXPECT_LT((diagonal - dense.diagonal()).abs().max().item<double>(), 1e-12 * size * n);
  EXPECT_NEAR(a.trace(), dense.trace().item<double>(), 1e-12 * size * n * n);
  if (!a.direct()) {
    EXPECT_THROW(a.solve(out.data_ptr<double>(), 1), Error);
    EXPECT_THROW(a.log_determinant(), Error);
    return;
  }
  at::Tensor solved = b.clone();
  a.solve(solved.data_ptr<double>(), count);
  EXPECT_LT((solved.matmul(dense.t()) - b).abs().max().item<double>(), 1e-10);
  EXPECT_NEAR(a.log_determinant(), std::get<1>(at::linalg_slogdet(dense)).item<double>(),
              1e-10 * n);
}

TEST(LinearOperator, EachIsTheMatrixThatItStandsFor) {
  const at::Tensor a = positive(7, 1), b = positive(7, 2), c = positive(4, 3), d = positive(3, 4);
  const DenseOperator dense(view(a)), factored(view(a), true), other(view(b), true);
  expect_is(dense, a);
  expect_is(factored, a);
  std::vector<double> values{1, 2, 0.5, 3, 4, 5, 0.1};
  const DiagonalOperator diagonal(values);
  const at::Tensor spread = at::diag(at::tensor(values, at::kDouble));
  expect_is(diagonal, spread);
  expect_is(ScaledOperator(2.5, factored), 2.5 * a);
  expect_is(ScaledOperator(-1.5, dense), -1.5 * a);
  expect_is(SumOperator({&dense, &diagonal, &other}), a + b + spread);
  expect_is(ProductOperator({&factored, &diagonal, &other}), a.matmul(spread).matmul(b));
  expect_is(ProductOperator({&dense, &diagonal}), a.matmul(spread));
  const DenseOperator small(view(c), true);
  expect_is(BlockOperator({&factored, &small, &diagonal}), at::block_diag({a, c, spread}));
  const at::Tensor whole = at::kron(at::kron(d, c), a);
  expect_is(KroneckerOperator({view(d), view(c), view(a)}), whole);
  expect_is(KroneckerOperator({view(d), view(c), view(a)}, true), whole);
  std::vector<double> first;
  for (int i = 0; i < 23; ++i) first.push_back(std::exp(-0.3 * i) + (i == 0 ? 0.1 : 0));
  at::Tensor t = at::empty({23, 23}, at::kDouble);
  for (int64_t i = 0; i < 23; ++i) {
    for (int64_t j = 0; j < 23; ++j) t[i][j] = first[static_cast<size_t>(std::abs(i - j))];
  }
  expect_is(ToeplitzOperator(first), t);
  expect_is(ToeplitzOperator(first, true), t);
}

TEST(LinearOperator, WhatCannotBeIsRefused) {
  const at::Tensor a = positive(4, 1), b = positive(3, 2);
  const DenseOperator x(view(a)), y(view(b));
  EXPECT_THROW(SumOperator({}), Error);
  EXPECT_THROW(SumOperator({&x, &y}), Error);
  EXPECT_THROW(ProductOperator({&x, &y}), Error);
  EXPECT_THROW(ScaledOperator(NAN, x), Error);
  EXPECT_THROW(KroneckerOperator({}), Error);
  EXPECT_THROW(ToeplitzOperator({}), Error);
  const at::Tensor negative = -a;
  EXPECT_THROW(DenseOperator(view(negative), true), Error);
  const DiagonalOperator zero({1, 0});
  double rows[2] = {1, 1};
  EXPECT_THROW(zero.solve(rows, 1), Error);
}

}  // namespace
}  // namespace covary::linalg
