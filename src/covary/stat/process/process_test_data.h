// What the tests of this room draw and flatten.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"

namespace covary::stat {

inline at::Tensor normals(uint64_t seed, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) {
    t.data_ptr<double>()[i] = Random(seed, 6).normal(static_cast<uint64_t>(i));
  }
  return t;
}

inline at::Tensor uniforms(int64_t n, int64_t d, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(4, stream);
  for (int64_t i = 0; i < n * d; ++i) {
    x.data_ptr<double>()[i] = random.uniform(static_cast<uint64_t>(i));
  }
  return x;
}

inline std::vector<double> flat(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

}  // namespace covary::stat
