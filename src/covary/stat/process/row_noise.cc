#include "covary/stat/process/row_noise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/kernel_tape.h"

namespace covary::stat {
namespace {

void check_column(const at::Tensor& t, int64_t n, const char* what, const char* of_row) {
  if (!t.defined()) return;
  if (t.dim() != 1 || t.size(0) != n || t.scalar_type() != at::kDouble || !t.device().is_cpu())
    throw Error(ExitCode::kUsage, "must hold " + std::to_string(n) + " doubles on the CPU", what);
  const at::Tensor c = t.contiguous();
  for (int64_t i = 0; i < n; ++i) {
    const double v = c.const_data_ptr<double>()[i];
    if (std::isfinite(v) && v >= 0) continue;
    throw Error(ExitCode::kData,
                "the " + std::string(of_row) + " of row " + std::to_string(i) + " is " +
                    (std::isnan(v)   ? "missing"
                     : std::isinf(v) ? "infinite"
                                     : "negative") +
                    ", it must be finite and not negative",
                what, "mend the cell, or drop the row");
  }
}

}  // namespace

void RowNoise::check(int64_t n) const {
  check_column(variances, n, "noise", "variance");
  check_column(weights, n, "weights", "weight");
  if (weights.defined() && weightless() == n)
    throw Error(ExitCode::kData, "are all 0: no row carries anything", "weights");
}

RowNoise RowNoise::rows(const at::Tensor& chosen) const {
  RowNoise part;
  if (variances.defined()) part.variances = variances.index_select(0, chosen);
  if (weights.defined()) part.weights = weights.index_select(0, chosen);
  return part;
}

int64_t RowNoise::weightless() const {
  return weights.defined() ? (weights == 0).sum().item<int64_t>() : 0;
}

at::Tensor RowNoise::masked(const at::Tensor& y) const {
  if (weightless() == 0) return y;
  at::Tensor out = y.clone();
  out.index_put_({weights == 0},
                 at::scalar_tensor(std::numeric_limits<double>::quiet_NaN(), at::kDouble));
  return out;
}

std::vector<double> white_diagonal(const Kernel& kernel, const double* x, int64_t n) {
  std::vector<double> white(static_cast<size_t>(n)), smooth(white);
  if (!kernel.has(ParameterRole::kNoise)) return white;
  kernel.diagonal(x, n, true, white.data());
  kernel.diagonal(x, n, false, smooth.data());
  for (size_t i = 0; i < white.size(); ++i) white[i] -= smooth[i];
  return white;
}

std::vector<double> row_terms(const Kernel& kernel, const double* x, int64_t n,
                              std::span<const double> variances, std::span<const double> weights) {
  if (weights.empty()) return {variances.begin(), variances.end()};
  std::vector<double> terms = white_diagonal(kernel, x, n);
  for (size_t i = 0; i < terms.size(); ++i)
    terms[i] = terms[i] * (1 / weights[i] - 1) + (variances.empty() ? 0 : variances[i]);
  return terms;
}

void contract_white(const Kernel& kernel, const double* x, int64_t n, std::span<const double> g,
                    std::span<double> gradient) {
  if (!kernel.has(ParameterRole::kNoise)) return;
  std::vector<double> part(gradient.size());
  constexpr int64_t kStretch = KernelTape::kRows;
  for (int64_t begin = 0; begin < n; begin += kStretch) {
    const int64_t count = std::min(kStretch, n - begin);
    const double* points = x + begin * kernel.dims();
    const auto weights = [&](const compute::PairBlock& t, double* out) {
      std::fill_n(out, t.size(), 0.0);
      for (int64_t i = 0; i < t.rows; ++i) {
        const int64_t j = t.row + i - t.column;
        if (j >= 0 && j < t.columns)
          out[i * t.columns + j] = g[static_cast<size_t>(begin + t.row + i)];
      }
    };
    kernel.contract(points, count, weights, part);  // of the whole diagonal
    for (size_t p = 0; p < part.size(); ++p) gradient[p] += part[p];
    kernel.contract_diagonal(points, count, g.data() + begin, part);  // of the smooth part
    for (size_t p = 0; p < part.size(); ++p) gradient[p] -= part[p];
  }
}

void contract_row_terms(const Kernel& kernel, const double* x, int64_t n,
                        std::span<const double> weights, std::span<const double> g,
                        std::span<double> gradient) {
  if (weights.empty()) return;
  std::vector<double> scaled(g.begin(), g.end());
  for (size_t i = 0; i < scaled.size(); ++i) scaled[i] *= 1 / weights[i] - 1;
  contract_white(kernel, x, n, scaled, gradient);
}

}  // namespace covary::stat
