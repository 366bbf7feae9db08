#include "covary/core/linalg/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/packed_product.h"
#include "covary/core/linalg/solve_kernel.h"

namespace covary::linalg {
namespace {

// A panel is a tile of columns, a strip a tile of rows: the unit of a task.
constexpr int64_t kStrip = 192;
constexpr int64_t kPiece = 64;    // columns of a panel that are solved by substitution at a time
constexpr int64_t kFine = 96;     // rows of a triangle that are inverted by substitution
constexpr int64_t kRows = 64;     // right-hand sides a task
constexpr int64_t kBatch = 1536;  // right-hand sides that are packed at a time
constexpr int64_t kSolved = 96;   // columns that are solved by substitution at a time, of many rows
constexpr int64_t kAlone = 1 << 17;  // elements that are read before a second thread has woken up

static_assert(kStrip % kLeftStep == 0 && kStrip % kRightStep == 0 && kPiece % kRightStep == 0 &&
              kSolved % kRightStep == 0);

// The wider a panel, the less often the rest is read; the narrower, the less is done tile by tile.
int64_t panel_width(int64_t n) { return n < 600 ? 96 : n < 1500 ? 144 : 240; }
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

// One attempt; -1, or the row that failed with its pivot. Panel by panel: the strips below a diagonal
// tile are solved against it, and what is right of them takes in their product, the next diagonal
// tile first, which is factored meanwhile.
int64_t attempt(const Matrix& a, double* pivot) {
  const int64_t n = a.n, wide = std::min(panel_width(n), n);
  std::vector<double> diagonal(static_cast<size_t>(wide * wide));
  std::vector<PackedTriangle> pieces(static_cast<size_t>(tiles(wide, kPiece)));
  PackedOperand<double> left(Side::kLeft), right(Side::kRight), corner(Side::kRight);
  int64_t bad = -1;  // row of the diagonal tile
  const auto factor = [&](int64_t p, int64_t size) {
    const OneBlasThread one;
    copy_lower(a.row(p) + p, a.stride, diagonal.data(), wide, size);
    bad = potrf(size, diagonal.data(), wide) - 1;
    for (int64_t i = 0; i < size && bad < 0; ++i) {
      if (!std::isfinite(diagonal[static_cast<size_t>(i * wide + i)])) bad = i;
    }
  };
  factor(0, wide);
  for (int64_t p = 0; p < n; p += wide) {
    const int64_t size = std::min(wide, n - p), below = p + size, rest = n - below;
    if (bad >= 0) {
      copy_lower(a.row(p) + p, a.stride, diagonal.data(), wide, size);
      *pivot = diagonal[static_cast<size_t>(bad * wide + bad)];
      const int64_t row = first_bad_row(diagonal.data(), wide, size, pivot);
      return p + (row >= 0 ? row : bad);
    }
    copy_lower(diagonal.data(), wide, a.row(p) + p, a.stride, size);
    if (rest == 0) break;
    for (int64_t c = 0; c < size; c += kPiece) {
      pieces[static_cast<size_t>(c / kPiece)].pack(std::min(kPiece, size - c),
                                                   diagonal.data() + c * wide + c, wide);
    }
    corner.resize(size, size);
    corner.pack(0, size, 0, size, diagonal.data(), wide, 1);
    left.resize(rest, size);
    right.resize(rest, size);
    parallel_tasks(tiles(rest, kStrip), [&](int64_t task) {
      const int64_t i = task * kStrip, m = std::min(kStrip, rest - i);
      double* b = a.row(below + i) + p;
      for (int64_t c = 0; c < size; c += kPiece) {
        const int64_t width = std::min(kPiece, size - c);
        if (c > 0) {
          multiply(left, corner, {i, m, c, width}, {.alpha = -1, .add = true, .end = c},
                   a.row(below) + p, a.stride);
        }
        solve_packed(pieces[static_cast<size_t>(c / kPiece)], m, b + c, a.stride);
        left.pack(i, m, c, width, b + c, a.stride, 1);
      }
      right.pack(i, m, 0, size, b, a.stride, 1);
    });
    const int64_t next = std::min(wide, rest), strips = tiles(rest - next, kStrip);
    parallel_tasks(1 + strips, [&](int64_t task) {  // then the longest rows first
      const int64_t i = task == 0 ? 0 : next + (strips - task) * kStrip,
                    m = task == 0 ? next : std::min(kStrip, rest - i);
      multiply(left, right, {i, m, 0, i + m}, {.alpha = -1, .add = true, .lower = true},
               a.row(below) + below, a.stride);
      if (task == 0) factor(below, next);
    });
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

// From L to L^-T L^-1 in place, lower half, in one sweep over the panels. Before a panel with the
// diagonal tile D, what lies left of it is W' W of the rows above, W = L^-1, and, in the rows from
// the panel on, minus the product of L there and that W. With R = that part of the panel's rows, P the
// part of L below D: W is [D^-1 R, D^-1] in the panel's rows, W' W takes in its square, the rows below
// lose P D^-1 R and the columns below D become -P D^-1.
void invert_factor(const Matrix& a) {
  const int64_t n = a.n, wide = std::min(panel_width(n), n);
  std::vector<double> diagonal(static_cast<size_t>(wide * wide)), room(diagonal.size());
  using Operand = PackedOperand<double>;
  Operand lower(Side::kLeft), upper(Side::kLeft),
      columns(Side::kRight);                                            // D^-1, its transpose, D^-1
  Operand above(Side::kLeft), panel(Side::kRight), below(Side::kLeft);  // W', W, P
  const auto invert = [&](int64_t p, int64_t size) {
    const OneBlasThread one;
    invert_small(size, a.row(p) + p, a.stride, diagonal.data(), wide, room.data());
  };
  if (n > 0) invert(0, wide);
  for (int64_t p = 0; p < n; p += wide) {
    const int64_t size = std::min(wide, n - p), end = p + size, rest = n - end;
    lower.resize(size, size);
    lower.pack(0, size, 0, size, diagonal.data(), wide, 1);
    upper.resize(size, size);
    upper.pack(0, size, 0, size, diagonal.data(), 1, wide);
    columns.resize(size, size);
    columns.pack(0, size, 0, size, diagonal.data(), 1, wide);
    above.resize(p, size);
    panel.resize(p, size);
    below.resize(rest, size);
    const int64_t left = tiles(p, kStrip), down = tiles(rest, kStrip);
    parallel_tasks(left + down + 1, [&](int64_t task) {
      if (task == left + down) {
        multiply(upper, columns, {0, size, 0, size}, {.lower = true, .depths = Depths::kFromRow},
                 a.row(p) + p, a.stride);
      } else if (task < left) {
        const int64_t j = task * kStrip, width = std::min(kStrip, p - j);
        double* r = a.row(p) + j;
        panel.pack(j, width, 0, size, r, 1, a.stride);
        multiply(lower, panel, {0, size, j, width}, {.depths = Depths::kUpToRow}, a.row(p),
                 a.stride);
        above.pack(j, width, 0, size, r, 1, a.stride);
        panel.pack(j, width, 0, size, r, 1, a.stride);
        multiply(upper, panel, {0, size, j, width}, {.depths = Depths::kFromRow}, a.row(p),
                 a.stride);
      } else {
        const int64_t i = (task - left) * kStrip, m = std::min(kStrip, rest - i);
        below.pack(i, m, 0, size, a.row(end + i) + p, a.stride, 1);
        for (int64_t c = 0; c < size; c += kPiece) {
          multiply(below, columns, {i, m, c, std::min(kPiece, size - c)}, {.alpha = -1, .begin = c},
                   a.row(end) + p, a.stride);
        }
      }
    });
    parallel_tasks(1 + left + down, [&](int64_t task) {
      if (task == 0) {
        if (rest > 0) invert(end, std::min(wide, rest));
      } else if (task <= down) {
        const int64_t i = (task - 1) * kStrip;
        multiply(below, panel, {i, std::min(kStrip, rest - i), 0, p}, {.alpha = -1, .add = true},
                 a.row(end), a.stride);
      } else {  // the longest rows first
        const int64_t i = (left + down - task) * kStrip, m = std::min(kStrip, p - i);
        multiply(above, panel, {i, m, 0, i + m}, {.add = true, .lower = true}, a.row(0), a.stride);
      }
    });
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

namespace {

// Many rows b by a large factor: some columns at a time, from the first on for b L^-T and from the last
// on for b L^-1; what those before contribute is a product of packed operands.
void solve_many(bool transpose, const Matrix& factor, double* rows, int64_t count) {
  const int64_t n = factor.n, last = (n - 1) / kSolved * kSolved;
  PackedOperand<double> solved(Side::kLeft), others(Side::kRight);
  others.resize(kSolved, n);
  PackedTriangle triangle;
  for (int64_t first = 0; first < count; first += kBatch) {
    const int64_t batch = std::min(kBatch, count - first);
    double* b = rows + first * n;
    solved.resize(batch, n);
    for (int64_t step = 0; step <= last; step += kSolved) {
      const int64_t p = transpose ? step : last - step, size = std::min(kSolved, n - p),
                    begin = transpose ? 0 : p + size, end = transpose ? p : n;
      parallel_tasks(end > begin ? tiles(size, kRightStep) : 0, [&](int64_t task) {
        const int64_t i = task * kRightStep;
        others.pack(i, std::min(kRightStep, size - i), begin, end - begin,
                    transpose ? factor.row(p + i) : factor.row(begin) + p + i,
                    transpose ? factor.stride : 1, transpose ? 1 : factor.stride);
      });
      if (transpose) triangle.pack(size, factor.row(p) + p, factor.stride);
      parallel_tasks(tiles(batch, kStrip), [&](int64_t task) {
        const int64_t i = task * kStrip, m = std::min(kStrip, batch - i);
        double* own = b + i * n + p;
        if (end > begin) {
          multiply(solved, others, {i, m, 0, size},
                   {.alpha = -1, .add = true, .begin = begin, .end = end}, b + p, n);
        }
        if (transpose) {
          solve_packed(triangle, m, own, n);
        } else {
          const OneBlasThread one;
          trsm_right(false, m, size, factor.row(p) + p, factor.stride, own, n);
        }
        solved.pack(i, m, p, size, own, n, 1);
      });
    }
  }
}

void solve(bool transpose, const Matrix& factor, double* rows, int64_t count) {
  const int64_t n = factor.n;
  if (count >= kRows && n >= 2 * kSolved) {
    solve_many(transpose, factor, rows, count);
    return;
  }
  parallel_tasks(tiles(count, kRows), [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kRows;
    trsm_right(transpose, std::min(kRows, count - begin), n, factor.data, factor.stride,
               rows + begin * n, n);
  });
}

}  // namespace

void forward(const Matrix& factor, double* rows, int64_t count) {
  if (count > 2) {
    solve(true, factor, rows, count);
    return;
  }
  // Row by row: a triangular solve with one right-hand side is bound by memory.
  const OneBlasThread one;
  for (int64_t c = 0; c < count; ++c) {
    double* b = rows + c * factor.n;
    for (int64_t i = 0; i < factor.n; ++i) {
      b[i] = (b[i] - dot(i, factor.row(i), b)) / factor.row(i)[i];
    }
  }
}

void backward(const Matrix& factor, double* rows, int64_t count) {
  if (count > 2) {
    solve(false, factor, rows, count);
    return;
  }
  const OneBlasThread one;
  for (int64_t c = 0; c < count; ++c) {
    double* b = rows + c * factor.n;
    for (int64_t i = factor.n - 1; i >= 0; --i) {
      b[i] /= factor.row(i)[i];
      axpy(i, -b[i], factor.row(i), b);
    }
  }
}

double log_determinant(const Matrix& factor) {
  double sum = 0;
  for (int64_t i = 0; i < factor.n; ++i) sum += std::log(factor.row(i)[i]);
  return 2 * sum;
}

void inverse(const Matrix& factor) { invert_factor(factor); }

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
