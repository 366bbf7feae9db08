// The Kalman filter and the RTS smoother of one long series on several threads.
//
//   const ParallelFiltered f = parallel_kalman_filter(model, y);      // mean, cov, log-likelihood
//   const Smoothed s = parallel_rts_smoother(model, f);
//
// A step of the filter is an element of an associative product, and so is a step of the smoother.
// The series is cut into blocks of kParallelBlock steps; each block is reduced to one element, the
// blocks' elements are multiplied in order, and then every block is filtered from its known start.
// Blocks do not depend on the number of threads, so neither do the bits. About four times the work
// of kalman.h: it pays from six threads on.
//
// R must be invertible at every observed row together with Q (H Q H' + R is factorised), and the
// start not diffuse: Error(kData) otherwise. Missing observations as everywhere.
//
// Source: Saerkkae and Garcia-Fernandez 2021, lemmas 7, 8 and 10.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/kalman.h"
#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

constexpr int64_t kParallelBlock = 256;  // steps

struct ParallelFiltered {
  at::Tensor mean, cov;  // of x_t given y_0 .. y_t: [T,n], [T,n,n]
  at::Tensor predicted_mean, predicted_cov;
  double log_likelihood = 0;
};

ParallelFiltered parallel_kalman_filter(const LinearModel& model, const at::Tensor& y,
                                        const at::Tensor& u = {});
// lag_cov is not computed.
Smoothed parallel_rts_smoother(const LinearModel& model, const ParallelFiltered& filtered);

}  // namespace covary::filter
