// Gaussian sums over points on a line by moments of cells. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

// With z = q - c and v = x - c, in bandwidths, and c the middle of the cell that holds x,
//   exp(-(q - x)^2 / 2) = exp(-z^2 / 2) exp(-v^2 / 2) sum_m z^m v^m / m!
// so a cell of points is its moments sum w exp(-v^2 / 2) v^m / m!: one factor of the improved fast
// Gauss transform (Yang, Duraiswami, Gumerov 2003). Cells are half a bandwidth wide, |v| <= 1/4;
// cells up to kReach away are summed, so |z v| <= kReach / 4, and kOrder terms leave a relative
// error below 1e-13 of each cell.
class LineMoments {
 public:
  static constexpr int kOrder = 26;
  static constexpr double kCell = 0.5, kReach = 9.0;  // bandwidths

  // Points x [n] in bandwidths. usable() is false when there would be many more cells than points.
  LineMoments(const std::vector<double>& x, const std::vector<double>& weights);
  bool usable() const { return usable_; }

  // Sum at q within 1e-12 of itself; false when the cells left out might matter more.
  bool sum(double q, double& out) const;

 private:
  bool usable_ = false;
  double low_ = 0, total_ = 0;
  int64_t cells_ = 0;
  std::vector<double> moments_;  // [cells,kOrder]
};

}  // namespace covary::mixture
