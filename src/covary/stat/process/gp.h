// Exact Gaussian process regression: fit, predict, check, sample, and add points as they come.
//
//   auto gp = stat::fit_gp(X, y, {.kernel = "matern52(ard)"});      // X [n,d], y [n] or [n,m]
//   auto [mean, variance, covariance] = gp.predict(Xs);             // of the function at Xs
//   log_info(gp.report().text());                                   // what was fitted, how it ended
//
// y_i = f(x_i) + h(x_i)' b + noise, with f a zero-mean process of the kernel and b the coefficients
// of the mean by generalised least squares. Outputs are independent processes that share the
// kernel. NaN in y is a missing value. Parameters are those of the largest marginal likelihood
// (times priors, where the kernel has some), on the scale of the data as they come.
//
// n^3 flops and 8 n^2 bytes a step of the fit and group of outputs with the same missing rows;
// O(n^2) a predicted variance, O(n) a mean, O(n^2) an added point. Doubles throughout.
// Everything that comes out is finite, or an Error says why it cannot be: bad cells and columns
// (kData, see gp_data.h), a matrix that no jitter makes positive definite (kFailed, naming row and
// pivot), shapes and options (kUsage).
// The same seed gives the same bits at any number of threads. Const members may be called from
// several threads at once.
// Source: Rasmussen and Williams 2006, chapters 2 and 5; leave-one-out: their eq. 5.12, with
// coefficients of the mean Dubrule 1983; starts by the data: length scale = median distance,
// signal = variance of y, noise = a tenth of it.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/gp_options.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/marginal.h"

namespace covary::stat {

struct PredictOptions {
  bool noise = false;       // add the variance of the kernel's white: of a new value, not of f
  bool covariance = false;  // also between the points
};

// mean: [s] or [s,m] like y; variance [s] or [s,m]; covariance [s,s] or [m,s,s], or undefined.
struct Prediction {
  at::Tensor mean, variance, covariance;
};

struct GpReport {
  std::string kernel;  // with the fitted values
  std::vector<KernelParameter> parameters;
  double log_likelihood = 0;  // marginal, in nats, on the scale of y
  double log_prior = 0;
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;  // of the fit
  double gradient_norm = 0;                              // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;  // parameters that a bound holds back
  numeric::Curvature curvature;       // of the search's last steps, by free parameters
  double jitter = 0;                  // added to the diagonal, units of y^2
  double condition = 1;               // of the kernel matrix, estimated (1-norm)
  std::string text() const;           // several lines for a person
};

class GaussianProcess {
 public:
  // noise: variances [n] of the rows, or their weights (row_noise.h). Throws as said above;
  // Error(kUsage) for weights and a kernel without white.
  GaussianProcess(const at::Tensor& x, const at::Tensor& y, const GpOptions& options = {},
                  const RowNoise& noise = {});
  // With a kernel made by hand: bounds, ties, priors. options.kernel is not read.
  GaussianProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel,
                  const GpOptions& options = {}, const RowNoise& noise = {});

  Prediction predict(const at::Tensor& points, const PredictOptions& options = {}) const;
  // d mean / d point: [s,d] or [s,m,d].
  at::Tensor mean_gradient(const at::Tensor& points) const;
  // Log density of values at points, noise included, point by point: like y. NaN stays out (0).
  at::Tensor score_samples(const at::Tensor& points, const at::Tensor& y) const;
  // Joint draws of f at the points: [count,s] or [count,s,m].
  at::Tensor sample(const at::Tensor& points, int64_t count, uint64_t seed) const;
  // What each training value is predicted to be from all others, noise included; NaN where y is
  // missing. O(n^3), no refit.
  Prediction leave_one_out() const;

  // Adds one row with the parameters as they are: O(n^2). x [d]; y [m], NaN = missing. noise and
  // weight: its own, when the others came with one.
  void append(const at::Tensor& x, const at::Tensor& y, double noise = 0, double weight = 1);

  // Kernel, data and report as a model file's content (schema covary.process, method exact), and
  // back; loading factors anew. save and load: the same with the file, .json or .cov.
  data::Model model() const;
  static GaussianProcess of_model(const data::Model& model);
  void save(const std::filesystem::path& path) const { data::write_model(path, model()); }
  static GaussianProcess load(const std::filesystem::path& path) {
    return of_model(data::read_model(path, "covary.process", 1));
  }

  const Kernel& kernel() const { return kernel_; }
  const GpReport& report() const { return report_; }
  const GpData& data() const { return data_; }
  const std::vector<PosteriorFactor>& factors() const { return factors_; }  // of data().groups
  int64_t size() const { return data_.n; }

 private:
  GaussianProcess() = default;
  void fit(const GpOptions& options);
  void condition();  // factors every group, completes the report
  void complete_report();
  at::Tensor shaped(const std::vector<double>& values, int64_t count) const;

  GpData data_;
  Kernel kernel_;
  std::vector<PosteriorFactor> factors_;  // a group
  GpReport report_;
};

// The three-line use.
inline GaussianProcess fit_gp(const at::Tensor& x, const at::Tensor& y,
                              const GpOptions& options = {}, const RowNoise& noise = {}) {
  return GaussianProcess(x, y, options, noise);
}

}  // namespace covary::stat
