// Stochastic variational Gaussian processes: any likelihood, any number of rows, by batches and
// inducing points.
//
//   auto gp = stat::fit_variational(X, y, {.likelihood = "bernoulli", .inducing = 300});  // y [n]
//   LatentPrediction f = gp.predict(Xs);                 // mean and variance of the function
//   gp.likelihood().predict(mean, variance);             // of a value
//   gp.report().bound;                                   // nats, at most the log likelihood
//
// The function at m inducing points is mean + L v, q(v) = N(m, S); a step takes a batch, moves q by
// a natural-gradient step and kernel, likelihood, mean and points by Adam, with analytic gradients
// (variational_step.h). The rate of Adam falls along a cosine to a hundredth. Rows come in shuffled
// order, each once an epoch. The inducing points start as the greedy choice of sparse.h among a
// sample of the rows.
// After the steps q takes whole passes of the data, in double, with everything else as it is, and
// the bound is that of all rows: a lower bound of the log marginal likelihood. With a Gaussian
// likelihood one pass is the exact optimum of q, and the bound that of sparse.h.
//
// O(batch m^2 + m^3) a step, O(n m^2) a pass; 8 (n d + 4 batch m + 9 m^2) bytes or so. The same
// seed gives the same bits at any number of threads. Const members may be called from several
// threads at once. Errors as in gp_data.h and likelihood.h; Error(kUsage) for a kernel with white,
// Error(kFailed) when the kernel of the inducing points has no factor.
// Source: Hensman, Matthews and Ghahramani 2015; Salimbeni, Eleftheriadis and Hensman 2018.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/latent_problem.h"
#include "covary/stat/process/variational_options.h"
#include "covary/stat/process/variational_step.h"

namespace covary::stat {

struct VariationalReport {
  double bound = 0;       // of the log marginal likelihood, nats, all rows
  double divergence = 0;  // its part that is q's from the prior
  int64_t inducing = 0;
  double jitter = 0;  // of the mean diagonal of K_mm
  bool fitted = false;
  bool stopped = false;  // the watch of the options ended the steps
  int64_t steps = 0, batch = 0;
  int64_t passes = 0;    // of q over all rows, after the steps
  double last_gain = 0;  // of the last pass, nats
  // Mean of the bound's estimates over each tenth of the steps.
  std::vector<double> trace;
};

class VariationalProcess {
 public:
  // X [n,d], y [n] doubles; rows with NaN in y are left out. weights [n] multiply the rows' log
  // densities, those of gaussian divide its noise instead (row_noise.h); undefined: 1.
  VariationalProcess(const at::Tensor& x, const at::Tensor& y,
                     const VariationalOptions& options = {}, const at::Tensor& weights = {});
  // With parameters and points [m,d] as they are: q alone is found, by whole passes.
  VariationalProcess(const at::Tensor& x, const at::Tensor& y, LatentModel model,
                     const at::Tensor& inducing, const at::Tensor& weights = {});
  // One whose parameters, points and q are known.
  VariationalProcess(LatentModel model, const at::Tensor& inducing, const VariationalState& state,
                     const VariationalReport& report);

  LatentPrediction predict(const at::Tensor& points) const;
  at::Tensor covariance(const at::Tensor& points) const;  // of the function, [s,s]

  const LatentModel& model() const { return model_; }
  const Kernel& kernel() const { return model_.kernel; }
  const Likelihood& likelihood() const { return model_.likelihood; }
  double mean() const { return model_.mean; }
  const VariationalReport& report() const { return report_; }
  at::Tensor inducing() const;  // [m,d]
  VariationalState state() const { return step_.state(); }

 private:
  template <class Real>
  void run(LatentProblem* problem, const VariationalOptions& options);
  void finish(std::span<const double> x, std::span<const double> y, std::span<const double> weights,
              const VariationalState& start);

  LatentModel model_;
  std::vector<double> z_;
  VariationalStep<double> step_{0};
  VariationalReport report_;
};

inline VariationalProcess fit_variational(const at::Tensor& x, const at::Tensor& y,
                                          const VariationalOptions& options = {},
                                          const at::Tensor& weights = {}) {
  return VariationalProcess(x, y, options, weights);
}

}  // namespace covary::stat
