// Symmetric matrices over the cells of a grid whose entries depend on the difference of the cells
// alone: Toeplitz in blocks that are Toeplitz, down to one axis. Products by the fast Fourier
// transform; solutions by conjugate gradients with the nearest circulant matrix as preconditioner.
//
//   const ToeplitzGridOperator t({n1, n2}, lags);    // T_ij = lags[i - j + n - 1], i, j cells
//   const CirculantGrid c({n1, n2}, lags);
//   conjugate_gradient(t, &c, b, count, stops, iterations, x, nullptr);
//
// lags [2 n_1 - 1, ..., 2 n_d - 1] holds every difference, (0, ..., 0) in the middle, and is the same
// for a difference and its negative; vectors are cells in row order. With one axis T is that of
// toeplitz_operator.h. O(N log N) a product or circulant solution, N cells; 2^d N numbers are kept.
// The circulant is the one nearest to T in the Frobenius norm, level by level, whose eigenvalues lie
// between those of T: for covariances plus noise few steps are left to go.
// Source: T. Chan 1988 (nearest circulant); R. Chan and Jin 1992 (level by level); Wilson, Dann and
// Nickisch 2015 (covariances on grids).
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/linalg/operator.h"

namespace covary::linalg {

// The shape of lags: 2 n - 1 along an axis of n cells.
std::vector<int64_t> lag_shape(const std::vector<int64_t>& shape);

class ToeplitzGridOperator : public LinearOperator {
 public:
  // Error(kUsage) for an empty axis, or lags of another shape, not doubles or not even.
  ToeplitzGridOperator(std::vector<int64_t> shape, const at::Tensor& lags);
  int64_t size() const override { return size_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  double trace() const override { return middle_ * static_cast<double>(size_); }

 private:
  std::vector<int64_t> shape_, period_;  // of the grid, and of the circulant that it is a corner of
  int64_t size_ = 1;
  double middle_ = 0;
  at::Tensor spectrum_;  // of the circulant, real
};

// The nearest circulant, which also solves.
class CirculantGrid : public LinearOperator {
 public:
  // As above; Error(kFailed) when it is not positive definite, as then T is not.
  CirculantGrid(std::vector<int64_t> shape, const at::Tensor& lags);
  int64_t size() const override { return size_; }
  void multiply(const double* rows, int64_t count, double* out) const override;
  void diagonal(double* out) const override;
  bool direct() const override { return true; }
  void solve(double* rows, int64_t count) const override;
  double log_determinant() const override { return log_determinant_; }
  // rows := C^1/2 rows: of standard normal ones, draws of covariance C.
  void root(double* rows, int64_t count) const;

 private:
  at::Tensor filtered(const double* rows, int64_t count, const at::Tensor& spectrum) const;

  std::vector<int64_t> shape_;
  int64_t size_ = 1;
  double middle_ = 0, log_determinant_ = 0;
  at::Tensor spectrum_;  // the half that real transforms keep
};

// sum_i a_i b_(i - l) for every difference l of cells, in the shape of lags; a, b [count, N] summed
// over the rows.
at::Tensor lag_products(const std::vector<int64_t>& shape, const double* a, const double* b,
                        int64_t count);

}  // namespace covary::linalg
