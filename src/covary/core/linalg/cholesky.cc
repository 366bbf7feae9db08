#include "covary/core/linalg/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/solve_kernel.h"

namespace covary::linalg {
namespace {

// A panel is a tile of columns, a strip a tile of rows: the unit of a task. Products are widest where
// the BLAS is fastest (panels of 384 columns where there are many), and triangles are cut into kFine
// rows, so that little is multiplied by their zeros.
constexpr int64_t kStrip = 192;
constexpr int64_t kFine = 96;
constexpr int64_t kWide = 1500;      // from this size on, panels are two strips wide
constexpr int64_t kRows = 64;        // right-hand sides a task
constexpr int64_t kAlone = 1 << 17;  // elements that are read before a second thread has woken up

int64_t panel_width(int64_t n) { return n < kWide ? kStrip : 2 * kStrip; }
int64_t tiles(int64_t n, int64_t size) { return (n + size - 1) / size; }

void copy_lower(const double* from, int64_t from_stride, double* to, int64_t to_stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(from + i * from_stride, i + 1, to + i * to_stride);
  }
}

// The plain algorithm on a small block, for the row and the pivot where a fast one gave up.
int64_t first_bad_row(double* a, int64_t stride, int64_t n, double* pivot) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double s = a[i * stride + j];
      for (int64_t k = 0; k < j; ++k) s -= a[i * stride + k] * a[j * stride + k];
      if (j < i) {
        a[i * stride + j] = s / a[j * stride + j];
      } else if (!(s > 0) || !std::isfinite(s)) {
        *pivot = s;
        return i;
      } else {
        a[i * stride + i] = std::sqrt(s);
      }
    }
  }
  return -1;
}

// C -= A A' for the lower half, A of m rows and k columns.
void subtract_square(int64_t m, int64_t k, const double* a, int64_t a_stride, double* c,
                     int64_t c_stride) {
  for (int64_t r = 0; r < m; r += kFine) {
    const int64_t rows = std::min(kFine, m - r);
    gemm(false, true, rows, r + rows, k, -1, a + r * a_stride, a_stride, a, a_stride, 1,
         c + r * c_stride, c_stride);
  }
}

// The diagonal tile of a panel in pieces of kStrip columns, packed for the solves.
void pack_panel(int64_t n, const double* l, int64_t stride, std::vector<PackedTriangle>* pieces) {
  pieces->resize(static_cast<size_t>(tiles(n, kStrip)));
  for (int64_t c = 0; c < n; c += kStrip) {
    (*pieces)[static_cast<size_t>(c / kStrip)].pack(std::min(kStrip, n - c), l + c * stride + c,
                                                    stride);
  }
}

// B L^-T in place of the m rows of B.
void solve_panel(const std::vector<PackedTriangle>& pieces, const double* l, int64_t l_stride,
                 int64_t m, double* b, int64_t b_stride) {
  int64_t c = 0;
  for (const PackedTriangle& piece : pieces) {
    if (c > 0) {
      gemm(false, true, m, piece.n, c, -1, b, b_stride, l + c * l_stride, l_stride, 1, b + c,
           b_stride);
    }
    solve_packed(piece, m, b + c, b_stride);
    c += piece.n;
  }
}

// One attempt; -1, or the row that failed with its pivot. Step by step, the strips below a diagonal
// tile get its columns (product with all columns before, then a triangular solve), and meanwhile
// the next diagonal tile takes in all columns before this one's.
int64_t attempt(const Matrix& a, double* pivot) {
  const int64_t n = a.n, wide = std::min(panel_width(n), n);
  std::vector<double> diagonal(static_cast<size_t>(wide * wide)), next(diagonal.size()),
      kept(diagonal.size());
  std::vector<PackedTriangle> pieces;
  copy_lower(a.data, a.stride, diagonal.data(), wide, wide);
  for (int64_t p = 0; p < n; p += wide) {
    const int64_t size = std::min(wide, n - p), below = p + size;
    {
      const OneBlasThread one;
      if (p > 0) subtract_square(size, wide, a.row(p) + p - wide, a.stride, diagonal.data(), wide);
      copy_lower(diagonal.data(), wide, kept.data(), wide, size);
      int64_t bad = potrf(size, diagonal.data(), wide) - 1;
      for (int64_t i = 0; i < size && bad < 0; ++i) {
        if (!std::isfinite(diagonal[static_cast<size_t>(i * wide + i)])) bad = i;
      }
      if (bad >= 0) {
        *pivot = kept[static_cast<size_t>(bad * wide + bad)];
        const int64_t row = first_bad_row(kept.data(), wide, size, pivot);
        return p + (row >= 0 ? row : bad);
      }
    }
    copy_lower(diagonal.data(), wide, a.row(p) + p, a.stride, size);
    if (below == n) break;
    pack_panel(size, diagonal.data(), wide, &pieces);
    parallel_tasks(1 + tiles(n - below, kStrip), [&](int64_t task) {
      const OneBlasThread one;
      if (task == 0) {  // the diagonal tile after this, but for its last product
        const int64_t m = std::min(wide, n - below);
        copy_lower(a.row(below) + below, a.stride, next.data(), wide, m);
        if (p > 0) subtract_square(m, p, a.row(below), a.stride, next.data(), wide);
        return;
      }
      const int64_t i = below + (task - 1) * kStrip, m = std::min(kStrip, n - i);
      gemm(false, true, m, size, p, -1, a.row(i), a.stride, a.row(p), a.stride, 1, a.row(i) + p,
           a.stride);
      solve_panel(pieces, diagonal.data(), wide, m, a.row(i) + p, a.stride);
    });
    diagonal.swap(next);
  }
  return -1;
}

void restore(const Matrix& a, const std::vector<double>& diagonal, double jitter) {
  parallel_for(a.n, kAlone / std::max<int64_t>(a.n, 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < i; ++j) a.row(i)[j] = a.row(j)[i];
      a.row(i)[i] = diagonal[static_cast<size_t>(i)] + jitter;
    }
  });
}

double column_sum_norm(const Matrix& a) {
  std::vector<double> sums(static_cast<size_t>(a.n));
  parallel_for(a.n, kAlone / std::max<int64_t>(a.n, 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double s = 0;
      for (int64_t j = 0; j < a.n; ++j) s += std::abs(a.row(i)[j]);
      sums[static_cast<size_t>(i)] = s;
    }
  });
  return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
}

// The earlier row with the largest correlation to `row`.
int64_t most_alike(const Matrix& a, const std::vector<double>& diagonal, int64_t row) {
  int64_t best = -1;
  double highest = 0;
  for (int64_t j = 0; j < row; ++j) {
    const double scale =
        std::sqrt(diagonal[static_cast<size_t>(j)] * std::abs(diagonal[static_cast<size_t>(row)]));
    const double alike = std::abs(a.row(j)[row]) / scale;
    if (alike > highest) {
      highest = alike;
      best = j;
    }
  }
  return best;
}

std::string number(double x) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3g", x);
  return text;
}

// The inverse of a small lower triangle, zeros above it, by halves: below the diagonal
// -D^-1 B A^-1. `room` holds n^2 / 4 elements.
void invert_small(int64_t n, const double* l, int64_t l_stride, double* out, int64_t stride,
                  double* room) {
  if (n <= kFine) {
    for (int64_t i = 0; i < n; ++i) {
      std::fill_n(out + i * stride, n, 0.0);
      out[i * stride + i] = 1;
    }
    trsm_left(false, n, n, l, l_stride, out, stride);
    return;
  }
  const int64_t top = kFine * ((n / kFine + 1) / 2), rest = n - top;
  const double* corner = l + top * l_stride;
  double* lower = out + top * stride;
  invert_small(top, l, l_stride, out, stride, room);
  invert_small(rest, corner + top, l_stride, lower + top, stride, room);
  for (int64_t i = 0; i < top; ++i) std::fill_n(out + i * stride + top, rest, 0.0);
  gemm(false, false, rest, top, top, -1, corner, l_stride, out, stride, 0, room, top);
  gemm(false, false, rest, top, rest, 1, lower + top, stride, room, top, 0, lower, stride);
}

// L^-1 in place of L, lower half. From the last panel of columns to the first: below its diagonal
// tile D the part P becomes -T P D^-1, with T = the inverse of what lies to the right of P, already
// in place.
void invert_triangle(const Matrix& a) {
  const int64_t n = a.n, wide = panel_width(n);
  std::vector<double> panel(static_cast<size_t>(n * wide));
  std::vector<double> diagonal(static_cast<size_t>(wide * wide)), room(diagonal.size());
  // Dense copies of the diagonal strips of T, zero above: products with them are plain ones.
  std::vector<double> corners(static_cast<size_t>(tiles(n, kStrip) * kStrip * kStrip));
  for (int64_t p = (tiles(n, wide) - 1) * wide; p >= 0; p -= wide) {
    const int64_t size = std::min(wide, n - p), below = p + size;
    {
      const OneBlasThread one;
      invert_small(size, a.row(p) + p, a.stride, diagonal.data(), wide, room.data());
    }
    const int64_t strips = tiles(n - below, kStrip);
    parallel_tasks(strips, [&](int64_t task) {  // -P D^-1, aside
      const OneBlasThread one;
      const int64_t i = below + task * kStrip, m = std::min(kStrip, n - i);
      for (int64_t c = 0; c < size; c += kFine) {
        gemm(false, false, m, std::min(kFine, size - c), size - c, -1, a.row(i) + p + c, a.stride,
             diagonal.data() + c * wide + c, wide, 0, panel.data() + i * wide + c, wide);
      }
    });
    parallel_tasks(strips, [&](int64_t task) {  // the longest rows first
      const OneBlasThread one;
      const int64_t i = below + (strips - 1 - task) * kStrip, m = std::min(kStrip, n - i);
      const double* corner = corners.data() + i * kStrip;
      for (int64_t r = 0; r < m; r += kFine) {
        const int64_t rows = std::min(kFine, m - r);
        gemm(false, false, rows, size, r + rows, 1, corner + r * kStrip, kStrip,
             panel.data() + i * wide, wide, 0, a.row(i + r) + p, a.stride);
      }
      gemm(false, false, m, size, i - below, 1, a.row(i) + below, a.stride,
           panel.data() + below * wide, wide, 1, a.row(i) + p, a.stride);
    });
    copy_lower(diagonal.data(), wide, a.row(p) + p, a.stride, size);
    for (int64_t i = p; i < below; ++i) {
      const int64_t first = i - i % kStrip;
      std::copy_n(diagonal.data() + (i - p) * wide + first - p, std::min(kStrip, n - first),
                  corners.data() + i * kStrip);
    }
  }
}

// W' W in place of W, lower half: the rows p and on of the product need the rows p and below of W
// alone.
void multiply_triangle(const Matrix& a) {
  const int64_t n = a.n, wide = panel_width(n);
  std::vector<double> corner(static_cast<size_t>(wide * wide)), square(corner.size());
  std::vector<double> row(static_cast<size_t>(tiles(n, kStrip) * kStrip * wide));
  for (int64_t p = 0; p < n; p += wide) {
    const int64_t size = std::min(wide, n - p), below = p + size, rest = n - below;
    std::fill(corner.begin(), corner.end(), 0.0);
    copy_lower(a.row(p) + p, a.stride, corner.data(), wide, size);
    parallel_tasks(1 + tiles(p, kStrip), [&](int64_t task) {
      const OneBlasThread one;
      if (task == 0) {
        for (int64_t r = 0; r < size; r += kFine) {
          const int64_t rows = std::min(kFine, size - r);
          double* out = square.data() + r * wide;
          gemm(true, false, rows, r + rows, size - r, 1, corner.data() + r * wide + r, wide,
               corner.data() + r * wide, wide, 0, out, wide);
          if (rest > 0) {
            gemm(true, false, rows, r + rows, rest, 1, a.row(below) + p + r, a.stride,
                 a.row(below) + p, a.stride, 1, out, wide);
          }
        }
        return;
      }
      const int64_t j = (task - 1) * kStrip, width = std::min(kStrip, p - j);
      double* out = row.data() + j * wide;
      for (int64_t r = 0; r < size; r += kFine) {
        gemm(true, false, std::min(kFine, size - r), width, size - r, 1,
             corner.data() + r * wide + r, wide, a.row(p + r) + j, a.stride, 0, out + r * kStrip,
             kStrip);
      }
      if (rest > 0) {
        gemm(true, false, size, width, rest, 1, a.row(below) + p, a.stride, a.row(below) + j,
             a.stride, 1, out, kStrip);
      }
      for (int64_t i = 0; i < size; ++i) std::copy_n(out + i * kStrip, width, a.row(p + i) + j);
    });
    copy_lower(square.data(), wide, a.row(p) + p, a.stride, size);
  }
}

}  // namespace

void CholeskyReport::check(const std::string& what) const {
  if (done) return;
  if (failed_row < 0) throw Error(ExitCode::kFailed, "its diagonal is not positive", what);
  std::string text = "is not positive definite, even with " + number(kJitterLadder.back()) +
                     " of its mean diagonal added: pivot " + number(pivot) + " at row " +
                     std::to_string(failed_row);
  if (partner >= 0) text += ", which is most like row " + std::to_string(partner);
  throw Error(ExitCode::kFailed, text, what, "add noise, or drop one of the two rows");
}

CholeskyReport cholesky(const Matrix& k) {
  CholeskyReport report;
  std::vector<double> diagonal(static_cast<size_t>(k.n));
  double mean = 0;
  for (int64_t i = 0; i < k.n; ++i) {
    diagonal[static_cast<size_t>(i)] = k.row(i)[i];
    mean += k.row(i)[i] / static_cast<double>(k.n);
  }
  if (k.n == 0) {
    report.done = true;
    return report;
  }
  if (!(mean > 0) || !std::isfinite(mean)) return report;
  report.norm1 = column_sum_norm(k);
  for (const double step : kJitterLadder) {
    if (step > 0) restore(k, diagonal, step * mean);
    double pivot = 0;
    const int64_t row = attempt(k, &pivot);
    if (row < 0) {
      report.done = true;
      report.relative_jitter = step;
      report.jitter = step * mean;
      return report;
    }
    if (step == 0) {
      report.failed_row = row;
      report.pivot = pivot;
      report.partner = most_alike(k, diagonal, row);
    }
  }
  restore(k, diagonal, 0);
  return report;
}

void forward(const Matrix& factor, double* rows, int64_t count) {
  const int64_t n = factor.n;
  if (count <= 2) {  // row by row: a triangular solve with one right-hand side is bound by memory
    const OneBlasThread one;
    for (int64_t c = 0; c < count; ++c) {
      double* b = rows + c * n;
      for (int64_t i = 0; i < n; ++i) b[i] = (b[i] - dot(i, factor.row(i), b)) / factor.row(i)[i];
    }
    return;
  }
  parallel_tasks((count + kRows - 1) / kRows, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kRows;
    trsm_right(true, std::min(kRows, count - begin), n, factor.data, factor.stride,
               rows + begin * n, n);
  });
}

void backward(const Matrix& factor, double* rows, int64_t count) {
  const int64_t n = factor.n;
  if (count <= 2) {
    const OneBlasThread one;
    for (int64_t c = 0; c < count; ++c) {
      double* b = rows + c * n;
      for (int64_t i = n - 1; i >= 0; --i) {
        b[i] /= factor.row(i)[i];
        axpy(i, -b[i], factor.row(i), b);
      }
    }
    return;
  }
  parallel_tasks((count + kRows - 1) / kRows, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kRows;
    trsm_right(false, std::min(kRows, count - begin), n, factor.data, factor.stride,
               rows + begin * n, n);
  });
}

double log_determinant(const Matrix& factor) {
  double sum = 0;
  for (int64_t i = 0; i < factor.n; ++i) sum += std::log(factor.row(i)[i]);
  return 2 * sum;
}

void inverse(const Matrix& factor) {
  invert_triangle(factor);
  multiply_triangle(factor);
}

double condition_estimate(const Matrix& factor, double norm1) {
  const int64_t n = factor.n;
  if (n == 0) return 1;
  std::vector<double> x(static_cast<size_t>(n), 1 / static_cast<double>(n)), sign(x.size());
  const auto solve = [&](std::vector<double>& b) {
    forward(factor, b.data(), 1);
    backward(factor, b.data(), 1);
  };
  double estimate = 0;
  size_t peak = x.size();
  for (int round = 0; round < 5; ++round) {
    solve(x);
    double norm = 0;
    for (const double v : x) norm += std::abs(v);
    if (norm <= estimate) break;
    estimate = norm;
    for (size_t i = 0; i < x.size(); ++i) sign[i] = x[i] < 0 ? -1 : 1;
    solve(sign);
    size_t best = 0;
    for (size_t i = 1; i < sign.size(); ++i) {
      if (std::abs(sign[i]) > std::abs(sign[best])) best = i;
    }
    if (best == peak) break;
    peak = best;
    std::fill(x.begin(), x.end(), 0.0);
    x[best] = 1;
  }
  return norm1 * estimate;
}

void rank_one_update(const Matrix& factor, double* x) {
  std::vector<double> work(static_cast<size_t>(2 * factor.n));
  rank_one_update(factor, x, work.data());
}

void rank_one_update(const Matrix& factor, double* x, double* work) {
  // Column k of L and x are rotated so that x[k] vanishes. Row by row the rotations of all columns
  // before are applied in turn, which walks along the rows as they lie in memory.
  const int64_t n = factor.n;
  double *c = work, *s = work + n;
  for (int64_t i = 0; i < n; ++i) {
    double* row = factor.row(i);
    double rest = x[i];
    for (int64_t k = 0; k < i; ++k) {
      const double l = row[k];
      row[k] = c[k] * l + s[k] * rest;
      rest = c[k] * rest - s[k] * l;
    }
    const double pivot = std::hypot(row[i], rest);
    c[i] = row[i] / pivot;
    s[i] = rest / pivot;
    row[i] = pivot;
    x[i] = rest;
  }
}

int64_t rank_one_downdate(const Matrix& factor, double* x) {
  std::vector<double> work(static_cast<size_t>(2 * factor.n));
  return rank_one_downdate(factor, x, work.data());
}

int64_t rank_one_downdate(const Matrix& factor, double* x, double* work) {
  const int64_t n = factor.n;
  double *c = work, *s = work + n;
  for (int64_t i = 0; i < n; ++i) {
    double* row = factor.row(i);
    double rest = x[i];
    for (int64_t k = 0; k < i; ++k) {
      row[k] = (row[k] - s[k] * rest) / c[k];
      rest = c[k] * rest - s[k] * row[k];
    }
    const double square = (row[i] - rest) * (row[i] + rest);
    if (!(square > 0)) return i;
    const double pivot = std::sqrt(square);
    c[i] = pivot / row[i];
    s[i] = rest / row[i];
    row[i] = pivot;
    x[i] = rest;
  }
  return -1;
}

double append_row(const Matrix& factor, const double* k, double diagonal) {
  const int64_t n = factor.n;
  std::vector<double> row(k, k + n);
  forward(factor, row.data(), 1);
  double square = diagonal;
  for (const double v : row) square -= v * v;
  if (!(square > 0)) return square;
  std::copy(row.begin(), row.end(), factor.row(n));
  factor.row(n)[n] = std::sqrt(square);
  return square;
}

void delete_row(const Matrix& factor, int64_t row) {
  const int64_t n = factor.n, below = n - row - 1;
  std::vector<double> column(static_cast<size_t>(below));
  for (int64_t i = 0; i < below; ++i) {
    double* from = factor.row(row + 1 + i);
    column[static_cast<size_t>(i)] = from[row];
    double* to = factor.row(row + i);
    std::copy_n(from, row, to);
    std::copy_n(from + row + 1, i + 1, to + row);
  }
  rank_one_update({factor.row(row) + row, below, factor.stride}, column.data());
}

}  // namespace covary::linalg
