// Noise of the step that is correlated with noise of the observation, turned into the usual model.
//
//   const Uncorrelated m = uncorrelated(model, cross, y);       // cross = Cov(w_t, v_t) [n,p]
//   const Filtered f = kalman_filter(m.model, y, m.u);          // or any other of the room
//
// Given y_t, the part of w_t that v_t tells is known: w_t = cross R^-1 (y_t - H x_t) + w', where w'
// is independent of v_t. So F' = F - cross R^-1 H, Q' = Q - cross R^-1 cross', and cross R^-1 y_t
// (with B u_t, if there is one) is an input. What is missing of y_t tells nothing: matrices are then
// those of the step. States, likelihood and smoothed states are the correlated model's, exactly.
//
// cross [n,p] or [T,n,p]; R must be definite on the observed rows. Throws Error(kData) naming the
// step when Q - cross R^-1 cross' is no covariance.
//
// Source: Anderson and Moore 1979, section 5.5; Jazwinski 1970, section 7.3.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct Uncorrelated {
  LinearModel model;  // F and Q by step, B = I
  at::Tensor u;       // [T,n]
};
Uncorrelated uncorrelated(const LinearModel& model, const at::Tensor& cross, const at::Tensor& y,
                          const at::Tensor& u = {});

}  // namespace covary::filter
