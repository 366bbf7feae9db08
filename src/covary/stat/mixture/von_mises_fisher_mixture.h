// Mixtures of von Mises-Fisher distributions by expectation maximisation: clusters of directions, with a concentration each.
//
//   const auto fit = fit_von_mises_fisher_mixture(features, {.components = 10, .normalise = true});
//   fit.model.weights, fit.model.parts[k].mean, fit.model.parts[k].kappa
//   at::Tensor label = fit.model.log_responsibilities(features).argmax(1);
//
// Starts from k-means++ seeds on the cosine dissimilarity 1 - x . y. Soft EM maximises the log-likelihood, hard EM the
// classification likelihood; spherical k-means is hard EM with equal weights and kappas. Either objective never falls,
// but where a component lost all its rows: it is then started again at the row that the model explains worst, at most once
// an iteration and `restarts` times in all. Cost O(N K d) an iteration. Source: Banerjee et al. 2005 (movMF).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/von_mises_fisher.h"

namespace covary::mixture {

struct VonMisesFisherMixtureOptions {
  int components = 2;
  bool hard = false;  // each row to its likeliest component
  int max_iterations = 200;
  double tolerance = 1e-10;  // stops when the mean objective a weight rises by less
  double max_kappa = 1e9;    // a component of equal rows would grow without bound
  int restarts = 10;         // of components that lost their rows
  bool normalise = false;    // as VonMisesFisherOptions
  uint64_t seed = 42;
};

struct VonMisesFisherMixture {
  std::vector<double> weights;  // [K], sum 1
  std::vector<VonMisesFisher> parts;

  // log(weight_k density_k(row)) [N,K]; its logsumexp over k is the log density.
  at::Tensor log_joint(const at::Tensor& rows) const;
  at::Tensor log_density(const at::Tensor& rows) const;           // [N]
  at::Tensor log_responsibilities(const at::Tensor& rows) const;  // [N,K]
  // [n,d]; row i depends on (seed, i) and the model alone.
  at::Tensor sample(int64_t n, uint64_t seed) const;
};

struct VonMisesFisherMixtureFit {
  VonMisesFisherMixture model;
  std::vector<double> objective;  // mean a weight, after each iteration
  std::vector<int> restarted;     // iterations whose model was changed by a restart
  bool converged = false;
};

// rows [N,d], weights [N] or undefined: as fit_von_mises_fisher. Throws Error(kData) likewise, and when there are fewer
// rows of positive weight than components; Error(kUsage) for options out of range.
VonMisesFisherMixtureFit fit_von_mises_fisher_mixture(const at::Tensor& rows,
                                                      const VonMisesFisherMixtureOptions& options,
                                                      const at::Tensor& weights = {});

// k-means++ seeds: row indices [K], drawn in proportion to weight times cosine dissimilarity from the seeds so far.
std::vector<int64_t> cosine_seeds(const at::Tensor& unit_rows, const at::Tensor& weights, int k,
                                  uint64_t seed);

}  // namespace covary::mixture
