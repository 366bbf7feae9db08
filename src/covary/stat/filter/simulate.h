// Draws from a linear model.
//
//   const Simulated s = simulate(model, 1000, 42);      // s.states [T,n], s.y [T,p]
//
// The same seed gives the same draws; a longer series begins with the shorter one. A diffuse start
// cannot be drawn: Error(kUsage). u [T,k]: controls; undefined = none.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct Simulated {
  at::Tensor states, y;
};
Simulated simulate(const LinearModel& model, int64_t steps, int64_t seed, const at::Tensor& u = {});

}  // namespace covary::filter
