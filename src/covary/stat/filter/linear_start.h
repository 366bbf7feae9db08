// A linear model of which nothing is known but the number of states.
//
//   LinearFit f = fit_linear(y, 3);           // EM, then a search by gradient from where it arrived
//   LinearModel start = linear_start(y, 3);   // where EM starts
//
// States are the leading principal components of a window of rows, long enough to hold them; F and
// H are least squares on them, Q and R what is left. y [T,p], NaN = missing, taken as the column's
// mean here. Deterministic. Throws Error(kData) for a series that is too short or constant.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/learn.h"
#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

LinearModel linear_start(const at::Tensor& y, int64_t states);

// steps: of both together, at most. All of F, H, Q, R and mean0 are free.
LinearFit fit_linear(const at::Tensor& y, int64_t states, int64_t steps = 500);

}  // namespace covary::filter
