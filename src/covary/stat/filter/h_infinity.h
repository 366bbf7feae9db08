// The H-infinity filter: bounds the worst case instead of the mean square.
//
//   const HInfinityFiltered f = h_infinity_filter(model, y, {.theta = 0.01});
//   h_infinity_limit(model, y.size(0));          // the largest theta for which it exists
//
// Whatever finite-energy disturbances nature chooses (their sizes weighed by cov0, Q and R), the
// energy of L (x - estimate) stays below 1 / theta times theirs. theta 0 is the Kalman filter;
// theta beyond a limit has no such filter: Error(kData) that names the step. `weight` is L'L,
// identity when undefined.
//
// No diffuse start; R definite on the observed rows; cov0 and Q definite enough for what is
// factorised. Missing observations only predict. Cost: as the information form.
//
// Source: Simon 2006, section 11.3.3 (a priori form); Hassibi, Sayed and Kailath 1999.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct HInfinityOptions {
  double theta = 0;        // >= 0, the bound's inverse
  at::Tensor weight = {};  // L'L [n,n], undefined = identity
};

struct HInfinityFiltered {
  at::Tensor predicted_mean;  // [T,n] of x_t from y_0 .. y_{t-1}
  at::Tensor predicted_cov;   // [T,n,n] the Riccati solution; a covariance only for theta = 0
  at::Tensor mean;            // [T,n] of x_t from y_0 .. y_t
  at::Tensor next_mean;       // [n]
};

HInfinityFiltered h_infinity_filter(const LinearModel& model, const at::Tensor& y,
                                    const HInfinityOptions& options, const at::Tensor& u = {});

// To six digits, by bisection; `steps` steps with everything observed.
double h_infinity_limit(const LinearModel& model, int64_t steps, const at::Tensor& weight = {});

}  // namespace covary::filter
