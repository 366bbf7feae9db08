#include "covary/stat/process/iterative_cost.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "covary/core/base/machine.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/tile_product/tile_product.h"
#include "covary/core/linalg/blas.h"
#include "covary/stat/process/kernel_operator_single.h"

namespace covary::stat {
namespace {

constexpr double kRest = 3;    // largest eigenvalue that pivots leave, over the kernel's variance
constexpr double kChecks = 4;  // products in doubles that check a solve

// Seconds of the fastest of some turns.
template <class F>
double least_seconds(F&& work) {
  double best = std::numeric_limits<double>::infinity();
  for (int turn = 0; turn < 3; ++turn) {
    const double begin = wall_seconds();
    work();
    best = std::min(best, wall_seconds() - begin);
  }
  return std::max(best, 1e-7);
}

}  // namespace

int64_t preconditioner_rank(int64_t rows, int64_t asked, double memory) {
  const auto n = static_cast<double>(rows);
  const double most = std::max(100.0, std::min(2000.0, memory / (32 * n)));
  const auto rank =
      asked > 0 ? asked : static_cast<int64_t>(std::clamp(8 * std::sqrt(n), 100.0, most));
  return std::min(rank, rows);
}

IterativeWork iterative_work(const IterativeSize& size) {
  const auto n = static_cast<double>(size.rows), m = static_cast<double>(size.rank),
             sides = static_cast<double>(size.sides), fits = static_cast<double>(size.fits);
  IterativeWork w;
  w.steps = std::ceil(0.5 * std::sqrt(1 + kRest / size.share) * std::log(2 / size.tolerance));
  // The last evaluation, for predictions, is without gradient.
  const double evaluations = fits + 1, half = n * n / 2, steps = w.steps * evaluations;
  const bool kept = 2 * n * n <= size.memory;
  // A gradient computes the entries once more, and three times as much for their slopes.
  w.entries = half * (evaluations * (1 + kChecks) + (kept ? 0 : steps) + 4 * fits);
  w.products = steps * 2 * n * n * sides;
  // Of the preconditioner: pivots, then factor and whitening; a solution a step; its gradient. Then
  // the weights of the kernel's gradient.
  w.dense = (2 + 3 * evaluations + 6 * fits) * n * m * m + steps * 4 * n * m * sides +
            fits * 2 * half * 2 * sides;
  return w;
}

IterativeRates measured_rates(const Kernel& kernel) {
  constexpr int64_t kRows = SingleKernelOperator::kRows, kColumns = SingleKernelOperator::kColumns;
  const int64_t d = kernel.dims();
  const auto size = [](int64_t v) { return static_cast<size_t>(v); };
  // No two alike: entries of equal points may be cheaper.
  std::vector<double> x(size((kRows + kColumns) * d));
  for (size_t i = 0; i < x.size(); ++i) x[i] = std::fmod(0.618034 * static_cast<double>(i + 1), 1);
  std::vector<double> tile(size(kRows * kColumns));
  const double all = threads();
  IterativeRates rates;
  const KernelTape tape(kernel, x.data(), kRows, x.data() + kRows * d, kColumns, false, false);
  KernelTape::Scratch scratch = tape.scratch();
  rates.entries = all * kRows * kColumns / least_seconds([&] {
                    for (int64_t i = 0; i < kRows; i += KernelTape::kRows) {
                      for (int64_t j = 0; j < kColumns; j += KernelTape::kColumns)
                        tape.forward({i, KernelTape::kRows, j, KernelTape::kColumns}, scratch);
                    }
                  });
  constexpr int64_t kWidth = compute::kPanel;
  const std::vector<float> k(size(kRows * kColumns), 0.5F), right(size(kColumns * kWidth), 0.5F);
  std::vector<double> out(size(kColumns * kWidth));
  rates.products =
      all * 4 * kRows * kColumns * kWidth / least_seconds([&] {
        compute::tile_product(k.data(), kRows, kColumns, right.data(), kWidth, out.data());
        compute::tile_product_transposed(k.data(), kRows, kColumns, right.data(), kWidth,
                                         out.data());
      });
  constexpr int64_t kDense = 256;
  const std::vector<double> a(size(kDense * kDense), 1e-3);
  std::vector<double> c(a.size());
  rates.dense = all * 2 * kDense * kDense * kDense / least_seconds([&] {
                  const linalg::OneBlasThread one;
                  linalg::gemm(false, false, kDense, kDense, kDense, 1, a.data(), kDense, a.data(),
                               kDense, 0, c.data(), kDense);
                });
  return rates;
}

double iterative_seconds(const IterativeWork& w, const IterativeRates& r) {
  return w.entries / r.entries + w.products / r.products + w.dense / r.dense;
}

}  // namespace covary::stat
