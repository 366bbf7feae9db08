// Gaussian processes whose points fill a grid, and whose kernel is a product of one a axis: the same
// answer as the dense process at a small part of its cost.
//
//   GridProcess gp({years, depths}, y, {.kernels = {"matern32", "rbf"}});   // y [years, depths]
//   auto [mean, variance] = gp.predict(points);                            // points [s,2]
//
// Model: y = mean + f + noise, f of covariance k_1(x_1, x_1') ... k_d(x_d, x_d'), one noise variance
// for all, or a given one a cell beside it. A cell whose y is NaN has no value.
//   d axes      K = K_1 (x) ... (x) K_d by the eigenvectors of its factors: O(sum n_k^3 + n sum n_k)
//   one axis    with equal steps and a stationary kernel: K is Toeplitz (linalg/toeplitz.h), O(n^2)
//               a step of the fit and O(n) memory
//   holes, own noise   by grid_gaps.h: exact for some thousand holes, else by conjugate gradients
//               with a stated error of the likelihood
// A prediction's variance costs O(n) (Toeplitz: O(n^2)). Doubles; the same bits at any number of
// threads.
// Source: Saatci 2011, chapter 5 (Kronecker); Cunningham, Shenoy and Sahani 2008 (Toeplitz).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/grid_gaps.h"
#include "covary/stat/process/grid_options.h"
#include "covary/stat/process/grid_spectrum.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

// Whether the process of these axes is taken as Toeplitz.
bool is_toeplitz(const GridAxes& axes, std::span<const Kernel> kernels);

struct GridGradient {
  std::vector<std::vector<double>> kernels;  // an axis, by log parameter
  double noise = 0;                          // by log noise
};
// Log marginal likelihood of y [n_1, ..., n_d], -infinity where K has no factor; coefficient: of
// the const mean, or null for mean zero. gradient may be null.
double grid_log_likelihood(const GridAxes& axes, std::span<const Kernel> kernels, double noise,
                           const at::Tensor& y, double* coefficient, GridGradient* gradient);

struct GridReport {
  std::vector<std::string> kernels;  // with the fitted values
  double noise = 0;                  // variance, units of y^2
  double mean = 0;                   // units of y
  double log_likelihood = 0;
  bool toeplitz = false;
  int64_t holes = 0;  // cells without value
  GapReport gaps;     // where there are such, or cells have noise of their own
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;  // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
};

struct GridPrediction {
  at::Tensor mean, variance;  // [s]
};

class GridProcess {
 public:
  // y [n_1, ..., n_d] double, NaN = no value; noise: variances of the same shape, or undefined; then
  // the common noise is 0 unless options.noise says otherwise. Throws Error(kData) naming axis or
  // cell for values that are infinite, an axis that is empty or has equal coordinates; Error(kUsage) for shapes, options and a
  // kernel with white; Error(kFailed) when no parameters give a finite likelihood.
  GridProcess(GridAxes axes, const at::Tensor& y, const GridOptions& options = {},
              const at::Tensor& noise = {});

  // points [s,d], anywhere; noise: of a new value, not of f.
  GridPrediction predict(const at::Tensor& points, bool noise = false) const;
  // What each cell's value is predicted to be from all others, noise included, [n] in row order; NaN
  // for holes, and beyond grid_gaps.h's direct solutions for all but 256 cells. By eigenvectors of
  // the axes, also where the process is Toeplitz.
  GridPrediction leave_one_out() const;
  const GridReport& report() const { return report_; }
  const GridAxes& axes() const { return axes_; }
  const std::vector<Kernel>& kernels() const { return kernels_; }
  bool fits_noise() const { return own_noise_; }
  // What a fit moves, at its present values: logarithms of each kernel's free parameters (real ones as
  // they are), then of the noise where it is one.
  std::vector<double> packed() const;
  void bounds(std::vector<double>* lower, std::vector<double>* upper) const;
  // Log likelihood plus log prior there, -infinity where there is none; gradient [packed]. `kernels` are
  // those of the axes, and are changed.
  double objective(std::span<const double> at, std::vector<Kernel>* kernels,
                   std::span<double> gradient);

 private:
  void take_cells(const at::Tensor& y, const at::Tensor& noise);
  bool full() const { return cells_.holes.empty() && cells_.noise.empty(); }
  double log_likelihood(std::span<const Kernel> kernels, double noise, double* coefficient,
                        GridGradient* gradient);
  GridPrediction leave_out_known(const GridSpectrum& q) const;
  void start_by_data(double variance);
  void fit(const GridOptions& options);
  // Takes the parameters as packed; the noise.
  double unpack(std::span<const double> at, std::vector<Kernel>* kernels) const;

  GridAxes axes_;
  at::Tensor y_;  // 0 where there is no value
  GridCells cells_;
  GapOptions gaps_;
  bool own_noise_ = true;  // a common noise is a parameter
  double least_noise_ = 0, most_noise_ = 0;
  bool constant_ = false;
  std::vector<Kernel> kernels_;
  GridReport report_;
};

}  // namespace covary::stat
