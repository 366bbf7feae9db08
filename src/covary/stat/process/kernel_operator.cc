#include "covary/stat/process/kernel_operator.h"

#include <algorithm>
#include <memory>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/pivoted_cholesky.h"

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
                               std::span<const double> noise, int64_t memory)
    : kernel_(kernel),
      x_(x),
      n_(n),
      tape_(kernel, x, n, nullptr, 0, true, false),
      noise_(noise.begin(), noise.end()) {
  if (8.0 * static_cast<double>(start_of(n)) > static_cast<double>(memory)) return;
  stored_ = std::make_unique_for_overwrite<double[]>(static_cast<size_t>(start_of(n)));
  const int64_t strips = (n_ + kRows - 1) / kRows;
  parallel_tasks(strips, [&](int64_t task) {
    KernelTape::Scratch scratch = tape_.scratch();
    over_strip(strips - 1 - task, [&](const PairBlock& t) {
      std::copy_n(tape_.forward(t, scratch), t.size(), stored_.get() + place_of(t));
    });
  });
}

// Tiles lie one after the other, strip by strip; a strip has row + height columns.
int64_t KernelOperator::start_of(int64_t row) { return row * (row + kRows) / 2 + kRows * kRows; }

int64_t KernelOperator::place_of(const PairBlock& t) {
  return t.row * (t.row + kRows) / 2 + t.rows * t.column;
}

template <class F>
void KernelOperator::over_strip(int64_t strip, F&& use) const {
  const int64_t row = strip * kRows, height = std::min(kRows, n_ - row);
  for (int64_t column = 0; column < row; column += kColumns) {
    use(PairBlock{row, height, column, std::min(kColumns, row - column)});
  }
  use(PairBlock{row, height, row, height});
}

void KernelOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t strips = (n_ + kRows - 1) / kRows, groups = std::min(kGroups, strips);
  std::vector<double> sums(static_cast<size_t>(groups * count * n_));
  parallel_tasks(groups, [&](int64_t group) {
    const linalg::OneBlasThread one;
    KernelTape::Scratch scratch = tape_.scratch();
    double* to = sums.data() + group * count * n_;
    // to_i += K_ij rows_j and, beside the diagonal, to_j += K_ij rows_i.
    const auto use = [&](const PairBlock& t) {
      const double* k = stored_ ? stored_.get() + place_of(t) : tape_.forward(t, scratch);
      linalg::gemm(false, true, count, t.rows, t.columns, 1, rows + t.column, n_, k, t.columns, 1,
                   to + t.row, n_);
      if (t.column < t.row) {
        linalg::gemm(false, false, count, t.columns, t.rows, 1, rows + t.row, n_, k, t.columns, 1,
                     to + t.column, n_);
      }
    };
    // Longest strips first; neighbours, about equally long, go to different groups.
    for (int64_t strip = strips - 1 - group; strip >= 0; strip -= groups) {
      over_strip(strip, use);
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

std::vector<double> noise_diagonal(const Kernel& kernel, const double* x, int64_t n,
                                   std::span<const double> noise) {
  std::vector<double> with(static_cast<size_t>(n)), without(with);
  kernel.diagonal(x, n, true, with.data());
  kernel.diagonal(x, n, false, without.data());
  for (size_t i = 0; i < with.size(); ++i) {
    with[i] += (noise.empty() ? 0 : noise[i]) - without[i];
  }
  return with;
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
                                           std::span<const int64_t> pivots) {
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
  return {linalg::LowRankOperator(std::move(rows), m, noise_diagonal(kernel, x, n, noise)),
          std::move(points), std::move(factor)};
}

}  // namespace covary::stat
