// For tests: standard normal numbers by the seed.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/base/random.h"

namespace covary::linalg {

template <class Real>
std::vector<Real> test_normals(int64_t count, uint64_t seed, uint64_t stream) {
  std::vector<Real> x(static_cast<size_t>(count));
  for (size_t i = 0; i < x.size(); ++i) x[i] = static_cast<Real>(Random(seed, stream).normal(i));
  return x;
}

}  // namespace covary::linalg
