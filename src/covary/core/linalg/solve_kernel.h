// B L^-T in place of the rows of B, for a small lower triangle L: the solve of a Cholesky panel, where
// the dtrsm of the BLAS reaches 40 % of the rate of its products. SIMD by run-time dispatch.
//
//   PackedTriangle l;
//   l.pack(192, tile, stride);         // once a tile
//   solve_packed(l, rows, b, stride);  // by every strip of rows below it
//
// Exact substitution, not a product with an inverse: as accurate as dtrsm for an ill-conditioned L.
// Bound: m n^2 / 2 fused multiply-adds. Within linalg only.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::linalg {

// The rows of L in groups of as many as a SIMD vector has lanes, transposed; the diagonal divided
// out.
struct PackedTriangle {
  void pack(int64_t size, const double* l, int64_t stride);
  int64_t n = 0;
  std::vector<double> values, reciprocals;
};

// m rows of b, n columns each.
void solve_packed(const PackedTriangle& l, int64_t m, double* b, int64_t stride);

}  // namespace covary::linalg
