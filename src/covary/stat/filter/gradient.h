// The gradient of the Kalman log-likelihood in every matrix of the model, by one backward pass.
//
//   const LikelihoodGradient g = kalman_gradient(model, y, u);
//   g.log_likelihood;  g.q;               // shaped like model.q: one matrix, or one a step
//
// For a symmetric matrix the gradient G is the symmetric one: a symmetric change dQ moves the
// log-likelihood by sum_ij G_ij dQ_ij.
//
// Cost: about three filters; memory O(T n^2). Every innovation must have a variance (R = 0 is fine
// where the state has one); at steps whose start is still diffuse R must be diagonal. Throws
// Error(kData) otherwise, and as kalman.h.
//
// Source: the adjoint of the recursion of kalman.h, step by step; for scalars along a diffuse
// direction, of Koopman and Durbin 2000.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct LikelihoodGradient {
  double log_likelihood = 0;
  at::Tensor f, q, h, r, b, mean0, cov0, diffuse;  // b, diffuse: defined where the model's is
};

LikelihoodGradient kalman_gradient(const LinearModel& model, const at::Tensor& y,
                                   const at::Tensor& u = {});

}  // namespace covary::filter
