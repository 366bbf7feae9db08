#include "covary/core/linalg/cholesky.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

namespace covary::linalg {
namespace {

constexpr int64_t kTile = 192;
constexpr int64_t kRows = 64;        // right-hand sides a task
constexpr int64_t kAlone = 1 << 17;  // elements that are read before a second thread has woken up

int64_t tiles_of(int64_t n) { return (n + kTile - 1) / kTile; }
int64_t tile_size(int64_t n, int64_t t) { return std::min(kTile, n - t * kTile); }

void copy_lower(const double* from, int64_t from_stride, double* to, int64_t to_stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    std::copy_n(from + i * from_stride, i + 1, to + i * to_stride);
  }
}

// The plain algorithm on a small block, for the row and the pivot where a fast one gave up.
int64_t first_bad_row(double* a, int64_t n, double* pivot) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) {
      double s = a[i * kTile + j];
      for (int64_t k = 0; k < j; ++k) s -= a[i * kTile + k] * a[j * kTile + k];
      if (j < i) {
        a[i * kTile + j] = s / a[j * kTile + j];
      } else if (!(s > 0) || !std::isfinite(s)) {
        *pivot = s;
        return i;
      } else {
        a[i * kTile + i] = std::sqrt(s);
      }
    }
  }
  return -1;
}

// One attempt; -1, or the row that failed with its pivot. Step t: the rows below the diagonal tile
// t get their columns t (product with all columns before, then a triangular solve), and meanwhile
// the next diagonal tile takes in all columns before t.
int64_t attempt(const Matrix& a, double* pivot) {
  const int64_t n = a.n, tiles = tiles_of(n);
  const auto room = static_cast<size_t>(kTile * std::min(kTile, n));  // little for a small matrix
  std::vector<double> diagonal(room), next(room), kept(room);
  const auto tile = [&](int64_t i, int64_t j) { return a.row(i * kTile) + j * kTile; };
  if (tiles > 0) copy_lower(a.data, a.stride, diagonal.data(), kTile, tile_size(n, 0));
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t size = tile_size(n, t), before = t * kTile;
    {
      const OneBlasThread one;
      if (t > 0) {
        const double* last = tile(t, t - 1);
        gemm(false, true, size, size, kTile, -1, last, a.stride, last, a.stride, 1, diagonal.data(),
             kTile);
      }
      copy_lower(diagonal.data(), kTile, kept.data(), kTile, size);
      int64_t bad = potrf(size, diagonal.data(), kTile) - 1;
      for (int64_t i = 0; i < size && bad < 0; ++i) {
        if (!std::isfinite(diagonal[static_cast<size_t>(i * kTile + i)])) bad = i;
      }
      if (bad >= 0) {
        *pivot = kept[static_cast<size_t>(bad * kTile + bad)];
        const int64_t row = first_bad_row(kept.data(), size, pivot);
        return before + (row >= 0 ? row : bad);
      }
    }
    copy_lower(diagonal.data(), kTile, tile(t, t), a.stride, size);
    parallel_tasks(tiles - t, [&](int64_t task) {
      const OneBlasThread one;
      if (task == 0) {  // the diagonal tile after this, but for its last product
        if (t + 1 == tiles) return;
        const int64_t m = tile_size(n, t + 1);
        copy_lower(tile(t + 1, t + 1), a.stride, next.data(), kTile, m);
        const double* row = tile(t + 1, 0);
        gemm(false, true, m, m, before, -1, row, a.stride, row, a.stride, 1, next.data(), kTile);
        return;
      }
      const int64_t i = t + task, m = tile_size(n, i);
      gemm(false, true, m, size, before, -1, tile(i, 0), a.stride, tile(t, 0), a.stride, 1,
           tile(i, t), a.stride);
      trsm_right(true, m, size, diagonal.data(), kTile, tile(i, t), a.stride);
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

// L^-1 in place of L, lower half. From the last tile of columns to the first: below the diagonal
// tile D of columns t, the part P becomes -T P D^-1, with T = the inverse of what lies to the right
// of P, already in place.
void invert_triangle(const Matrix& a) {
  const int64_t n = a.n, tiles = tiles_of(n);
  std::vector<double> panel(static_cast<size_t>(n * kTile)), diagonal(kTile * kTile);
  std::vector<double> corner(static_cast<size_t>(tiles) * kTile * kTile);
  const auto tile = [&](int64_t i, int64_t j) { return a.row(i * kTile) + j * kTile; };
  for (int64_t t = tiles - 1; t >= 0; --t) {
    const int64_t size = tile_size(n, t);
    std::fill(diagonal.begin(), diagonal.end(), 0.0);
    for (int64_t i = 0; i < size; ++i) diagonal[static_cast<size_t>(i * kTile + i)] = 1;
    {
      const OneBlasThread one;
      trsm_left(false, size, size, tile(t, t), a.stride, diagonal.data(), kTile);
    }
    // Dense copies of the diagonal tiles, zero above: products with them are plain ones.
    double* mine = corner.data() + t * kTile * kTile;
    copy_lower(diagonal.data(), kTile, mine, kTile, size);
    const int64_t below = tiles - t - 1;
    parallel_tasks(below, [&](int64_t task) {  // P D^-1, aside
      const OneBlasThread one;
      const int64_t i = t + 1 + task;
      gemm(false, false, tile_size(n, i), size, size, -1, tile(i, t), a.stride, mine, kTile, 0,
           panel.data() + i * kTile * kTile, kTile);
    });
    parallel_tasks(below, [&](int64_t task) {  // the longest rows first
      const OneBlasThread one;
      const int64_t i = tiles - 1 - task, m = tile_size(n, i);
      gemm(false, false, m, size, m, 1, corner.data() + i * kTile * kTile, kTile,
           panel.data() + i * kTile * kTile, kTile, 0, tile(i, t), a.stride);
      gemm(false, false, m, size, (i - t - 1) * kTile, 1, tile(i, t + 1), a.stride,
           panel.data() + (t + 1) * kTile * kTile, kTile, 1, tile(i, t), a.stride);
    });
    copy_lower(diagonal.data(), kTile, tile(t, t), a.stride, size);
  }
}

// W' W in place of W, lower half: row tile t of the product needs the rows t and below of W alone.
void multiply_triangle(const Matrix& a) {
  const int64_t n = a.n, tiles = tiles_of(n);
  std::vector<double> corner(kTile * kTile), product(kTile * kTile);
  const auto tile = [&](int64_t i, int64_t j) { return a.row(i * kTile) + j * kTile; };
  std::vector<double> row(static_cast<size_t>(n * kTile));
  for (int64_t t = 0; t < tiles; ++t) {
    const int64_t size = tile_size(n, t), rest = n - (t + 1) * kTile;
    std::fill(corner.begin(), corner.end(), 0.0);
    copy_lower(tile(t, t), a.stride, corner.data(), kTile, size);
    parallel_tasks(t + 1, [&](int64_t j) {
      const OneBlasThread one;
      const int64_t width = tile_size(n, j);
      double* out = j == t ? product.data() : row.data() + j * kTile * kTile;
      const double* top = j == t ? corner.data() : tile(t, j);
      gemm(true, false, size, width, size, 1, corner.data(), kTile, top, j == t ? kTile : a.stride,
           0, out, kTile);
      if (rest > 0) {
        gemm(true, false, size, width, rest, 1, tile(t + 1, t), a.stride, tile(t + 1, j), a.stride,
             1, out, kTile);
      }
      if (j == t) return;
      for (int64_t i = 0; i < size; ++i) {
        std::copy_n(out + i * kTile, width, tile(t, j) + i * a.stride);
      }
    });
    copy_lower(product.data(), kTile, tile(t, t), a.stride, size);
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
  // Column k of L and x are rotated so that x[k] vanishes. Row by row the rotations of all columns
  // before are applied in turn, which walks along the rows as they lie in memory.
  const int64_t n = factor.n;
  std::vector<double> c(static_cast<size_t>(n)), s(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    double* row = factor.row(i);
    double rest = x[i];
    for (int64_t k = 0; k < i; ++k) {
      const size_t q = static_cast<size_t>(k);
      const double l = row[k];
      row[k] = c[q] * l + s[q] * rest;
      rest = c[q] * rest - s[q] * l;
    }
    const double pivot = std::hypot(row[i], rest);
    c[static_cast<size_t>(i)] = row[i] / pivot;
    s[static_cast<size_t>(i)] = rest / pivot;
    row[i] = pivot;
    x[i] = rest;
  }
}

int64_t rank_one_downdate(const Matrix& factor, double* x) {
  const int64_t n = factor.n;
  std::vector<double> c(static_cast<size_t>(n)), s(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    double* row = factor.row(i);
    double rest = x[i];
    for (int64_t k = 0; k < i; ++k) {
      const size_t q = static_cast<size_t>(k);
      row[k] = (row[k] - s[q] * rest) / c[q];
      rest = c[q] * rest - s[q] * row[k];
    }
    const double square = (row[i] - rest) * (row[i] + rest);
    if (!(square > 0)) return i;
    const double pivot = std::sqrt(square);
    c[static_cast<size_t>(i)] = pivot / row[i];
    s[static_cast<size_t>(i)] = rest / row[i];
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
