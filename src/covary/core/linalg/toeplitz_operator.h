// A symmetric Toeplitz matrix as a linear operator: products by the fast Fourier transform of the
// circulant that it is a corner of; solutions by toeplitz.h.
//
//   const ToeplitzOperator t(first, /*factor=*/true);      // T_ij = first[|i - j|]
//   t.multiply(rows, count, out);                          // O(n log n) a row
//
// Solutions and determinant O(n^2), once for the factor and a row each.
// Source: Golub and Van Loan 2013, section 4.8.2.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/linalg/operator.h"
#include "covary/core/linalg/toeplitz.h"

namespace covary::linalg {

class ToeplitzOperator : public LinearOperator {
 public:
  // Error(kUsage) for an empty column; factor: Error(kFailed) when T is not positive definite.
  explicit ToeplitzOperator(std::vector<double> first, bool factor = false);
  int64_t size() const override { return static_cast<int64_t>(first_.size()); }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return factor_ != nullptr; }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;
  double trace() const override { return first_[0] * static_cast<double>(size()); }

 private:
  std::vector<double> first_;
  int64_t period_ = 0;   // of the circulant
  at::Tensor spectrum_;  // of it, real
  std::unique_ptr<ToeplitzFactor> factor_;
};

}  // namespace covary::linalg
