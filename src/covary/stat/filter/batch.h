// The Kalman filter of many short series at once, on the batch kernel.
//
//   const BatchFiltered f = kalman_filter_batch(model, y);                    // y [B,T,p]
//   const BatchFiltered g = kalman_filter_batch(model, y, {.r = r});          // r [B,p,p]: own noise
//
// Series of different lengths end in NaN. At most 16 states and 8 observations; no controls and no
// diffuse start: Error(kUsage). A series whose innovation has no variance at some step is an
// Error(kData) that names both (kalman_filter takes such models).
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

// Matrices that every series has for itself, with the series as first dimension; undefined = the
// model's. [B,n,n] or [B,T,n,n] for F, Q; likewise H, R; mean0 [B,n], cov0 [B,n,n]. Only shapes and
// finiteness are checked.
struct SeriesMatrices {
  at::Tensor f = {}, q = {}, h = {}, r = {}, mean0 = {}, cov0 = {};
};

struct BatchFiltered {
  at::Tensor log_likelihood;  // [B]
  at::Tensor mean;            // [B,T,n] of x_t given y_0 .. y_t; undefined when not wanted
  at::Tensor cov;             // [B,T,n,n]
};

BatchFiltered kalman_filter_batch(const LinearModel& model, const at::Tensor& y,
                                  const SeriesMatrices& own = {}, bool want_mean = true,
                                  bool want_cov = false);

}  // namespace covary::filter
