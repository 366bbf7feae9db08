// The Kalman log-likelihood as a torch operator with gradient in every matrix of the model, for
// losses that the user composes.
//
//   LinearModel m{.f = f, .q = noise.exp() * shape, ...};   // tensors that may require a gradient
//   log_likelihood_op(m, y).neg().backward();               // to noise, through q
//
// A scalar, double. The backward pass is kalman_gradient (gradient.h), with its conditions, costs
// and errors; the gradient of a symmetric matrix is the symmetric one. First derivatives only; y and
// u [T,k] have none.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

at::Tensor log_likelihood_op(const LinearModel& model, const at::Tensor& y,
                             const at::Tensor& u = {});

}  // namespace covary::filter
