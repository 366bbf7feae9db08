// Gaussian sums on a grid by the fast Fourier transform. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

namespace covary::mixture {

// Points are shared out among the corners of their cells (linear binning), the grid is convolved
// with the kernel, and queries are read off linearly (Silverman 1982; Wand 1994). Both steps are
// linear interpolation in each coordinate of a kernel whose second derivatives are at most 1, so each
// errs by at most sum_j delta_j^2 / 8 a unit of weight, delta_j the spacing in bandwidths:
//   |sum - exact| <= (d delta^2 / 4 + rounding) W.
// delta is the largest that keeps this within `absolute`, at most 1/2. The grid reaches kReach beyond
// the points, where a kernel is below 3e-18, so that nothing wraps around; further out sums are 0.
// Cost: n 2^d + N log N for N cells, then 2^d a query.
class GridSums {
 public:
  static constexpr double kReach = 9;
  static constexpr int64_t kMostCells = int64_t{1} << 25;

  // Points x [n,d] in bandwidths, d at most 3. Error(kUsage) when the grid would be too large; it
  // says what would do.
  GridSums(const std::vector<double>& x, const std::vector<double>& weights, int64_t n, int64_t d,
           double absolute);

  double sum(const double* query) const;  // not below 0
  double bound() const { return bound_; }
  // Sums below this are rounding.
  double noise() const { return noise_; }
  int64_t cells() const { return grid_.numel(); }

 private:
  // The corner below and how far beyond it, in cells; false when outside.
  bool place(const double* point, int64_t* corner, double* part) const;

  int64_t d_;
  double spacing_ = 0, bound_ = 0, noise_ = 0;
  std::vector<double> low_;
  std::vector<int64_t> shape_;
  at::Tensor grid_;
};

}  // namespace covary::mixture
