#include "covary/stat/process/kernel_operator.h"

#include <algorithm>

#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"
#include "covary/core/linalg/pivoted_cholesky.h"

namespace covary::stat {
namespace {

using compute::PairBlock;
constexpr int64_t kRows = KernelTape::kRows, kColumns = KernelTape::kColumns;
constexpr int64_t kBand = 4096;  // columns a task

}  // namespace

KernelOperator::KernelOperator(const Kernel& kernel, const double* x, int64_t n,
                               std::span<const double> noise)
    : kernel_(kernel),
      x_(x),
      n_(n),
      tape_(kernel, x, n, nullptr, 0, true, false),
      noise_(noise.begin(), noise.end()) {}

void KernelOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t strips = (n_ + kRows - 1) / kRows, groups = std::min(kGroups, strips);
  std::vector<double> sums(static_cast<size_t>(groups * count * n_));
  parallel_tasks(groups, [&](int64_t group) {
    const linalg::OneBlasThread one;
    KernelTape::Scratch scratch = tape_.scratch();
    double* to = sums.data() + group * count * n_;
    // to_i += K_ij rows_j and, beside the diagonal, to_j += K_ij rows_i.
    const auto use = [&](const PairBlock& t) {
      const double* k = tape_.forward(t, scratch);
      linalg::gemm(false, true, count, t.rows, t.columns, 1, rows + t.column, n_, k, t.columns, 1,
                   to + t.row, n_);
      if (t.column < t.row) {
        linalg::gemm(false, false, count, t.columns, t.rows, 1, rows + t.row, n_, k, t.columns, 1,
                     to + t.column, n_);
      }
    };
    // Longest strips first; neighbours, about equally long, go to different groups.
    for (int64_t strip = strips - 1 - group; strip >= 0; strip -= groups) {
      const int64_t row = strip * kRows, height = std::min(kRows, n_ - row);
      for (int64_t column = 0; column < row; column += kColumns) {
        use({row, height, column, std::min(kColumns, row - column)});
      }
      use({row, height, row, height});
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
  return linalg::pivoted_cholesky(prior, rank, 1e-10,
                                  [&](int64_t column, double* out) {
                                    kernel.cross(x + column * kernel.dims(), 1, x, n, out, n);
                                  })
      .pivots;
}

KernelPreconditioner kernel_preconditioner(const Kernel& kernel, const double* x, int64_t n,
                                           std::span<const double> noise,
                                           std::span<const int64_t> pivots) {
  const int64_t d = kernel.dims(), m = static_cast<int64_t>(pivots.size());
  std::vector<double> points(static_cast<size_t>(m * d));
  for (int64_t k = 0; k < m; ++k) {
    std::copy_n(x + pivots[static_cast<size_t>(k)] * d, d, points.data() + k * d);
  }
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
