// Rows of objectives for the tests of hypervolumes.
#pragma once

#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/stat/process/box_decomposition.h"

namespace covary::stat {

// kind 0: normal (few on the front); 1: on a sphere (all on the front); 2: small whole numbers (ties
// and equal rows). [n, m]
inline std::vector<double> points_of(uint64_t seed, size_t n, size_t m, int kind) {
  const Random random(seed, 3);
  std::vector<double> y(n * m);
  for (size_t i = 0; i < n; ++i) {
    double norm = 0;
    for (size_t j = 0; j < m; ++j) {
      double& v = y[i * m + j];
      v = random.normal(i * m + j);
      if (kind == 1) v = std::abs(v);
      if (kind == 2) v = static_cast<double>(random.below(5, i * m + j));
      norm += v * v;
    }
    for (size_t j = 0; j < m && kind == 1; ++j) y[i * m + j] /= std::sqrt(norm);
  }
  return y;
}

inline std::vector<double> sphere(uint64_t seed, size_t n, size_t m) {
  return points_of(seed, n, m, 1);
}

inline std::shared_ptr<BoxDecomposition> boxes_of(const std::vector<double>& points, size_t m) {
  return std::make_shared<BoxDecomposition>(points, std::vector<double>(m, 0));
}

}  // namespace covary::stat
