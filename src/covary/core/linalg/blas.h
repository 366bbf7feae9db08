// The few BLAS calls that the dense factorisations are made of, on matrices stored row by row.
//
//   const OneBlasThread one;          // this thread's calls are serial as long as `one` lives
//   gemm(false, true, m, n, k, 1.0, a, lda, b, ldb, 0.0, c, ldc);      // C = A B'
//
// libtorch brings the BLAS. Its threads are not used: a call of fixed shape on one thread gives the
// same bits whatever the number of cores, and the blocks above it are what runs in parallel.
#pragma once

#include <cstdint>

namespace covary::linalg {

// Makes BLAS calls of the calling thread serial; restores what was before.
class OneBlasThread {
 public:
  OneBlasThread();
  ~OneBlasThread();
  OneBlasThread(const OneBlasThread&) = delete;
  OneBlasThread& operator=(const OneBlasThread&) = delete;

 private:
  int before_;
};

// C [m,n] = alpha op(A) op(B) + beta C; op(A) is [m,k], op(B) [k,n]; ld* = elements between rows.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc);

// B [m,n] := B op(L)^-1, L lower triangular [n,n]: with transpose, each row b' of B becomes the
// solution of L x = b; without, that of L' x = b.
void trsm_right(bool transpose, int64_t m, int64_t n, const double* l, int64_t ldl, double* b,
                int64_t ldb);

// B [m,n] := op(L)^-1 B, L lower triangular [m,m].
void trsm_left(bool transpose, int64_t m, int64_t n, const double* l, int64_t ldl, double* b,
               int64_t ldb);

// Lower half of A := its Cholesky factor; 0, or 1 + the row whose pivot is not positive. The upper
// half is not read.
int64_t potrf(int64_t n, double* a, int64_t lda);

// Lower half of a factor := lower half of the inverse of the matrix.
void potri(int64_t n, double* a, int64_t lda);

// In single precision.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
          const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
          int64_t ldc);
void trsm_left(bool transpose, int64_t m, int64_t n, const float* l, int64_t ldl, float* b,
               int64_t ldb);
int64_t potrf(int64_t n, float* a, int64_t lda);

double dot(int64_t n, const double* x, const double* y);
void axpy(int64_t n, double alpha, const double* x, double* y);

}  // namespace covary::linalg
