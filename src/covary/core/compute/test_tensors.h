// For tests: tensors of standard normals that are the same on every machine and run.
//
//   at::Tensor means = test_normal(7, 1, {n, 3});    // seed, stream, shape; double
#pragma once

#include <ATen/ATen.h>

#include "covary/core/base/random.h"

namespace covary::compute {

inline at::Tensor test_normal(uint64_t seed, uint64_t stream, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  const Random rng(seed, stream);
  for (int64_t i = 0; i < t.numel(); ++i)
    t.data_ptr<double>()[i] = rng.normal(static_cast<uint64_t>(i));
  return t;
}

}  // namespace covary::compute
