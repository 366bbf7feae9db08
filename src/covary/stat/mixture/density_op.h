// Log-densities as torch operators with gradient, for losses, samplers and maps through them.
//
//   at::Tensor log_p = mixture_log_density(x, log_weights, means, precision_factors);   // [n]
//   log_p.sum().backward();                         // to all four
//   at::Tensor log_q = kernel_log_density(kde, x);  // [n]; gradient to x: the score
//
// x [n,d]; log_weights [k], which need not be normalised; means [k,d]; precision_factors [k,d,d]: lower
// triangles W with covariance (W'W)^-1 (what lies above the diagonal is not looked at). With
// responsibilities r, z = W (x - m) and g the incoming gradient:
//   d/dx = -g sum_k r W'z      d/dlog w_k = sum_n g r      d/dm_k = sum_n g r W'z
//   d/dW_k = sum_n g r (diag(1 / W_ii) - z (x - m)')  on the lower triangle
// No responsibility is kept between the passes. First derivatives only; of double and float (worked in
// double). Errors: Error(kData) for shapes, for what is not finite, and for a diagonal not above 0.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/mixture/kde.h"

namespace covary::mixture {

at::Tensor mixture_log_density(const at::Tensor& x, const at::Tensor& log_weights,
                               const at::Tensor& means, const at::Tensor& precision_factors);

// kde must outlive the call and its backward.
at::Tensor kernel_log_density(const KernelDensity& kde, const at::Tensor& x);

}  // namespace covary::mixture
