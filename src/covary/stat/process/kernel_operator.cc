#include "covary/stat/process/kernel_operator.h"

#include <algorithm>
#include <memory>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/pivoted_cholesky.h"
#include "covary/stat/process/row_noise.h"

namespace covary::stat {
namespace {

using compute::PairBlock;
constexpr int64_t kRows = KernelTape::kRows, kColumns = KernelTape::kColumns;
constexpr int64_t kBand = 4096;  // columns a task

std::vector<double> rows_of(const double* x, int64_t d, std::span<const int64_t> chosen) {
  std::vector<double> points;
  for (const int64_t row : chosen) points.insert(points.end(), x + row * d, x + (row + 1) * d);
  return points;
}

}  // namespace

KernelOperator::KernelOperator(const Kernel& kernel, const double* x, int64_t n,
                               std::span<const double> noise, int64_t memory,
                               std::span<const double> weights)
    : kernel_(kernel),
      x_(x),
      n_(n),
      strips_{n, kRows, kColumns},
      tape_(kernel, x, n, nullptr, 0, true, false),
      noise_(row_terms(kernel, x, n, noise, weights)) {
  const int64_t entries = n * (n + kRows) / 2 + kRows * kRows;  // at most
  if (8.0 * static_cast<double>(entries) > static_cast<double>(memory)) return;
  stored_ = std::make_unique_for_overwrite<double[]>(static_cast<size_t>(entries));
  const int64_t strips = strips_.count();
  parallel_tasks(strips, [&](int64_t task) {
    KernelTape::Scratch scratch = tape_.scratch();
    strips_.over(strips - 1 - task, [&](const PairBlock& t) {
      std::copy_n(tape_.forward(t, scratch), t.size(), stored_.get() + strips_.place_of(t));
    });
  });
}

void KernelOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t strips = strips_.count(), groups = std::min(kGroups, strips);
  std::vector<double> sums(static_cast<size_t>(groups * count * n_));
  parallel_tasks(groups, [&](int64_t group) {
    const linalg::OneBlasThread one;
    KernelTape::Scratch scratch = tape_.scratch();
    double* to = sums.data() + group * count * n_;
    // to_i += K_ij rows_j and, beside the diagonal, to_j += K_ij rows_i.
    const auto use = [&](const PairBlock& t) {
      const double* k = stored_ ? stored_.get() + strips_.place_of(t) : tape_.forward(t, scratch);
      linalg::gemm(false, true, count, t.rows, t.columns, 1, rows + t.column, n_, k, t.columns, 1,
                   to + t.row, n_);
      if (t.column < t.row) {
        linalg::gemm(false, false, count, t.columns, t.rows, 1, rows + t.row, n_, k, t.columns, 1,
                     to + t.column, n_);
      }
    };
    // Longest strips first; neighbours, about equally long, go to different groups.
    for (int64_t strip = strips - 1 - group; strip >= 0; strip -= groups) {
      strips_.over(strip, use);
    }
  });
  parallel_for(n_, kBand, [&](int64_t begin, int64_t end) {
    for (int64_t c = 0; c < count; ++c) {
      double* to = out + c * n_;
      const double* from = sums.data() + c * n_;
      for (int64_t i = begin; i < end; ++i) {
        to[i] = noise_.empty() ? 0 : noise_[static_cast<size_t>(i)] * rows[c * n_ + i];
      }
      for (int64_t g = 0; g < groups; ++g) {
        for (int64_t i = begin; i < end; ++i) to[i] += from[g * count * n_ + i];
      }
    }
  });
}

void KernelOperator::diagonal(double* out) const {
  kernel_.diagonal(x_, n_, true, out);
  for (size_t i = 0; i < noise_.size(); ++i) out[i] += noise_[i];
}

double KernelOperator::scaled_rest(const linalg::LowRankOperator& p) const {
  const int64_t strips = strips_.count(), rank = p.rank();
  std::vector<double> sums(static_cast<size_t>(strips));
  parallel_tasks(strips, [&](int64_t task) {
    const linalg::OneBlasThread one;
    KernelTape::Scratch scratch = tape_.scratch();
    std::vector<double> rest(static_cast<size_t>(kRows * kColumns));
    const double *factor = p.factor().data(), *own = p.own().data();
    double sum = 0;
    strips_.over(strips - 1 - task, [&](const PairBlock& t) {
      const double* k = stored_ ? stored_.get() + strips_.place_of(t) : tape_.forward(t, scratch);
      std::copy_n(k, t.size(), rest.data());
      linalg::gemm(true, false, t.rows, t.columns, rank, -1, factor + t.row, n_, factor + t.column,
                   n_, 1, rest.data(), t.columns);
      double of_tile = 0;
      for (int64_t i = 0; i < t.rows; ++i) {
        double* row = rest.data() + i * t.columns;
        if (t.column == t.row)
          row[i] += (noise_.empty() ? 0 : noise_[static_cast<size_t>(t.row + i)]) - own[t.row + i];
        double of_row = 0;
        for (int64_t j = 0; j < t.columns; ++j) of_row += row[j] * row[j] / own[t.column + j];
        of_tile += of_row / own[t.row + i];
      }
      sum += t.column < t.row ? 2 * of_tile : of_tile;
    });
    sums[static_cast<size_t>(task)] = sum;
  });
  double total = 0;
  for (const double v : sums) total += v;
  return total;
}

linalg::SpectrumTraces spectrum_traces(const KernelOperator& k, const linalg::LowRankOperator& p) {
  // B = I + P^-1/2 R P^-1/2, and P^-1 = D^-1 - G'G:
  //   tr P^-1 R         = tr D^-1 R - tr G R G'
  //   tr (P^-1 R)^2     = sum R_ij^2 / (D_i D_j) - 2 |G R D^-1/2|^2 + |G R G'|^2
  const int64_t n = k.size(), rank = p.rank();
  const auto size = [](int64_t v) { return static_cast<size_t>(v); };
  std::vector<double> whole(size(n)), dominated(size(n));
  k.diagonal(whole.data());
  p.diagonal(dominated.data());
  double first = 0;
  for (size_t i = 0; i < whole.size(); ++i) first += (whole[i] - dominated[i]) / p.own()[i];
  double onto = 0;
  std::vector<double> inner(size(rank * rank));
  constexpr int64_t kAtOnce = 64;
  for (int64_t begin = 0; begin < rank; begin += kAtOnce) {
    const int64_t count = std::min(kAtOnce, rank - begin);
    const double* g = p.whitened().data() + begin * n;
    std::vector<double> rows(size(count * n)), less(rows);
    k.multiply(g, count, rows.data());
    p.multiply(g, count, less.data());
    parallel_for(count, 1, [&](int64_t from, int64_t to) {
      for (int64_t i = from * n; i < to * n; ++i) rows[size(i)] -= less[size(i)];
    });
    onto += ordered_sum(
        count * n, [&](int64_t i) { return rows[size(i)] * rows[size(i)] / p.own()[size(i % n)]; });
    parallel_tasks((rank + kAtOnce - 1) / kAtOnce, [&](int64_t task) {
      const linalg::OneBlasThread one;
      const int64_t to = task * kAtOnce, width = std::min(kAtOnce, rank - to);
      linalg::gemm(false, true, count, width, n, 1, rows.data(), n, p.whitened().data() + to * n, n,
                   0, inner.data() + begin * rank + to, rank);
    });
  }
  double square = 0;
  for (int64_t i = 0; i < rank; ++i) first -= inner[size(i * rank + i)];
  for (const double v : inner) square += v * v;
  const double rows = static_cast<double>(n);
  return {rows + first, rows + 2 * first + k.scaled_rest(p) - 2 * onto + square};
}

std::vector<double> noise_diagonal(const Kernel& kernel, const double* x, int64_t n,
                                   std::span<const double> noise, std::span<const double> weights) {
  std::vector<double> own = white_diagonal(kernel, x, n);
  for (size_t i = 0; i < own.size(); ++i) {
    if (!weights.empty()) own[i] /= weights[i];
    if (!noise.empty()) own[i] += noise[i];
  }
  return own;
}

std::vector<int64_t> kernel_pivots(const Kernel& kernel, const double* x, int64_t n, int64_t rank) {
  std::vector<double> prior(static_cast<size_t>(n));
  kernel.diagonal(x, n, false, prior.data());
  const int64_t d = kernel.dims();
  const auto columns = [&](std::span<const int64_t> chosen, double* out) {
    const std::vector<double> points = rows_of(x, d, chosen);
    kernel.cross(points.data(), static_cast<int64_t>(chosen.size()), x, n, out, n);
  };
  return linalg::pivoted_cholesky(prior, {.rank = rank, .block = 32, .tolerance = 1e-10}, columns)
      .pivots;
}

KernelPreconditioner kernel_preconditioner(const Kernel& kernel, const double* x, int64_t n,
                                           std::span<const double> noise,
                                           std::span<const int64_t> pivots,
                                           std::span<const double> weights) {
  const int64_t d = kernel.dims(), m = static_cast<int64_t>(pivots.size());
  std::vector<double> points = rows_of(x, d, pivots);
  std::vector<double> factor(static_cast<size_t>(m * m)), rows(static_cast<size_t>(m * n));
  kernel.cross(points.data(), m, points.data(), m, factor.data(), m);
  // With jitter the preconditioner is smaller still, and dominated as before.
  linalg::cholesky({factor.data(), m, m}).check("kernel matrix of the pivots");
  kernel.cross(points.data(), m, x, n, rows.data(), n);
  parallel_tasks((n + kBand - 1) / kBand, [&](int64_t task) {
    const linalg::OneBlasThread one;
    const int64_t begin = task * kBand, width = std::min(kBand, n - begin);
    linalg::trsm_left(false, m, width, factor.data(), m, rows.data() + begin, n);
  });
  return {linalg::LowRankOperator(std::move(rows), m, noise_diagonal(kernel, x, n, noise, weights)),
          std::move(points), std::move(factor)};
}

}  // namespace covary::stat
