// Gaussian sums over points on a line by moments of cells. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

// With z = q - c and v = x - c, in bandwidths, and c the middle of the cell that holds x,
//   exp(-(q - x)^2 / 2) = exp(-z^2 / 2) exp(-v^2 / 2) sum_m z^m v^m / m!
// so a cell of points is its moments sum w exp(-v^2 / 2) v^m / m!: one factor of the improved fast
// Gauss transform (Yang, Duraiswami, Gumerov 2003). Cells are half a bandwidth wide, |v| <= 1/4. p
// terms leave at most (|z| / 4)^p / p! e^(|z| / 2) of a cell's part: below 1e-13 for the numbers of
// terms taken, 14 for |z| <= 2, 18 to 4.5, 24 to 9, 30 to kReach. Cells are summed outwards from q
// until all others together are below 1e-12 of the sum.
class LineMoments {
 public:
  static constexpr int kOrder = 30;
  static constexpr double kCell = 0.5, kReach = 14.0;  // bandwidths

  // Points x [n] in bandwidths. usable() is false when there would be many more cells than points.
  LineMoments(const std::vector<double>& x, const std::vector<double>& weights);
  bool usable() const { return usable_; }

  // Sum at q within 2e-12 of itself; false when cells beyond kReach might matter.
  bool sum(double q, double& out) const;

 private:
  double part(int64_t cell, double q, double& nearness) const;

  bool usable_ = false;
  double low_ = 0, total_ = 0;
  int64_t cells_ = 0;
  std::vector<double> moments_;  // [cells,kOrder]
};

}  // namespace covary::mixture
