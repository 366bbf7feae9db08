// The Kalman filter with fading memory: what is old counts less by a factor a step.
//
//   const Filtered f = fading_memory_filter(model, y, 1.02);
//
// The predicted covariance is factor^2 F P F' + Q: the filter trusts its model less, and follows
// what the model does not know of. factor 1 is the Kalman filter; 1.01 to 1.05 are usual. The means
// are those of a Kalman filter whose R_t and Q_t shrink by factor^-2 a step. log_likelihood is that
// of the predictions made.
//
// factor >= 1: Error(kUsage). No diffuse start. Cost, and the rest of errors, as kalman.h.
//
// Source: Sorenson and Sacks 1971; Simon 2006, section 7.4.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/kalman.h"

namespace covary::filter {

// next_mean, next_cov are of the step beyond; diffuse fields are empty.
Filtered fading_memory_filter(const LinearModel& model, const at::Tensor& y, double factor,
                              const at::Tensor& u = {});

}  // namespace covary::filter
