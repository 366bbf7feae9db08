// Products with triangular and symmetric matrices by blocks, in single and double precision: what
// lies above a diagonal is neither read nor multiplied.
//
//   factor_and_invert(m, k, m, t, m);                                  // k: L, t: L^-1
//   lower_times(false, m, b, l, m, k, b, a, b);                        // A [m,b] = L^-1 K
//   symmetric_product(m, b, a, b, d, b, g, m);                         // G [m,m] = A D', known to be
//                                                                      // symmetric
// Matrices row by row; ld* = elements between rows. Operands are packed (packed_product.h) into memory
// that each calling thread keeps: the same bits at any number of threads. n^2 m flops for a triangle
// times [n, m] and for a symmetric product, n^3 for a factor with its inverse, each plus what the
// tiles on the diagonal add.
#pragma once

#include <cstdint>

namespace covary::linalg {

// Lower half of a symmetric matrix [n,n] := its Cholesky factor L; inverse := L^-1, zeros above.
// Halves by recursion, so that nearly all is matrix products: for matrices of a few hundred rows the
// two together take less than a factor alone by the BLAS. Serial. False when a pivot is not positive
// or not finite.
template <class Real>
bool factor_and_invert(int64_t n, Real* a, int64_t lda, Real* inverse, int64_t ldi);

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

// C [n,n] = L' H L, both halves; H symmetric with both halves, L lower triangular with zeros above.
// work [n,n].
template <class Real>
void lower_congruence(int64_t n, const Real* l, int64_t ldl, const Real* h, int64_t ldh, Real* work,
                      Real* c, int64_t ldc);

// Y [n,m] = S X, S [n,n] with both halves.
template <class Real>
void full_times(int64_t n, int64_t m, const Real* s, int64_t lds, const Real* x, int64_t ldx,
                Real* y, int64_t ldy);

}  // namespace covary::linalg
