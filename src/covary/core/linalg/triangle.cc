#include "covary/core/linalg/triangle.h"

#include <algorithm>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

constexpr int64_t kBlock = 128, kWide = 512;  // rows and columns of an output block
constexpr int64_t kSmall = 32;                // inverted by substitution

int64_t blocks(int64_t n, int64_t size) { return (n + size - 1) / size; }

// body(row, rows, column, columns) for the blocks of an [n, m] output, `height` rows each.
template <class F>
void over_blocks(int64_t n, int64_t m, const F& body, int64_t height = kBlock) {
  const int64_t rows = blocks(n, height), columns = blocks(m, kWide);
  parallel_tasks(rows * columns, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t i = task / columns * height, j = task % columns * kWide;
    body(i, std::min(height, n - i), j, std::min(kWide, m - j));
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

template <class Real>
void invert(int64_t n, Real* l, int64_t ldl, Real* work) {
  if (n <= kSmall) {
    std::fill_n(work, n * n, Real(0));
    for (int64_t i = 0; i < n; ++i) work[i * n + i] = 1;
    trsm_left(false, n, n, l, ldl, work, n);
    for (int64_t i = 0; i < n; ++i) std::copy_n(work + i * n, n, l + i * ldl);
    return;
  }
  // [A 0; B C]^-1 = [A^-1 0; -C^-1 B A^-1, C^-1]
  const int64_t top = n / 2 / kSmall * kSmall > 0 ? n / 2 / kSmall * kSmall : n / 2,
                below = n - top;
  Real *b = l + top * ldl, *c = b + top;
  invert(top, l, ldl, work);
  invert(below, c, ldl, work);
  gemm(false, false, below, top, top, Real(1), b, ldl, l, ldl, Real(0), work, top);
  gemm(false, false, below, top, below, Real(-1), c, ldl, work, top, Real(0), b, ldl);
}

}  // namespace

template <class Real>
void invert_lower(int64_t n, Real* l, int64_t ldl) {
  for (int64_t i = 0; i < n; ++i) std::fill_n(l + i * ldl + i + 1, n - i - 1, Real(0));
  std::vector<Real> work(static_cast<size_t>(std::max(n * n / 2 + n, kSmall * kSmall)));
  const OneBlasThread one;
  if (n > 0) invert(n, l, ldl, work.data());
}

template <class Real>
void lower_times(bool transpose, int64_t n, int64_t m, const Real* l, int64_t ldl, const Real* x,
                 int64_t ldx, Real* y, int64_t ldy) {
  over_blocks(n, m, [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
    const int64_t first = transpose ? i : 0, last = transpose ? n : i + rows;
    gemm(transpose, false, rows, columns, last - first, Real(1),
         transpose ? l + first * ldl + i : l + i * ldl, ldl, x + first * ldx + j, ldx, Real(0),
         y + i * ldy + j, ldy);
  });
}

template <class Real>
void symmetric_product(int64_t n, int64_t k, const Real* a, int64_t lda, const Real* b, int64_t ldb,
                       Real* c, int64_t ldc) {
  over_blocks(n, n, [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
    const int64_t width = std::min(columns, i + rows - j);
    if (width <= 0) return;
    gemm(false, true, rows, width, k, Real(1), a + i * lda, lda, b + j * ldb, ldb, Real(0),
         c + i * ldc + j, ldc);
  });
  mirror(n, c, ldc);
}

template <class Real>
void lower_square(int64_t n, const Real* l, int64_t ldl, Real* c, int64_t ldc) {
  over_blocks(n, n, [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
    const int64_t width = std::min(columns, i + rows - j);
    if (width <= 0) return;
    gemm(true, false, rows, width, n - i, Real(1), l + i * ldl + i, ldl, l + i * ldl + j, ldl,
         Real(0), c + i * ldc + j, ldc);
  });
  mirror(n, c, ldc);
}

template <class Real>
void full_times(int64_t n, int64_t m, const Real* s, int64_t lds, const Real* x, int64_t ldx,
                Real* y, int64_t ldy) {
  over_blocks(
      n, m,
      [&](int64_t i, int64_t rows, int64_t j, int64_t columns) {
        gemm(false, false, rows, columns, n, Real(1), s + i * lds, lds, x + j, ldx, Real(0),
             y + i * ldy + j, ldy);
      },
      kWide);
}

#define COVARY_TRIANGLE(Real)                                                                   \
  template void invert_lower(int64_t, Real*, int64_t);                                          \
  template void lower_times(bool, int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, \
                            Real*, int64_t);                                                    \
  template void symmetric_product(int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, \
                                  Real*, int64_t);                                              \
  template void lower_square(int64_t, const Real*, int64_t, Real*, int64_t);                    \
  template void full_times(int64_t, int64_t, const Real*, int64_t, const Real*, int64_t, Real*, \
                           int64_t);
COVARY_TRIANGLE(float)
COVARY_TRIANGLE(double)
#undef COVARY_TRIANGLE

}  // namespace covary::linalg
