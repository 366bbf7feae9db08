// For tests and benchmarks: points that are the same in every run.
#pragma once

#include <cstdint>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"

namespace covary::mixture {

// Points made of scrambled integers, the same bits in every language, so that figures of other programs
// on the same points can stand in the tests (bench/peers/mixture.py makes them): rows [from, to) of three overlapping clumps in three dimensions.
inline at::Tensor test_points(int64_t from, int64_t to) {
  const auto uniform = [](int64_t i) {
    auto h = static_cast<uint32_t>(i);
    h = (h ^ (h >> 16)) * 0x85EBCA6Bu;
    h = (h ^ (h >> 13)) * 0xC2B2AE35u;
    h ^= h >> 16;
    return h / 4294967296.0;
  };
  const double centres[3][3] = {{4, 0, -1}, {-2, 3, 0}, {-2, -3, 1}};
  at::Tensor x = at::empty({to - from, 3}, at::kDouble);
  for (int64_t i = from; i < to; ++i) {
    for (int64_t j = 0; j < 3; ++j) {
      const int64_t e = 3 * i + j + 1;
      x.data_ptr<double>()[(i - from) * 3 + j] =
          0.3 * centres[i % 3][j] + (uniform(e) + uniform(e + 1000) + uniform(e + 5000) - 1.5);
    }
  }
  return x;
}

// Standard normal rows [n,d] by the seed.
inline at::Tensor normal_points(int64_t n, int64_t d, uint64_t seed, uint64_t stream) {
  at::Tensor x = at::empty({n, d}, at::kDouble);
  const Random random(seed, stream);
  for (int64_t i = 0; i < n * d; ++i) x.data_ptr<double>()[i] = random.normal(uint64_t(i));
  return x;
}

}  // namespace covary::mixture
