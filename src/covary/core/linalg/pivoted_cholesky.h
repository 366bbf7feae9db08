// A partial Cholesky factor L'L of a positive semidefinite matrix that is known by its diagonal and
// columns, the largest remaining diagonal entry first: what is left, A - L'L, is positive
// semidefinite too, and its trace bounds its norm.
//
//   const PivotedCholesky p = pivoted_cholesky(diagonal, 300, 1e-12,
//       [&](int64_t column, double* out) { kernel.cross(...); });
//   p.pivots;                                        // rows, in the order they were taken
//   LowRankOperator preconditioner(p.factor, p.rank(), noise);
//
// rank columns of A, n rank^2 flops, 8 n rank bytes. The same bits at any number of threads.
// Source: Harbrecht, Peters and Schneider 2012, algorithm 1.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace covary::linalg {

struct PivotedCholesky {
  std::vector<int64_t> pivots;
  std::vector<double> factor;  // L, [rank, n]
  double left = 0;             // trace of A - L'L
  int64_t rank() const { return static_cast<int64_t>(pivots.size()); }
};

// Writes column `index` of A, n entries.
using ColumnOf = std::function<void(int64_t index, double* out)>;

// Stops at `rank` columns, or before when no diagonal entry is left above `tolerance` times the
// largest of A.
PivotedCholesky pivoted_cholesky(std::span<const double> diagonal, int64_t rank, double tolerance,
                                 const ColumnOf& column);

}  // namespace covary::linalg
