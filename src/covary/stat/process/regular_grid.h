// Gaussian processes on a full grid with equal steps along every axis, for kernels of differences that
// are no product over the axes: K is Toeplitz in blocks, its products cost a Fourier transform.
//
//   RegularGridProcess gp({rows, columns}, y, {.kernel = "matern52(ard)"});   // y [rows, columns]
//   auto [mean, variance] = gp.predict(points);                               // points [s,2]
//
// Model: y = mean + f + noise with one noise variance, the kernel's white. Solutions are by conjugate
// gradients, preconditioned by the nearest circulant matrix (linalg/toeplitz_grid.h), to a stated
// residual. log |K| is that of the circulant, exactly, and what Lanczos for a few probes of its
// covariance finds is left, with a standard error; the probes are fixed, so the likelihood is a smooth
// function that a search can follow. Its gradient is contracted with the kernel's by difference: the
// kernel is evaluated at 2^d N differences, N cells, not at N^2 pairs.
// Costs: O(N log N) a product; a prediction's variance takes a solution. Doubles; the same bits at any
// number of threads.
// Source: Cunningham, Shenoy and Sahani 2008; Wilson, Dann and Nickisch 2015; Gardner et al. 2018.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/grid_spectrum.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/regular_grid_options.h"

namespace covary::stat {

struct RegularGridReport {
  std::string kernel;  // with the fitted values
  double log_likelihood = 0;
  double error = 0;      // standard error of it by the probes, nats
  double mean = 0;       // units of y
  int64_t products = 0;  // of the longest solve
  double residual = 0;   // largest, relative
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

struct RegularGridPrediction {
  at::Tensor mean, variance;  // [s]
};

class RegularGridProcess {
 public:
  // y [n_1, ..., n_d] double. Throws Error(kData) for steps that are not equal and values that are
  // missing or not finite; Error(kUsage) for shapes, options and a kernel that sees more than
  // differences; Error(kFailed) where no parameters give a finite likelihood.
  RegularGridProcess(GridAxes axes, const at::Tensor& y, const RegularGridOptions& options = {});

  // points [s,d], anywhere; noise: of a new value, not of f.
  RegularGridPrediction predict(const at::Tensor& points, bool noise = false) const;
  // What each cell's value is predicted to be from all others, noise included, [n] in row order; NaN
  // for all but 256 cells, spread evenly.
  RegularGridPrediction leave_one_out() const;
  // Of these values with another kernel, and its gradient by all parameters, where that is not null;
  // -infinity where there is none.
  double log_likelihood(const Kernel& kernel, std::vector<double>* gradient) const;
  const RegularGridReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }
  const GridAxes& axes() const { return axes_; }

 private:
  struct Solution {
    std::vector<double> alpha, ones;  // K^-1 (y - mean), K^-1 1
    double mean = 0, precision = 0;
    double error = 0, residual = 0;
    int64_t products = 0;
  };
  double evaluate(const Kernel& kernel, std::vector<double>* gradient, Solution* solution) const;
  at::Tensor lags_of(const Kernel& kernel) const;  // covariances of all differences, noise with 0
  void fit();
  struct Matrices;
  Matrices matrices() const;  // of the kernel as it is
  // K^-1 of rows [count, cells].
  void solve(const Matrices& m, std::vector<double>* rows, int64_t count) const;

  RegularGridOptions options_;
  GridAxes axes_;
  std::vector<int64_t> shape_;
  int64_t cells_ = 1;
  std::vector<double> points_, differences_;  // [cells, d], [lags, d]
  std::vector<double> y_;                     // less centre_
  double centre_ = 0;
  bool constant_ = true;
  Kernel kernel_;
  Solution solution_;
  RegularGridReport report_;
};

}  // namespace covary::stat
