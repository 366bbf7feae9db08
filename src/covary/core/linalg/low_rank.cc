#include "covary/core/linalg/low_rank.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"

namespace covary::linalg {
namespace {

constexpr int64_t kBlock = 4096;  // of n, a task

// out [count, rank] = rows B', B [rank, n].
std::vector<double> onto(const std::vector<double>& b, int64_t rank, int64_t n, const double* rows,
                         int64_t count) {
  const int64_t blocks = (n + kBlock - 1) / kBlock;
  std::vector<double> partial(static_cast<size_t>(blocks * count * rank));
  parallel_tasks(blocks, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kBlock, width = std::min(kBlock, n - begin);
    gemm(false, true, count, rank, width, 1, rows + begin, n, b.data() + begin, n, 0,
         partial.data() + task * count * rank, rank);
  });
  std::vector<double> out(static_cast<size_t>(count * rank));
  for (int64_t k = 0; k < blocks; ++k) {
    for (size_t i = 0; i < out.size(); ++i)
      out[i] += partial[static_cast<size_t>(k) * out.size() + i];
  }
  return out;
}

// rows += scale * weights B.
void add_from(const std::vector<double>& b, int64_t rank, int64_t n, double scale,
              const std::vector<double>& weights, int64_t count, double* rows) {
  if (rank == 0) return;
  parallel_tasks((n + kBlock - 1) / kBlock, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kBlock, width = std::min(kBlock, n - begin);
    gemm(false, false, count, width, rank, scale, weights.data(), rank, b.data() + begin, n, 1,
         rows + begin, n);
  });
}

}  // namespace

LowRankOperator::LowRankOperator(std::vector<double> factor, int64_t rank,
                                 std::vector<double> diagonal)
    : factor_(std::move(factor)), diagonal_(std::move(diagonal)), rank_(rank) {
  const int64_t n = size();
  if (rank < 0 || static_cast<int64_t>(factor_.size()) != rank * n)
    throw Error(ExitCode::kUsage, "has a factor of another size than rank times n", "low rank");
  for (int64_t i = 0; i < n; ++i) {
    const double d = diagonal_[static_cast<size_t>(i)];
    if (!(d > 0) || std::isinf(d))
      throw Error(ExitCode::kFailed,
                  "has " + std::to_string(d) + " on its diagonal, at row " + std::to_string(i),
                  "low rank", "add noise");
    log_determinant_ += std::log(d);
  }
  whitened_ = factor_;
  parallel_for(rank, 1, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      double* row = whitened_.data() + k * n;
      for (int64_t i = 0; i < n; ++i) row[i] /= diagonal_[static_cast<size_t>(i)];
    }
  });
  if (rank == 0) return;
  // L D^-1 L', its lower half by strips.
  std::vector<double> inner(static_cast<size_t>(rank * rank));
  constexpr int64_t kStrip = 64;
  parallel_tasks((rank + kStrip - 1) / kStrip, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t row = task * kStrip, height = std::min(kStrip, rank - row);
    gemm(false, true, height, row + height, n, 1, factor_.data() + row * n, n, whitened_.data(), n,
         0, inner.data() + row * rank, rank);
  });
  for (int64_t i = 0; i < rank; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      inner[static_cast<size_t>(j * rank + i)] = inner[static_cast<size_t>(i * rank + j)];
    }
    inner[static_cast<size_t>(i * rank + i)] += 1;
  }
  const Matrix c{inner.data(), rank, rank};
  cholesky(c).check("inner matrix of low rank");
  log_determinant_ += linalg::log_determinant(c);
  parallel_tasks((n + kBlock - 1) / kBlock, [&](int64_t task) {
    const OneBlasThread one;
    const int64_t begin = task * kBlock, width = std::min(kBlock, n - begin);
    trsm_left(false, rank, width, inner.data(), rank, whitened_.data() + begin, n);
  });
}

void LowRankOperator::multiply(const double* rows, int64_t count, double* out) const {
  const int64_t n = size();
  for (int64_t c = 0; c < count; ++c) {
    for (int64_t i = 0; i < n; ++i) {
      out[c * n + i] = rows[c * n + i] * diagonal_[static_cast<size_t>(i)];
    }
  }
  add_from(factor_, rank_, n, 1, onto(factor_, rank_, n, rows, count), count, out);
}

void LowRankOperator::diagonal(double* out) const {
  const int64_t n = size();
  std::copy(diagonal_.begin(), diagonal_.end(), out);
  for (int64_t k = 0; k < rank_; ++k) {
    const double* row = factor_.data() + k * n;
    for (int64_t i = 0; i < n; ++i) out[i] += row[i] * row[i];
  }
}

void LowRankOperator::solve(double* rows, int64_t count) const {
  const int64_t n = size();
  const std::vector<double> along = onto(whitened_, rank_, n, rows, count);
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t i = 0; i < n; ++i) rows[c * n + i] /= diagonal_[static_cast<size_t>(i)];
    }
  });
  add_from(whitened_, rank_, n, -1, along, count, rows);
}

void LowRankOperator::draw(uint64_t seed, uint64_t stream, int64_t count, double* rows) const {
  const int64_t n = size();
  const Random random(seed, stream);
  std::vector<double> weights(static_cast<size_t>(count * rank_));
  // A row's numbers are its own whatever the rank: the factor's come after those of the diagonal.
  const auto normal = [&](int64_t c, int64_t i) {
    return random.normal(static_cast<uint64_t>(c) << 40 | static_cast<uint64_t>(i));
  };
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      for (int64_t i = 0; i < n; ++i) {
        rows[c * n + i] = normal(c, i) * std::sqrt(diagonal_[static_cast<size_t>(i)]);
      }
      for (int64_t k = 0; k < rank_; ++k)
        weights[static_cast<size_t>(c * rank_ + k)] = normal(c, n + k);
    }
  });
  add_from(factor_, rank_, n, 1, weights, count, rows);
}

}  // namespace covary::linalg
