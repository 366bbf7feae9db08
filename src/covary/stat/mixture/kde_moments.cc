#include "covary/stat/mixture/kde_moments.h"

#include <algorithm>
#include <cmath>

namespace covary::mixture {

LineMoments::LineMoments(const std::vector<double>& x, const std::vector<double>& weights) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  low_ = *low;
  const double count = (*high - *low) / kCell + 1;
  if (!(count < 1000 + 4 * static_cast<double>(x.size()))) return;
  usable_ = true;
  cells_ = static_cast<int64_t>(count);
  moments_.assign(static_cast<size_t>(cells_ * kOrder), 0.0);
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t cell = std::min(cells_ - 1, static_cast<int64_t>((x[i] - low_) / kCell));
    const double v = x[i] - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
    double term = weights[i] * std::exp(-0.5 * v * v);
    total_ += weights[i];
    double* m = moments_.data() + cell * kOrder;
    for (int k = 0; k < kOrder; ++k) {
      m[k] += term;
      term *= v / (k + 1);
    }
  }
}

bool LineMoments::sum(double q, double& out) const {
  const double place = (q - low_) / kCell;
  const double reach = kReach / kCell;
  if (!(place > -reach && place < static_cast<double>(cells_) + reach)) return false;
  const int64_t first = std::max<int64_t>(0, static_cast<int64_t>(std::ceil(place - reach)));
  const int64_t last = std::min(cells_ - 1, static_cast<int64_t>(std::floor(place + reach)) - 1);
  double total = 0;
  for (int64_t cell = first; cell <= last; ++cell) {
    const double* m = moments_.data() + cell * kOrder;
    if (m[0] == 0) continue;
    const double z = q - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
    // Even and odd terms apart: two chains.
    const double square = z * z;
    double even = m[kOrder - 2], odd = m[kOrder - 1];
    for (int k = kOrder - 4; k >= 0; k -= 2) {
      even = even * square + m[k];
      odd = odd * square + m[k + 1];
    }
    total += std::exp(-0.5 * square) * (even + z * odd);
  }
  out = total;
  // What lies in no summed cell is at least kReach - kCell away.
  const double beyond = kReach - kCell;
  return total_ * std::exp(-0.5 * beyond * beyond) <= 1e-12 * total;
}

}  // namespace covary::mixture
