// L'L + D with a factor of few rows and a diagonal: products, solutions, determinant and draws at
// the cost of the rank. The preconditioner of conjugate gradients for kernel matrices.
//
//   const LowRankOperator p(std::move(factor), rank, noise);   // factor [rank, n], noise [n] > 0
//   p.solve(rows, count);                                      // Woodbury
//   p.log_determinant();
//   p.draw(seed, stream, count, rows);                         // rows ~ N(0, L'L + D)
//
// n rank^2 flops once, 4 n rank a product or solution, 16 n rank bytes. Sums over n run in blocks of
// fixed size added in order: the same bits at any number of threads.
// Source: Woodbury 1950; Golub and Van Loan 2013, eq. 2.1.4.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/linalg/operator.h"

namespace covary::linalg {

class LowRankOperator : public LinearOperator {
 public:
  // Throws Error(kUsage) for sizes that differ, Error(kFailed) for a diagonal that is not positive
  // and finite.
  LowRankOperator(std::vector<double> factor, int64_t rank, std::vector<double> diagonal);

  int64_t size() const override { return static_cast<int64_t>(diagonal_.size()); }
  int64_t rank() const { return rank_; }
  const std::vector<double>& factor() const { return factor_; }  // L, [rank, n]
  const std::vector<double>& own() const { return diagonal_; }   // D, [n]
  // G with (L'L + D)^-1 = D^-1 - G'G, [rank, n].
  const std::vector<double>& whitened() const { return whitened_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return true; }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override { return log_determinant_; }
  // rows [count, n]: independent normal draws of covariance L'L + D, by counter.
  void draw(uint64_t seed, uint64_t stream, int64_t count, double* rows) const;

 private:
  std::vector<double> factor_, diagonal_;
  std::vector<double> whitened_;  // C^-1 L D^-1, [rank, n], with I + L D^-1 L' = C C'
  int64_t rank_ = 0;
  double log_determinant_ = 0;
};

}  // namespace covary::linalg
