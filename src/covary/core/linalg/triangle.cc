#include "covary/core/linalg/triangle.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/packed_product.h"

namespace covary::linalg {
namespace {

// Rows and columns of a part of a product: multiples of the steps of packed operands.
constexpr int64_t kHeight = 96, kWide = 512;
constexpr int64_t kSmall = 32;  // inverted by substitution
static_assert(kHeight % kLeftStep == 0 && kHeight % kRightStep == 0 && kWide % kRightStep == 0);

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// Both operands, as they lie in memory: entry (i, k) at data[i * by_row + k * by_depth].
template <class Real>
struct Factor {
  const Real* data;
  int64_t by_row, by_depth;
};

// C [n, m] = A B', A [n, k] with zeros where `depths` says, B [m, k]; lower: n = m, the entries under
// the diagonal and on it alone.
template <class Real>
void multiply(int64_t n, int64_t m, int64_t k, const Factor<Real>& a, Depths depths,
              const Factor<Real>& b, bool lower, Real* c, int64_t ldc) {
  if (n == 0 || m == 0) return;
  if (k == 0) {
    for (int64_t i = 0; i < n; ++i) std::fill_n(c + i * ldc, m, Real(0));
    return;
  }
  // The caller's memory from product to product: to take it anew costs pages.
  static thread_local PackedOperand<Real> kept_left(Side::kLeft), kept_right(Side::kRight);
  PackedOperand<Real>&left = kept_left, &right = kept_right;
  left.resize(n, k);
  right.resize(m, k);
  const int64_t rows = blocks(n, kHeight), columns = blocks(m, kWide);
  parallel_tasks(rows + columns, [&](int64_t task) {
    if (task < rows) {
      const int64_t i = task * kHeight, height = std::min(kHeight, n - i),
                    begin = depths == Depths::kFromRow ? i : 0,
                    end = depths == Depths::kUpToRow ? std::min(k, i + height) : k;
      left.pack(i, height, begin, end - begin, a.data + i * a.by_row + begin * a.by_depth, a.by_row,
                a.by_depth);
    } else {
      const int64_t j = (task - rows) * kWide;
      right.pack(j, std::min(kWide, m - j), 0, k, b.data + j * b.by_row, b.by_row, b.by_depth);
    }
  });
  parallel_tasks(rows * columns, [&](int64_t task) {
    const int64_t i = task / columns * kHeight, j = task % columns * kWide,
                  height = std::min(kHeight, n - i), last = lower ? std::min(m, i + height) : m,
                  width = std::min(kWide, last - j);
    if (width > 0)
      linalg::multiply(left, right, {i, height, j, width}, {.lower = lower, .depths = depths}, c,
                       ldc);
  });
}

template <class Real>
void mirror(int64_t n, Real* c, int64_t ldc) {
  for (int64_t i = 0; i < n; i += kSmall) {  // by squares: half of the accesses cross the rows
    const int64_t last = std::min(n, i + kSmall);
    for (int64_t j = 0; j <= i; j += kSmall) {
      for (int64_t r = i; r < last; ++r) {
        for (int64_t k = j; k < std::min(j + kSmall, r); ++k) c[k * ldc + r] = c[r * ldc + k];
      }
    }
  }
}

// The factor by the BLAS and its inverse by substitution.
template <class Real>
bool factor_small(int64_t n, Real* a, int64_t lda, Real* t, int64_t ldt) {
  if (potrf(n, a, lda) != 0) return false;
  for (int64_t i = 0; i < n; ++i) {
    if (!std::isfinite(a[i * lda + i])) return false;
    std::fill_n(t + i * ldt, n, Real(0));
    t[i * ldt + i] = 1;
  }
  trsm_left(false, n, n, a, lda, t, ldt);
  return true;
}

// [A .; B C] = [L 0; M N] [L 0; M N]': M = B L^-T, N N' = C - M M', and the inverse has the corner
// -N^-1 M L^-1. work: a quarter of the matrix.
template <class Real>
bool factor(int64_t n, Real* a, int64_t lda, Real* t, int64_t ldt, Real* work) {
  if (n <= kSmall) return factor_small(n, a, lda, t, ldt);
  const int64_t top = n / 2 / kSmall * kSmall > 0 ? n / 2 / kSmall * kSmall : n / 2,
                below = n - top;
  Real *b = a + top * lda, *c = b + top, *u = t + top * ldt, *v = u + top;
  if (!factor(top, a, lda, t, ldt, work)) return false;
  // Of products with a triangle, and of a symmetric one, three quarters are formed.
  const int64_t half = top >= 2 * kSmall ? top / 2 : 0, rest = top - half;
  const int64_t cut = below >= 2 * kSmall ? below / 2 : 0, left = below - cut;
  gemm(false, true, below, half, half, Real(1), b, lda, t, ldt, Real(0), work, top);
  gemm(false, true, below, rest, top, Real(1), b, lda, t + half * ldt, ldt, Real(0), work + half,
       top);
  for (int64_t i = 0; i < below; ++i) std::copy_n(work + i * top, top, b + i * lda);
  gemm(false, true, cut, cut, top, Real(-1), b, lda, b, lda, Real(1), c, lda);
  gemm(false, true, left, below, top, Real(-1), b + cut * lda, lda, b, lda, Real(1), c + cut * lda,
       lda);
  if (!factor(below, c, lda, v, ldt, work)) return false;
  gemm(false, false, below, half, top, Real(1), b, lda, t, ldt, Real(0), work, top);
  gemm(false, false, below, rest, rest, Real(1), b + half, lda, t + half * ldt + half, ldt, Real(0),
       work + half, top);
  gemm(false, false, cut, top, cut, Real(-1), v, ldt, work, top, Real(0), u, ldt);
  gemm(false, false, left, top, below, Real(-1), v + cut * ldt, ldt, work, top, Real(0),
       u + cut * ldt, ldt);
  for (int64_t i = 0; i < top; ++i) std::fill_n(t + i * ldt + top, below, Real(0));
  return true;
}

}  // namespace

template <class Real>
bool factor_and_invert(int64_t n, Real* a, int64_t lda, Real* inverse, int64_t ldi) {
  std::vector<Real> work(static_cast<size_t>((n / 2 + kSmall) * (n / 2 + kSmall)));
  const OneBlasThread one;
  return n == 0 || factor(n, a, lda, inverse, ldi, work.data());
}

template <class Real>
void lower_times(bool transpose, int64_t n, int64_t m, const Real* l, int64_t ldl, const Real* x,
                 int64_t ldx, Real* y, int64_t ldy) {
  const Factor<Real> left = transpose ? Factor<Real>{l, 1, ldl} : Factor<Real>{l, ldl, 1};
  multiply(n, m, n, left, transpose ? Depths::kFromRow : Depths::kUpToRow, {x, 1, ldx}, false, y,
           ldy);
}

template <class Real>
void symmetric_product(int64_t n, int64_t k, const Real* a, int64_t lda, const Real* b, int64_t ldb,
                       Real* c, int64_t ldc) {
  multiply<Real>(n, n, k, {a, lda, 1}, Depths::kAll, {b, ldb, 1}, true, c, ldc);
  mirror(n, c, ldc);
}

template <class Real>
void lower_square(int64_t n, const Real* l, int64_t ldl, Real* c, int64_t ldc) {
  multiply<Real>(n, n, n, {l, 1, ldl}, Depths::kFromRow, {l, 1, ldl}, true, c, ldc);
  mirror(n, c, ldc);
}

template <class Real>
void lower_congruence(int64_t n, const Real* l, int64_t ldl, const Real* h, int64_t ldh, Real* work,
                      Real* c, int64_t ldc) {
  lower_times(true, n, n, l, ldl, h, ldh, work, n);
  multiply<Real>(n, n, n, {l, 1, ldl}, Depths::kFromRow, {work, n, 1}, true, c, ldc);
  mirror(n, c, ldc);
}

template <class Real>
void full_times(int64_t n, int64_t m, const Real* s, int64_t lds, const Real* x, int64_t ldx,
                Real* y, int64_t ldy) {
  multiply<Real>(n, m, n, {s, lds, 1}, Depths::kAll, {x, 1, ldx}, false, y, ldy);
}

// NOLINTBEGIN(bugprone-macro-parentheses): a type
#define COVARY_TRIANGLE(Real)                                                                   \
  template bool factor_and_invert(int64_t, Real*, int64_t, Real*, int64_t);                     \
  template void lower_times(bool, int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, \
                            Real*, int64_t);                                                    \
  template void symmetric_product(int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, \
                                  Real*, int64_t);                                              \
  template void lower_square(int64_t, const Real*, int64_t, Real*, int64_t);                    \
  template void lower_congruence(int64_t, const Real*, int64_t, const Real*, int64_t, Real*,    \
                                 Real*, int64_t);                                               \
  template void full_times(int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, Real*, \
                           int64_t);
// NOLINTEND(bugprone-macro-parentheses)
COVARY_TRIANGLE(float)
COVARY_TRIANGLE(double)
#undef COVARY_TRIANGLE

}  // namespace covary::linalg
