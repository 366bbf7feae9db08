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
  double inverse[kOrder];
  for (int k = 0; k < kOrder; ++k) inverse[k] = 1.0 / (k + 1);
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t cell = std::min(cells_ - 1, static_cast<int64_t>((x[i] - low_) / kCell));
    const double v = x[i] - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
    double term = weights[i] * std::exp(-0.5 * v * v);
    total_ += weights[i];
    double* m = moments_.data() + cell * kOrder;
    for (int k = 0; k < kOrder; ++k) {
      m[k] += term;
      term *= v * inverse[k];
    }
  }
}

// What a cell adds at q; nearness is exp(-z^2 / 2), z to its middle.
double LineMoments::part(int64_t cell, double q, double& nearness) const {
  const double* m = moments_.data() + cell * kOrder;
  const double z = q - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
  const double square = z * z;
  nearness = std::exp(-0.5 * square);
  if (m[0] == 0) return 0;
  const int terms = square <= 4 ? 14 : square <= 20.25 ? 18 : square <= 81 ? 24 : kOrder;
  // Even and odd terms apart: two chains.
  double even = m[terms - 2], odd = m[terms - 1];
  for (int k = terms - 4; k >= 0; k -= 2) {
    even = even * square + m[k];
    odd = odd * square + m[k + 1];
  }
  return nearness * (even + z * odd);
}

bool LineMoments::sum(double q, double& out) const {
  const double place = (q - low_) / kCell;
  const double far = kReach / kCell - 1;
  if (!(place > -far && place < static_cast<double>(cells_) + far)) return false;
  const int64_t middle =
      std::clamp<int64_t>(static_cast<int64_t>(std::floor(place)), 0, cells_ - 1);
  double nearness = 0;
  out = part(middle, q, nearness);
  for (int64_t step = 1;; ++step) {
    const int64_t left = middle - step, right = middle + step;
    double at_left = 0, at_right = 0;
    if (left >= 0) out += part(left, q, at_left);
    if (right < cells_) out += part(right, q, at_right);
    // Points of cells not yet summed are farther than the middle of the nearer of these two.
    if (total_ * std::max(at_left, at_right) <= 1e-12 * out) return true;
    const double z = std::abs(place - static_cast<double>(middle)) + static_cast<double>(step) + 2;
    if (z * kCell > kReach) return left < 0 && right >= cells_;
  }
}

}  // namespace covary::mixture
