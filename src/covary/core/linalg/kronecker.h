// A Kronecker product A_1 (x) A_2 (x) ... of small symmetric matrices as a linear operator: what a
// product of kernels over the axes of a full grid is.
//
//   const KroneckerOperator k({Matrix{a, 40, 40}, Matrix{b, 300, 300}}, /*factor=*/true);
//   k.multiply(rows, count, out);           // rows [count, 40 * 300]: the last axis runs fastest
//   k.solve(rows, count);                   // by the Cholesky factors of the parts
//
// n = n_1 n_2 ...; 2 n (n_1 + n_2 + ...) flops a product and right-hand side, and as many a solution;
// the factors n_k^3 / 3 each, once. The same bits at any number of threads.
// Source: Van Loan 2000, sections 1 and 2; Saatci 2011, chapter 5.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/operator.h"

namespace covary::linalg {

class KroneckerOperator : public LinearOperator {
 public:
  // Both halves of the parts are read; they are not copied. factor: keep Cholesky factors for solve
  // and log_determinant; Error(kFailed) when a part has none without jitter. Error(kUsage) for none.
  explicit KroneckerOperator(std::vector<Matrix> parts, bool factor = false);
  int64_t size() const override { return size_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return !factors_.empty(); }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override;
  double trace() const override;

 private:
  std::vector<Matrix> parts_;
  std::vector<std::vector<double>> factors_;  // of the parts
  int64_t size_ = 1;
};

}  // namespace covary::linalg
