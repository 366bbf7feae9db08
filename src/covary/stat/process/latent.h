// Gaussian processes behind a likelihood over all rows: classification, counts, heavy tails.
//
//   auto gp = stat::fit_latent(X, y, {.likelihood = "poisson"});        // y [n], NaN = missing
//   auto [mean, variance] = gp.predict(Xs);                             // of the function
//   auto [rate, spread] = gp.likelihood().predict(m, v);                // of a value
//   log_info(gp.report().ending);
//
// method laplace (laplace.h), ep (expectation_propagation.h) or vi (variational_sites.h). Kernel,
// likelihood and mean of the function are fitted by L-BFGS on the evidence, its approximation or
// bound, plus log priors. n^3 flops and 16 n^2 bytes an evaluation; O(n^2) a predicted variance.
// Errors as in gp_data.h and likelihood.h; Error(kUsage) for a kernel with white; Error(kFailed)
// when no evidence is finite, or for more memory than the limit.
// The same seed gives the same bits at any number of threads. Const members may be called from
// several threads at once.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/expectation_propagation.h"
#include "covary/stat/process/latent_options.h"
#include "covary/stat/process/latent_problem.h"

namespace covary::stat {

struct LatentReport {
  double log_likelihood = 0;  // marginal, nats: approximate, a lower bound with vi
  bool converged = false;     // the inference at these parameters
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;  // nats per unit of a logarithm
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

class LatentProcess {
 public:
  // weights [n] multiply the rows' log densities, those of gaussian divide its noise instead
  // (row_noise.h); undefined: 1. Not with ep.
  LatentProcess(const at::Tensor& x, const at::Tensor& y, const LatentOptions& options = {},
                const at::Tensor& weights = {});
  // With parameters as they are.
  LatentProcess(const at::Tensor& x, const at::Tensor& y, LatentModel model,
                const std::string& method, const at::Tensor& weights = {});

  LatentPrediction predict(const at::Tensor& points) const;
  at::Tensor covariance(const at::Tensor& points) const;  // of the function, [s,s]
  // The function at each row as all other rows tell it, parameters as they are: [n], NaN where y is
  // missing. With laplace and vi the Gaussian without the row's own factor.
  LatentPrediction leave_one_out() const;

  // The evidence with other parameters, and its gradient; -infinity where there is none.
  double log_likelihood(const LatentModel& model, LatentGradient* gradient) const;

  const LatentModel& model() const { return model_; }
  const Kernel& kernel() const { return model_.kernel; }
  const Likelihood& likelihood() const { return model_.likelihood; }
  double mean() const { return model_.mean; }
  const std::string& method() const { return method_; }
  const LatentReport& report() const { return report_; }

 private:
  void fit(LatentProblem* problem, const LatentOptions& options);
  void condition();

  std::string method_;
  LatentModel model_;
  int64_t n_ = 0;
  std::vector<int64_t> rows_;
  std::vector<double> x_, y_, weights_;
  SiteState sites_;
  std::optional<SitePosterior> posterior_;
  Cavity cavity_;
  LatentReport report_;
};

inline LatentProcess fit_latent(const at::Tensor& x, const at::Tensor& y,
                                const LatentOptions& options = {}, const at::Tensor& weights = {}) {
  return LatentProcess(x, y, options, weights);
}

}  // namespace covary::stat
