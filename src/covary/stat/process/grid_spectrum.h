// The covariance of the cells of a grid by the eigenvectors of its axes' kernels: what grid.h and
// grid_gaps.h solve with.
//
//   const GridSpectrum q(axes, kernels, noise);        // K_1 (x) ... (x) K_d + noise
//   if (!q.good) ...                                   // not positive definite, or not finite
//   at::Tensor a = q.back(q.turned(y) / q.spectrum);   // its inverse times y [..., n_1, ..., n_d]
//
// sum n_k^3 for the eigenvectors, N sum n_k a turn, N the cells. Doubles; the BLAS threads of the
// caller.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/kernel.h"

namespace covary::stat {

// Coordinates of each axis, in any order, no two alike.
using GridAxes = std::vector<std::vector<double>>;

// m times every fibre along dimension `axis`.
at::Tensor along_axis(const at::Tensor& t, int64_t axis, const at::Tensor& m);
// The product over axes of vectors, [n_1, ..., n_d].
at::Tensor outer_product(const std::vector<at::Tensor>& vectors);

// K + noise = Q diag(spectrum) Q', Q and K's eigenvalues products over the axes.
struct GridSpectrum {
  std::vector<at::Tensor> matrices;         // an axis: [n,n], its kernel
  std::vector<at::Tensor> vectors, values;  // an axis: [n,n], [n]
  at::Tensor spectrum;                      // values + noise, [n_1, ..., n_d]
  at::Tensor ones;                          // Q' 1
  bool good = false;

  GridSpectrum(const GridAxes& axes, std::span<const Kernel> kernels, double noise);
  at::Tensor turned(at::Tensor t) const;        // Q' t, t [..., n_1, ..., n_d]
  at::Tensor back(at::Tensor t) const;          // Q t
  at::Tensor back_squared(at::Tensor t) const;  // with the entries of Q squared
};

// gradient[parameter] = sum_ij weights_ij dK_ij / dlog(parameter) of one axis; weights [n,n],
// symmetric, in the coordinates of the eigenvectors.
std::vector<double> axis_gradient(const std::vector<double>& axis, const Kernel& kernel,
                                  const at::Tensor& vectors, const at::Tensor& weights);

}  // namespace covary::stat
