#include "covary/core/linalg/solve_kernel.h"

#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace covary::linalg {
namespace {

double entry(int64_t i, int64_t j) { return std::sin(static_cast<double>(1 + 7 * i + 13 * j)); }

// X from the definition: X L' = B, column by column.
TEST(SolveKernel, SolvesByAnyNumberOfRowsAndColumns) {
  for (const int64_t n : {1, 2, 7, 8, 9, 33, 192}) {
    for (const int64_t m : {1, 7, 8, 21}) {
      const int64_t stride = n + 3;
      std::vector<double> l(static_cast<size_t>(n * stride), 1e30),
          b(static_cast<size_t>(m * stride));
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j <= i; ++j) l[static_cast<size_t>(i * stride + j)] = entry(i, j);
        l[static_cast<size_t>(i * stride + i)] = 4 + static_cast<double>(n) / 8;
      }
      for (size_t i = 0; i < b.size(); ++i) b[i] = entry(static_cast<int64_t>(i), 5);
      const std::vector<double> before = b;
      PackedTriangle packed;
      packed.pack(n, l.data(), stride);
      solve_packed(packed, m, b.data(), stride);
      for (int64_t r = 0; r < m; ++r) {
        const double* x = b.data() + r * stride;
        for (int64_t i = 0; i < n; ++i) {
          double product = 0;
          for (int64_t j = 0; j <= i; ++j) product += l[static_cast<size_t>(i * stride + j)] * x[j];
          EXPECT_NEAR(product, before[static_cast<size_t>(r * stride + i)], 1e-13) << n << " " << m;
        }
        for (int64_t i = n; i < stride; ++i) {  // beyond the columns nothing is written
          EXPECT_EQ(x[i], before[static_cast<size_t>(r * stride + i)]);
        }
      }
    }
  }
}

// Substitution leaves a residual of the size of rounding though the triangle is nearly singular.
TEST(SolveKernel, IsExactForAnIllConditionedTriangle) {
  const int64_t n = 96;
  std::vector<double> l(n * n), b(n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      const double scale = std::pow(10.0, -8.0 * static_cast<double>(j) / n);
      l[static_cast<size_t>(i * n + j)] = (i == j ? 1 : 0.1 * entry(i, j)) * scale;
    }
    b[static_cast<size_t>(i)] = entry(i, 3);
  }
  const std::vector<double> before = b;
  PackedTriangle packed;
  packed.pack(n, l.data(), n);
  solve_packed(packed, 1, b.data(), n);
  for (int64_t i = 0; i < n; ++i) {
    double product = 0, size = 0;
    for (int64_t j = 0; j <= i; ++j) {
      const double term = l[static_cast<size_t>(i * n + j)] * b[static_cast<size_t>(j)];
      product += term;
      size += std::abs(term);
    }
    EXPECT_NEAR(product, before[static_cast<size_t>(i)], 1e-13 * size);
  }
}

}  // namespace
}  // namespace covary::linalg
