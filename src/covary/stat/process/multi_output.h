// Gaussian processes of several outputs that know of each other: the linear model of
// coregionalisation.
//
//   MultiOutputProcess gp(X, Y, {.kernels = {"matern52(ard)"}, .rank = 2});   // X [n,d], Y [n,m]
//   auto [mean, variance] = gp.predict(Xs, /*noise=*/true);                   // [s,m] each
//   gp.parameters().between(0);                                               // B of latent process 0
//
// Model: y_o(x) = b_o + f_o(x) + noise of variance s_o, with
//   cov(f_o(x), f_p(x')) = sum_q B^q_op k_q(x, x'),   B^q = W_q W_q' + diag(own_q).
// NaN in Y is a missing value, of that output alone: an output that is known in few rows learns from
// the others. With W = 0 and one latent process the outputs are independent.
//   any mask         dense factor of all N known values: N^3 flops a step of the fit, 16 N^2 bytes
//   one kernel, no   K = B (x) k + S (x) I by eigenvectors of the whitened B and of k: n^3 + m^3 a
//   missing value    step, O(n m) a predicted variance
// Both give the same numbers. Doubles; the same bits at any number of threads. Errors as in
// gp_data.h.
// Source: Journel and Huijbregts 1978 (the model); Alvarez, Rosasco and Lawrence 2012, section 4;
// whitened Kronecker form: Rakitsch et al. 2013. Leaving out: Rasmussen and Williams 2006, eq. 5.12.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/multi_output_options.h"

namespace covary::stat {

struct MultiOutputParameters {
  std::vector<Kernel> kernels;       // a latent process
  std::vector<at::Tensor> loadings;  // W, [m, rank] each
  std::vector<at::Tensor> own;       // [m] each, > 0
  at::Tensor noise;                  // [m], > 0, units of y^2

  at::Tensor between(size_t latent) const;  // B, [m, m]
};

struct MultiOutputGradient {
  std::vector<std::vector<double>> kernels;  // by log parameter
  std::vector<at::Tensor> loadings;          // by entry
  std::vector<at::Tensor> own;               // by logarithm
  at::Tensor noise;                          // by logarithm
};

// Which of the two forms computes; kAuto takes the cheaper one that can.
enum class MultiOutputForm { kAuto, kDense, kKronecker };

// Log marginal likelihood of y [n, m] with NaN where missing; -infinity where there is no factor.
// coefficients: [m] of the const means, or null for mean zero; gradient may be null.
double multi_output_log_likelihood(const MultiOutputParameters& parameters, const at::Tensor& x,
                                   const at::Tensor& y, at::Tensor* coefficients,
                                   MultiOutputGradient* gradient,
                                   MultiOutputForm form = MultiOutputForm::kAuto);

struct MultiOutputReport {
  double log_likelihood = 0;
  std::vector<double> means;  // b
  bool kronecker = false;
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
};

struct MultiOutputPrediction {
  at::Tensor mean, variance;  // [s, m]
};

class MultiOutputProcess {
 public:
  MultiOutputProcess(const at::Tensor& x, const at::Tensor& y,
                     const MultiOutputOptions& options = {});
  // With parameters that are known.
  MultiOutputProcess(const at::Tensor& x, const at::Tensor& y, MultiOutputParameters parameters,
                     const std::string& mean = "const");

  MultiOutputPrediction predict(const at::Tensor& points, bool noise = false) const;
  // Each known value by all others of all outputs, noise included: [n, m], NaN where missing. In
  // closed form, with the parameters of all rows.
  MultiOutputPrediction leave_one_out() const;
  // Joint draws of the functions: [count, s, m]. (s m)^3 flops.
  at::Tensor sample(const at::Tensor& points, int64_t count, uint64_t seed) const;
  const MultiOutputParameters& parameters() const { return parameters_; }
  const MultiOutputReport& report() const { return report_; }
  const at::Tensor& x() const { return x_; }
  const at::Tensor& y() const { return y_; }  // [n, m]

 private:
  void take(const at::Tensor& x, const at::Tensor& y, const std::string& mean);
  void start_by_data(const MultiOutputOptions& options);
  void fit(const MultiOutputOptions& options);
  void condition();

  at::Tensor x_, y_;
  bool constant_ = false;
  MultiOutputParameters parameters_;
  MultiOutputReport report_;
};

}  // namespace covary::stat
