// The posterior of an exact process's parameters, by draws: what is known of them, not only which are
// the likeliest.
//
//   GaussianProcess gp = fit_gp(X, y, {.kernel = "matern52(ard)", .priors = "gamma"});
//   HyperSample s = sample_hyperparameters(gp, {.chains = 4, .draws = 500, .seed = 1});
//   log_info(s.text());                                  // mean, sd, quantiles, R-hat a parameter
//   PredictiveMixture m = mix_predictions(gp, s, Xs);    // see predictive_mixture.h
//
// The density is that of the marginal likelihood, with the mean's coefficients integrated over a flat
// density, times the priors of the kernel's parameters. Positive parameters are sampled by their
// logarithm, with its Jacobian; others as they are. Bounds cut the priors: outside the density is 0.
// The sampler is numeric/sampling/nuts.h; chains start around the parameters of gp. Every free
// parameter must have a prior, for where the data say nothing a flat one has no integral: those that
// gp was fitted with stay, others come from options.priors.
//
// A step costs a few (2^depth, usually 3 to 15) evaluations of likelihood and gradient, n^3 flops each;
// chains run side by side where memory allows. The same seed gives the same bits at any number of
// threads.
// Source: Neal 1997 (Monte Carlo implementation of Gaussian process models); Rasmussen and Williams
// 2006, eq. 2.45 (integrated mean), 5.4 and 5.5.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/core/data/model.h"
#include "covary/core/numeric/sampling/chain_quality.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/hyper_sample_options.h"
#include "covary/stat/process/predictive_mixture.h"

namespace covary::stat {

struct HyperParameterSummary {
  std::string name;                      // as in kernel.h
  numeric::ChainQuality quality;         // mean, sd, R-hat, effective draws
  double low = 0, median = 0, high = 0;  // quantiles of 5, 50, 95 %
};

class HyperSample {
 public:
  int64_t chains = 0, draws = 0;  // draws a chain
  HyperSampleOptions options;
  std::vector<std::string> names;  // of the free parameters
  std::vector<double> values;      // [chains * draws, names]: the parameters themselves
  int64_t divergences = 0, deepest = 0, evaluations = 0;
  double acceptance = 0;  // mean after the warm-up
  bool stopped = false;   // options.watch ended it: there are no draws

  int64_t count() const { return chains * draws; }
  int64_t free() const { return static_cast<int64_t>(names.size()); }
  std::vector<double> of(int64_t parameter) const;  // [chains * draws], chain by chain
  std::vector<HyperParameterSummary> summaries() const;
  // Draws that predictions mix: options.mixed of them, evenly over all.
  std::vector<int64_t> mixed() const;
  // The kernel with the values of a draw.
  Kernel at(Kernel kernel, int64_t draw) const;

  // What is wrong with the chains, a sentence; empty when nothing is: R-hat above 1.01, fewer than
  // 400 effective draws in bulk or tail, divergences.
  std::string warning() const;
  std::string text() const;  // a table for a person, with the warning
  nlohmann::json to_json() const;

  // In a model file beside the kernel whose parameters they are.
  void put(data::Model* model) const;
  static bool is_in(const data::Model& model);
  static HyperSample of_model(const data::Model& model, const Kernel& kernel);
};

// Throws Error(kUsage) for a bad option, a parameter without a prior, or none to sample; Error(kFailed)
// when the density is 0 at the parameters of gp, or a kernel matrix exceeds the memory limit.
HyperSample sample_hyperparameters(const GaussianProcess& gp,
                                   const HyperSampleOptions& options = {});

// What drawing from n rows is likely to take, known beforehand.
struct HyperSampleCost {
  double evaluations = 0;  // of likelihood and gradient, at a usual ten a step
  double entries = 0;      // s an evaluation beside its n^3 multiply-adds: kernels and their slopes
  double bytes = 0;        // of kernel matrices beside that of the process
};
HyperSampleCost sampling_cost(const HyperSampleOptions& options, int64_t n);

// A normal distribution a mixed draw and point; of the function, or of new values. gp must be the
// process that was sampled, and have one output. n^3/3 flops a draw.
PredictiveMixture mix_predictions(const GaussianProcess& gp, const HyperSample& sample,
                                  const at::Tensor& points, bool noise);
// The same of new values whose rows have noise or weights of their own; weight 0: NaN.
PredictiveMixture mix_predictions(const GaussianProcess& gp, const HyperSample& sample,
                                  const at::Tensor& points, const RowNoise& rows);
// Of each value by all others. A draw of the posterior of all rows counts by the inverse of the
// density that it gives the value left out (importance weights, Gelfand 1996).
PredictiveMixture mix_left_out(const GaussianProcess& gp, const HyperSample& sample);
// Joint draws of the function, each with parameters of another draw as long as there are some: [count,s].
at::Tensor mix_samples(const GaussianProcess& gp, const HyperSample& sample,
                       const at::Tensor& points, int64_t count, uint64_t seed);

}  // namespace covary::stat
