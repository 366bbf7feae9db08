// Products with triangular and symmetric matrices by blocks, in single and double precision: what
// lies above a diagonal is neither read nor multiplied.
//
//   Factored in place:  potrf(m, l, m);  invert_lower(m, l, m);        // l: L^-1, lower half
//   lower_times(false, m, b, l, m, k, b, a, b);                        // A [m,b] = L^-1 K
//   symmetric_product(m, b, a, b, d, b, g, m);                         // G [m,m] = A D', known to be
//                                                                      // symmetric
// Matrices row by row; ld* = elements between rows. A block of 128 rows is one BLAS call of fixed
// shape: the same bits at any number of threads. n^2 m flops for a triangle times [n, m] and for a
// symmetric product, n^3 / 3 for an inverse, each plus what the blocks on the diagonal add.
#pragma once

#include <cstdint>

namespace covary::linalg {

// Lower half of a lower triangular matrix [n,n] := that of its inverse. The upper half is set to 0.
template <class Real>
void invert_lower(int64_t n, Real* l, int64_t ldl);

// Y [n,m] = L X, or L' X; L [n,n] lower triangular with zeros above. Y is not X.
template <class Real>
void lower_times(bool transpose, int64_t n, int64_t m, const Real* l, int64_t ldl, const Real* x,
                 int64_t ldx, Real* y, int64_t ldy);

// C [n,n] = A B' of A, B [n,k], where the product is symmetric: its lower half, mirrored.
template <class Real>
void symmetric_product(int64_t n, int64_t k, const Real* a, int64_t lda, const Real* b, int64_t ldb,
                       Real* c, int64_t ldc);

// C [n,n] = L' L, both halves; L lower triangular with zeros above.
template <class Real>
void lower_square(int64_t n, const Real* l, int64_t ldl, Real* c, int64_t ldc);

// Y [n,m] = S X, S [n,n] with both halves.
template <class Real>
void full_times(int64_t n, int64_t m, const Real* s, int64_t lds, const Real* x, int64_t ldx,
                Real* y, int64_t ldy);

}  // namespace covary::linalg
