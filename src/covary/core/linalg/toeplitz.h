// Symmetric positive definite Toeplitz matrices, T_ij = first[|i - j|]: inverse, determinant and
// what gradients need, in memory that grows with n alone.
//
//   const ToeplitzFactor t(first);        // Error(kFailed) when T is not positive definite
//   t.solve(b);                           // b := T^-1 b
//   t.log_determinant();
//   t.inverse_lag_sums();                 // [n]: sum_i (T^-1)_{i, i + lag}
//
// O(n^2) each, serial: the same bits always. The inverse is kept as its first column; solutions by
// it are improved by their residual, so that they are as good as those of a dense factor for
// condition numbers up to about 1e8.
// Source: Durbin 1960 (recursion); Gohberg and Semencul 1972 (the inverse by its first column);
// Golub and Van Loan 2013, section 4.7.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace covary::linalg {

class ToeplitzFactor {
 public:
  explicit ToeplitzFactor(std::span<const double> first);

  int64_t size() const { return static_cast<int64_t>(first_.size()); }
  double log_determinant() const { return log_determinant_; }
  void solve(std::span<double> b) const;
  std::vector<double> inverse_lag_sums() const;

 private:
  std::vector<double> apply_inverse(std::span<const double> b) const;

  std::vector<double> first_;
  std::vector<double> column_, shifted_;  // of the inverse: (u_0, ...) and (0, u_{n-1}, ..., u_1)
  double log_determinant_ = 0;
};

}  // namespace covary::linalg
