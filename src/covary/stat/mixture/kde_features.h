// Estimates of kernel sums of which no bound is known: random Fourier features and landmarks. Within
// mixture only. For kernels whose Fourier transform is a law to draw from: gaussian, exponential,
// laplacian.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/kde_kernel.h"
#include "covary/stat/mixture/kde_tree.h"

namespace covary::mixture {

bool has_features(Kernel kernel);

// K(z) = E cos(omega . z), omega from the kernel's spectral law (Rahimi and Recht 2007; normal for
// gaussian, Cauchy in each coordinate for laplacian, Cauchy in d dimensions for exponential), so a sum
// over points is the mean over omega of
//   f(omega) = cos(omega q) C(omega) + sin(omega q) S(omega),  C + i S = sum w exp(i omega x)
// whose draws are independent: the estimate is without bias and its standard error is the draws' own.
// Estimates may be below 0. Cost: (n + m) features sines and cosines.
class RandomFeatures {
 public:
  // Points x [n,d] in bandwidths. The same seed draws the same frequencies.
  RandomFeatures(Kernel kernel, const std::vector<double>& x, const std::vector<double>& weights,
                 int64_t n, int64_t d, int64_t features, int64_t seed);
  // Sums at queries [m,d] and their standard errors, which may be null.
  void sums(const double* queries, int64_t m, double* out, double* standard_errors) const;

 private:
  int64_t d_, features_, padded_;
  std::vector<double> middle_;           // [d]: phases are about it
  std::vector<double> frequencies_;      // [d][padded], turns a bandwidth
  std::vector<double> cosines_, sines_;  // C, S [padded]
};

// The projection of the sum, as a function of q, on the kernels at landmarks (Williams and Seeger
// 2001): sum_l b_l K(q - x_l), K_LL b = (exact sums at the landmarks), by eigenvalues above 1e-10 of
// the largest. Landmarks are rows drawn without replacement. Cost: n + m kernels a landmark, and
// their number cubed.
class Landmarks {
 public:
  static constexpr int64_t kChecked = 128;

  Landmarks(Kernel kernel, const std::vector<double>& x, const std::vector<double>& weights,
            int64_t n, int64_t d, int64_t landmarks, int64_t seed, const KdeTree& tree);
  void sums(const double* queries, int64_t m, double* out) const;
  // Root mean square error of the sums at kChecked other rows (landmarks when there are none),
  // measured.
  double error() const { return error_; }

 private:
  Kernel kernel_;
  int64_t d_, padded_;
  double error_ = 0;
  std::vector<double> columns_, weights_;  // [d][padded], [padded]
};

}  // namespace covary::mixture
