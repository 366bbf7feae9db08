// A stored symmetric matrix and a diagonal as linear operators.
//
//   const DenseOperator k(Matrix{buffer, n, n}, /*factor=*/true);
//   const DiagonalOperator noise(std::vector<double>(n, 0.1));
//   const SumOperator sum({&k, &noise});
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/operator.h"

namespace covary::linalg {

// Both halves of the matrix are read; it is not copied. factor: keep a Cholesky factor beside it
// (8 n^2 bytes, n^3 / 3 flops; Error(kFailed) when there is none without jitter), for solve and
// log_determinant.
class DenseOperator : public LinearOperator {
 public:
  explicit DenseOperator(const Matrix& a, bool factor = false);
  int64_t size() const override { return a_.n; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return !factor_.empty(); }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;

 private:
  Matrix a_;
  std::vector<double> factor_;
};

class DiagonalOperator : public LinearOperator {
 public:
  explicit DiagonalOperator(std::vector<double> values) : values_(std::move(values)) {}
  int64_t size() const override { return static_cast<int64_t>(values_.size()); }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return true; }
  void solve(double* rows, int64_t count) const override;  // Error(kFailed) for a 0
  double log_determinant() const override;

 private:
  std::vector<double> values_;
};

}  // namespace covary::linalg
