#include "covary/splat/scene/statistics.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"

namespace covary::scene {

ColumnStatistics statistics_of(const at::Tensor& values, int64_t bins) {
  const at::Tensor t = values.detach().to(at::kCPU, at::kDouble).contiguous();
  ColumnStatistics s;
  s.count = t.numel();
  std::vector<double> x;
  x.reserve(static_cast<size_t>(s.count));
  for (const double *v = t.const_data_ptr<double>(), *end = v + s.count; v != end; ++v) {
    s.nan += std::isnan(*v);
    s.infinite += std::isinf(*v);
    if (std::isfinite(*v)) x.push_back(*v);
  }
  s.counts.assign(static_cast<size_t>(bins), 0);
  if (x.empty()) return s;
  const auto n = static_cast<int64_t>(x.size());
  s.mean =
      ordered_sum(n, [&](int64_t i) { return x[static_cast<size_t>(i)]; }) / static_cast<double>(n);
  s.deviation = std::sqrt(ordered_sum(n,
                                      [&](int64_t i) {
                                        const double d = x[static_cast<size_t>(i)] - s.mean;
                                        return d * d;
                                      }) /
                          static_cast<double>(n));
  const auto quantile = [&](double q) {
    const auto at = x.begin() + std::lround(q * static_cast<double>(n - 1));
    std::nth_element(x.begin(), at, x.end());
    return *at;
  };
  s.quantile01 = quantile(0.01);
  s.median = quantile(0.5);
  s.quantile99 = quantile(0.99);
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  s.low = *low;
  s.high = *high;
  // Halves, since the difference of two large numbers may be none.
  const double half_width = (0.5 * s.quantile99 - 0.5 * s.quantile01) / static_cast<double>(bins);
  for (const double v : x) {
    const double bin = half_width > 0 ? (0.5 * v - 0.5 * s.quantile01) / half_width : 0;
    ++s.counts[static_cast<size_t>(std::clamp(bin, 0.0, static_cast<double>(bins - 1)))];
  }
  return s;
}

std::vector<double> sh_energy(const Cloud& cloud) {
  std::vector<double> energy;
  const auto mean_square = [&](const at::Tensor& t) {
    return cloud.size() == 0 ? 0.0
                             : t.to(at::kDouble).square().sum().item<double>() /
                                   static_cast<double>(cloud.size());
  };
  energy.push_back(mean_square(cloud.sh0));
  for (int64_t l = 1; l <= cloud.sh_degree(); ++l)
    energy.push_back(mean_square(cloud.shN.narrow(1, l * l - 1, 2 * l + 1)));
  return energy;
}

}  // namespace covary::scene
