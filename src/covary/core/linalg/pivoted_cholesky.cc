#include "covary/core/linalg/pivoted_cholesky.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/threads.h"

namespace covary::linalg {

PivotedCholesky pivoted_cholesky(std::span<const double> diagonal, int64_t rank, double tolerance,
                                 const ColumnOf& column) {
  const auto n = static_cast<int64_t>(diagonal.size());
  PivotedCholesky out;
  std::vector<double> left(diagonal.begin(), diagonal.end());
  const double least = n > 0 ? tolerance * *std::max_element(left.begin(), left.end()) : 0;
  for (int64_t k = 0; k < std::min(rank, n); ++k) {
    const int64_t best = std::max_element(left.begin(), left.end()) - left.begin();
    const double pivot = left[static_cast<size_t>(best)];
    if (!(pivot > least)) break;
    out.factor.resize(static_cast<size_t>((k + 1) * n));
    double* row = out.factor.data() + k * n;
    column(best, row);
    parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t j = 0; j < k; ++j) {
        const double* before = out.factor.data() + j * n;
        const double weight = before[best];
        for (int64_t i = begin; i < end; ++i) row[i] -= weight * before[i];
      }
      const double scale = 1 / std::sqrt(pivot);
      for (int64_t i = begin; i < end; ++i) {
        row[i] *= scale;
        left[static_cast<size_t>(i)] -= row[i] * row[i];
      }
    });
    left[static_cast<size_t>(best)] = 0;
    out.pivots.push_back(best);
  }
  for (const double v : left) out.left += std::max(v, 0.0);
  return out;
}

}  // namespace covary::linalg
