// The two-filter smoother: a filter from the front, one from the back in information form, and what
// they say together.
//
//   const Smoothed s = two_filter_smoother(model, y);        // equal to kalman_smoother
//
// The filter from the back holds what y_t .. y_{T-1} say about x_t as a precision and a vector,
// which may be nothing at all, so that it starts without a prior and F need not be invertible. A
// state given all is N((P^-1 + L)^-1 (P^-1 m + l), (P^-1 + L)^-1) with m, P predicted from the
// front and L, l from the back. Both passes are independent of one another: they suit two threads.
//
// No diffuse start; R definite on the observed rows: Error(kData). lag_cov is not computed. Cost:
// about two filters.
//
// Source: Fraser and Potter 1969; Kitagawa 1994 (backward information).
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/kalman.h"

namespace covary::filter {

Smoothed two_filter_smoother(const LinearModel& model, const at::Tensor& y,
                             const at::Tensor& u = {});

}  // namespace covary::filter
