#include "covary/stat/mixture/kde_grid.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"

namespace covary::mixture {
namespace {

// The next length without prime factors above 5.
int64_t smooth(int64_t n) {
  for (;; ++n) {
    int64_t rest = n;
    for (const int64_t p : {2, 3, 5})
      while (rest % p == 0) rest /= p;
    if (rest == 1) return n;
  }
}

}  // namespace

GridSums::GridSums(const std::vector<double>& x, const std::vector<double>& weights, int64_t n,
                   int64_t d, double absolute)
    : d_(d) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  noise_ = 1e-14 * total;
  const double room = absolute - noise_, dd = static_cast<double>(d);
  spacing_ = std::min(0.5, std::sqrt(std::max(0.0, 4 * room / (dd * total))));
  std::vector<double> range;
  for (int64_t j = 0; j < d; ++j) {
    double low = std::numeric_limits<double>::infinity(), high = -low;
    for (int64_t i = 0; i < n; ++i) {
      low = std::min(low, x[static_cast<size_t>(i * d + j)]);
      high = std::max(high, x[static_cast<size_t>(i * d + j)]);
    }
    low_.push_back(low - kReach);
    range.push_back(high - low + 2 * kReach);
  }
  double cells = 1;
  for (const double r : range) cells *= r / spacing_ + 3;
  if (!(cells < static_cast<double>(kMostCells))) {
    double volume = 1;
    for (const double r : range) volume *= r;
    const double coarse = std::pow(volume / static_cast<double>(kMostCells), 1 / dd) * 1.1;
    char more[64];
    std::snprintf(more, sizeof more, "%.2g", dd * coarse * coarse / 4 * total / absolute);
    throw Error(ExitCode::kUsage, "the grid would have too many cells", "engine",
                coarse < 0.5 ? std::string("allow ") + more + " times the --atol, or use tree"
                             : "use tree");
  }
  bound_ = dd * spacing_ * spacing_ / 4 * total + noise_;
  for (const double r : range)
    shape_.push_back(smooth(static_cast<int64_t>(std::ceil(r / spacing_)) + 2));
  at::Tensor counts = at::zeros(shape_, at::kDouble);
  double* c = counts.data_ptr<double>();
  int64_t corner[3];
  double part[3];
  for (int64_t i = 0; i < n; ++i) {
    place(x.data() + i * d, corner, part);
    for (int64_t which = 0; which < (int64_t{1} << d); ++which) {
      double share = weights[static_cast<size_t>(i)];
      int64_t at = 0;
      for (int64_t j = 0; j < d; ++j) {
        const int64_t up = which >> j & 1;
        share *= up ? part[j] : 1 - part[j];
        at = at * shape_[static_cast<size_t>(j)] + corner[j] + up;
      }
      c[at] += share;
    }
  }
  // The kernel about cell 0, going round; a product of one a dimension.
  at::Tensor kernel = at::ones({}, at::kDouble);
  for (int64_t j = 0; j < d; ++j) {
    const int64_t length = shape_[static_cast<size_t>(j)];
    const at::Tensor i = at::arange(length, at::kDouble);
    const at::Tensor z = at::minimum(i, static_cast<double>(length) - i) * spacing_;
    kernel =
        kernel.unsqueeze(-1) * at::where(z <= kReach, (-0.5 * z.square()).exp(), at::zeros_like(z));
  }
  grid_ = at::fft_irfftn(at::fft_rfftn(counts) * at::fft_rfftn(kernel), shape_).contiguous();
}

bool GridSums::place(const double* point, int64_t* corner, double* part) const {
  for (int64_t j = 0; j < d_; ++j) {
    const double v = (point[j] - low_[static_cast<size_t>(j)]) / spacing_;
    const int64_t length = shape_[static_cast<size_t>(j)];
    if (!(v >= 0 && v < static_cast<double>(length - 1))) return false;
    corner[j] = static_cast<int64_t>(v);
    part[j] = v - static_cast<double>(corner[j]);
  }
  return true;
}

double GridSums::sum(const double* query) const {
  int64_t corner[3];
  double part[3];
  if (!place(query, corner, part)) return 0;
  const double* g = grid_.data_ptr<double>();
  double sum = 0;
  for (int64_t which = 0; which < (int64_t{1} << d_); ++which) {
    double share = 1;
    int64_t at = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const int64_t up = which >> j & 1;
      share *= up ? part[j] : 1 - part[j];
      at = at * shape_[static_cast<size_t>(j)] + corner[j] + up;
    }
    sum += share * g[at];
  }
  return std::max(sum, 0.0);
}

}  // namespace covary::mixture
