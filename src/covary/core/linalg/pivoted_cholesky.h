// A partial Cholesky factor L'L of a positive semidefinite matrix that is known by its diagonal and
// columns, the largest remaining diagonal entry first: what is left, A - L'L, is positive
// semidefinite too, and its trace bounds its norm.
//
//   const PivotedCholesky p = pivoted_cholesky(diagonal, {.rank = 300},
//       [&](std::span<const int64_t> columns, double* out) { kernel.cross(...); });
//   p.pivots;                                        // rows, in the order they were taken
//   LowRankOperator preconditioner(p.factor, p.rank(), noise);
//
// One column at a time this is the greedy choice itself, at the speed of memory. In blocks, columns
// of the `2 block` largest entries are made at once, and those among them taken in greedy order whose
// entries stay above half of the largest: nearly as good a choice, at the speed of matrix products.
// 2 n rank^2 flops, 8 n rank bytes. The same bits at any number of threads.
// Source: Harbrecht, Peters and Schneider 2012, algorithm 1; blocks after Epperly, Tropp and Webber
// 2024, with the largest entries in place of random ones.
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

// Writes columns of A, [columns, n].
using ColumnsOf = std::function<void(std::span<const int64_t> columns, double* out)>;

struct PivotOptions {
  int64_t rank = 100;        // columns, at most
  int64_t block = 1;         // taken at once, at most
  double tolerance = 1e-12;  // ends when no diagonal entry is above this times the largest of A
};

PivotedCholesky pivoted_cholesky(std::span<const double> diagonal, const PivotOptions& options,
                                 const ColumnsOf& columns);

}  // namespace covary::linalg
