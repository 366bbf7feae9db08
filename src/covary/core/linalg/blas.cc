#include "covary/core/linalg/blas.h"

// Fortran interface: column by column, so that a matrix of ours is seen transposed: lower is 'U',
// left is 'R', and the operands of a product change places.
extern "C" {
void dgemm_(const char*, const char*, const int*, const int*, const int*, const double*,
            const double*, const int*, const double*, const int*, const double*, double*,
            const int*);
void dtrsm_(const char*, const char*, const char*, const char*, const int*, const int*,
            const double*, const double*, const int*, double*, const int*);
void dpotrf_(const char*, const int*, double*, const int*, int*);
void dpotri_(const char*, const int*, double*, const int*, int*);
void sgemm_(const char*, const char*, const int*, const int*, const int*, const float*,
            const float*, const int*, const float*, const int*, const float*, float*, const int*);
void spotrf_(const char*, const int*, float*, const int*, int*);
void strsm_(const char*, const char*, const char*, const char*, const int*, const int*,
            const float*, const float*, const int*, float*, const int*);
double ddot_(const int*, const double*, const int*, const double*, const int*);
void daxpy_(const int*, const double*, const double*, const int*, double*, const int*);
// Of MKL; another BLAS inside libtorch does without.
__attribute__((weak)) int MKL_Set_Num_Threads_Local(int);
}

namespace covary::linalg {
namespace {
int narrow(int64_t n) { return static_cast<int>(n); }
constexpr int kOne = 1;
}  // namespace

OneBlasThread::OneBlasThread()
    : before_(MKL_Set_Num_Threads_Local ? MKL_Set_Num_Threads_Local(1) : 0) {}
OneBlasThread::~OneBlasThread() {
  if (MKL_Set_Num_Threads_Local) MKL_Set_Num_Threads_Local(before_);
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha,
          const double* a, int64_t lda, const double* b, int64_t ldb, double beta, double* c,
          int64_t ldc) {
  if (m == 0 || n == 0) return;
  const int mm = narrow(m), nn = narrow(n), kk = narrow(k);
  const int la = narrow(lda), lb = narrow(ldb), lc = narrow(ldc);
  dgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &nn, &mm, &kk, &alpha, b, &lb, a, &la,
         &beta, c, &lc);
}

void trsm_right(bool transpose, int64_t m, int64_t n, const double* l, int64_t ldl, double* b,
                int64_t ldb) {
  if (m == 0 || n == 0) return;
  const int mm = narrow(m), nn = narrow(n), ll = narrow(ldl), lb = narrow(ldb);
  const double one = 1;
  dtrsm_("L", "U", transpose ? "T" : "N", "N", &nn, &mm, &one, l, &ll, b, &lb);
}

void trsm_left(bool transpose, int64_t m, int64_t n, const double* l, int64_t ldl, double* b,
               int64_t ldb) {
  if (m == 0 || n == 0) return;
  const int mm = narrow(m), nn = narrow(n), ll = narrow(ldl), lb = narrow(ldb);
  const double one = 1;
  dtrsm_("R", "U", transpose ? "T" : "N", "N", &nn, &mm, &one, l, &ll, b, &lb);
}

int64_t potrf(int64_t n, double* a, int64_t lda) {
  if (n == 0) return 0;
  const int nn = narrow(n), la = narrow(lda);
  int info = 0;
  dpotrf_("U", &nn, a, &la, &info);
  return info;
}

void potri(int64_t n, double* a, int64_t lda) {
  if (n == 0) return;
  const int nn = narrow(n), la = narrow(lda);
  int info = 0;
  dpotri_("U", &nn, a, &la, &info);
}

void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha,
          const float* a, int64_t lda, const float* b, int64_t ldb, float beta, float* c,
          int64_t ldc) {
  if (m == 0 || n == 0) return;
  const int mm = narrow(m), nn = narrow(n), kk = narrow(k);
  const int la = narrow(lda), lb = narrow(ldb), lc = narrow(ldc);
  sgemm_(transpose_b ? "T" : "N", transpose_a ? "T" : "N", &nn, &mm, &kk, &alpha, b, &lb, a, &la,
         &beta, c, &lc);
}

int64_t potrf(int64_t n, float* a, int64_t lda) {
  if (n == 0) return 0;
  const int nn = narrow(n), la = narrow(lda);
  int info = 0;
  spotrf_("U", &nn, a, &la, &info);
  return info;
}

void trsm_left(bool transpose, int64_t m, int64_t n, const float* l, int64_t ldl, float* b,
               int64_t ldb) {
  if (m == 0 || n == 0) return;
  const int mm = narrow(m), nn = narrow(n), ll = narrow(ldl), lb = narrow(ldb);
  const float one = 1;
  strsm_("R", "U", transpose ? "T" : "N", "N", &nn, &mm, &one, l, &ll, b, &lb);
}

double dot(int64_t n, const double* x, const double* y) {
  const int nn = narrow(n);
  return ddot_(&nn, x, &kOne, y, &kOne);
}

void axpy(int64_t n, double alpha, const double* x, double* y) {
  const int nn = narrow(n);
  daxpy_(&nn, &alpha, x, &kOne, y, &kOne);
}

}  // namespace covary::linalg
