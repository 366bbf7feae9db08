// Cholesky factorisation that says what went wrong, in one buffer, and what follows from a factor.
//
//   Matrix k{buffer, n, n};                     // symmetric, both halves filled
//   const CholeskyReport report = cholesky(k);  // lower half: L; the strict upper half still is K
//   report.check("kernel matrix");              // throws when no step of the ladder helped
//   forward(k, y, 1);  backward(k, y, 1);       // y := K^-1 y
//   inverse(k);                                 // lower half: K^-1
//
// Matrices are symmetric, doubles, row by row, `stride` elements from row to row; right-hand sides
// are rows too ([count, n], contiguous), so that each is a stretch of memory.
// Factor and inverse are sums of packed products (packed_product.h) over tiles of fixed shape: the same
// bits at any number of threads. n^3 / 3 flops; the inverse 2 n^3 / 3 more.
// Source: right-looking blocked factorisation and inverse, Golub and Van Loan 2013; both parts of the
// inverse in one sweep, Bientinesi, Gunter and van de Geijn 2008; rank-one changes by plane and
// hyperbolic rotations, Gill, Golub, Murray and Saunders 1974.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace covary::linalg {

struct Matrix {
  double* data = nullptr;
  int64_t n = 0;       // rows and columns
  int64_t stride = 0;  // elements between rows, >= n
  double* row(int64_t i) const { return data + i * stride; }
};

// Added to the diagonal in turn until the factorisation succeeds, times the mean diagonal.
constexpr std::array<double, 5> kJitterLadder{0, 1e-10, 1e-8, 1e-6, 1e-4};

struct CholeskyReport {
  bool done = false;
  double jitter = 0;           // added to the diagonal
  double relative_jitter = 0;  // the step of the ladder
  double norm1 = 0;            // largest column sum of |K|, without the jitter
  int64_t failed_row = -1;     // of the first attempt: the row whose pivot was not positive,
  double pivot = 0;            // that pivot (NaN when the row holds one),
  int64_t partner = -1;        // and the earlier row most like it; -1 when there is none
  // Throws Error(kFailed) naming row, pivot and partner unless done.
  void check(const std::string& what) const;
};

// Factors in place. Reads the whole matrix; the strict upper half is kept, and restores the lower
// one between the steps of the ladder. When it is not done, the lower half is K again. A diagonal
// entry that is not finite or a mean diagonal that is not positive fails at once.
CholeskyReport cholesky(const Matrix& k);

// rows [count, n]: each row b becomes L^-1 b; backward: L^-T b.
void forward(const Matrix& factor, double* rows, int64_t count);
void backward(const Matrix& factor, double* rows, int64_t count);

double log_determinant(const Matrix& factor);  // of K = L L'

// Lower half: from L to K^-1. Needs about 500 n doubles of working memory.
void inverse(const Matrix& factor);

// Lower bound, usually within a factor of 3, of the condition number of K in the 1-norm: norm1 of
// K (CholeskyReport) times an estimate for K^-1 (Higham 1988), a few solves.
double condition_estimate(const Matrix& factor, double norm1);

// L L' + x x' and L L' - x x'; x [n] is overwritten. O(n^2). Downdate returns the row at which the
// difference stops being positive definite (the factor is spoilt then), or -1. With `work` [2n]
// nothing is allocated.
void rank_one_update(const Matrix& factor, double* x);
void rank_one_update(const Matrix& factor, double* x, double* work);
int64_t rank_one_downdate(const Matrix& factor, double* x);
int64_t rank_one_downdate(const Matrix& factor, double* x, double* work);

// The factor of a matrix with one more row: writes row n of a buffer that has room for it (stride
// >= n + 1) from k [n] = its entries against the old rows and `diagonal`. Returns the new pivot's
// square; when that is not positive nothing is written. O(n^2).
double append_row(const Matrix& factor, const double* k, double diagonal);

// The factor without row and column `row`, in the leading n - 1 rows of the same buffer; the upper
// half is not kept. O(n^2).
void delete_row(const Matrix& factor, int64_t row);

}  // namespace covary::linalg
