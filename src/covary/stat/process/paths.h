// Draws of a process's posterior as functions: evaluated anywhere, as often as wanted, with slopes.
//
//   SamplePaths f = sample_paths(gp, 32, {.features = 1000, .seed = 7});
//   at::Tensor values = f.evaluate(points);      // [32, s], or [32, s, m] for several outputs
//   at::Tensor slopes = f.gradient(points);      // [32, s, d], or [32, s, m, d]
//
// A draw of the prior by random Fourier features, corrected by the data (Matheron's rule):
//   f = g + k(., X) K^-1 (y - g(X) - e),   g = sum_j a_j sqrt(2 S / M) cos(w_j . x + b_j),
// with e a draw of the noise, and the mean's coefficients by generalised least squares of the same
// residual. Exact but for g: its covariance is the kernel's in the mean over draws, every draw having
// frequencies of its own; a single draw is a normal process up to O(1 / sqrt M). Far from the data a
// draw is g, near them the data hold it.
// n^2 a draw to make; (M d + n) a draw and point to evaluate. Kernels need a spectral measure
// (spectral.h): Error(kUsage) names the leaf that has none. The same seed gives the same functions.
// Source: Wilson et al. 2020, eq. 13 (pathwise conditioning); Rahimi and Recht 2007.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/gp.h"

namespace covary::stat {

struct PathOptions {
  int64_t features = 1000;  // M, 1
  uint64_t seed = 0;
};

class SamplePaths {
 public:
  SamplePaths(const GaussianProcess& gp, int64_t count, const PathOptions& options = {});

  at::Tensor evaluate(const at::Tensor& points) const;
  at::Tensor gradient(const at::Tensor& points) const;  // d f / d point
  int64_t count() const { return count_; }
  // One draw of the first output at a point x [d]; adds its slope to gradient [d] unless that is
  // null. For searches, which move a point at a time.
  double value_at(int64_t draw, const double* x, double* gradient) const;

 private:
  // g of one draw and output at points [s, d], and its slopes [s, d]; null where not wanted.
  void prior(int64_t draw, int64_t output, const double* x, int64_t s, double* value,
             double* slope) const;

  struct Group {
    std::vector<int64_t> outputs;
    std::vector<double> x;             // [n, d]
    std::vector<double> alpha;         // [outputs, draws, n]
    std::vector<double> coefficients;  // [outputs, draws, p]
    int64_t n = 0;
  };
  int64_t count_ = 0, features_ = 0;
  Kernel kernel_;
  GpData mean_of_;                        // without rows: basis and shapes
  std::vector<double> origin_;            // of the features, [d]
  std::vector<double> frequencies_;       // [outputs, draws, features, d]
  std::vector<double> phases_, weights_;  // [outputs, draws, features]
  std::vector<Group> groups_;
};

inline SamplePaths sample_paths(const GaussianProcess& gp, int64_t count,
                                const PathOptions& options = {}) {
  return SamplePaths(gp, count, options);
}

}  // namespace covary::stat
