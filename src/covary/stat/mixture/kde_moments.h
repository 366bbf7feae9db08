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
// terms taken, 14 for |z| <= 2, 18 to 4.5, 24 to 9, 30 to kReach.
//
// A cell with queries gets the sum's Chebyshev interpolant of degree 13, from the moments of kWindow
// cells to either side by one fixed table. The sum f satisfies |f(x + i y)| <= exp(y^2 / 2) f(x), and
// log f + x^2 / 2 is convex, so f at 2.5 bandwidths to both sides of the middle bounds it on the
// ellipse about the cell with half axes adding to 19.9 / 4: the interpolant errs by at most 1.4e-15 of
// the larger of these two. Where that, or the weight beyond the window, might be 1e-12 of the sum (far
// tails), cells are summed one by one instead, outwards from q until all others together are below
// that.
// Cost: 30 n, about 13,000 a cell with queries, 28 a query.
class LineMoments {
 public:
  static constexpr int kOrder = 30;
  static constexpr double kCell = 0.5, kReach = 14.0;  // bandwidths
  static constexpr int64_t kWindow = 19;               // cells

  // Points x [n] in bandwidths. usable() is false when there would be many more cells than points.
  LineMoments(const std::vector<double>& x, const std::vector<double>& weights);
  bool usable() const { return usable_; }

  // Sums at queries [m] within 2e-12 of themselves; NaN where cells beyond kReach might matter.
  void sums(const double* queries, int64_t m, double* out) const;

 private:
  double part(int64_t cell, double q, double& nearness) const;
  double direct(double q) const;

  bool usable_ = false;
  double low_ = 0, total_ = 0;
  int64_t cells_ = 0;
  std::vector<double> moments_;  // [cells,kOrder]
};

}  // namespace covary::mixture
