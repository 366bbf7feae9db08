// Gaussian process regression on values and slopes: rows may be observations of a derivative, and
// predictions may be of one.
//
//   // row i is y_i = f(x_i) where along_i = -1, else df / dx_(along_i) at x_i
//   DerivativeProcess gp(x, along, y, {.kernel = "rbf(ard)"});
//   Prediction p = gp.predict(points, along_points);        // mean, variance, covariance
//
// The process of gp.h, with covariances of derivatives (kernel_jets.h); kernels must be smooth enough
// for them. White is the noise of values; a row of slopes carries the variance that `noise` gives it,
// and none without. The mean's basis is differentiated with the rest. Parameters are fitted by the
// marginal likelihood of all rows and the priors of gp_options.h; its gradient takes central
// differences of the covariance matrix: n^3 + 2 p n^2 a step. Data, options, errors as in gp.h; one
// output.
// Source: Rasmussen and Williams 2006, section 9.4; Solak et al. 2003.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/gp.h"

namespace covary::stat {

class DerivativeProcess {
 public:
  // x [n,d], y [n] doubles, along [n] int64 in -1 .. d-1; noise [n] variances, or undefined. NaN in y
  // is a missing value.
  DerivativeProcess(const at::Tensor& x, const at::Tensor& along, const at::Tensor& y,
                    const GpOptions& options = {}, const at::Tensor& noise = {});

  // along [s], or undefined: values everywhere. options.noise adds white to values.
  Prediction predict(const at::Tensor& points, const at::Tensor& along = {},
                     const PredictOptions& options = {}) const;
  const GpReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }

 private:
  std::vector<double> basis_at(const double* x, const std::vector<int64_t>& along) const;
  void build(const Kernel& kernel, PosteriorFactor* f) const;
  double evaluate(const Kernel& kernel, std::vector<double>* gradient,
                  linalg::CholeskyReport* failure) const;
  void fit(const GpOptions& options);

  GpData data_;
  GpGroup group_;
  std::vector<int64_t> along_;  // of the rows of the group
  Kernel kernel_;
  PosteriorFactor factor_;
  GpReport report_;
};

}  // namespace covary::stat
