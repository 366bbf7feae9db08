// Options of sampled mixtures; see gibbs_mixture.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct GibbsMixtureOptions {
  int64_t components = 20;        // truncation: the most components there can be
  std::string prior = "process";  // of the weights: process (stick breaking) | dirichlet (finite)
  double concentration = 1.0;     // gamma of the process; alpha of each weight of the Dirichlet
  double mean_strength = 0.01;    // beta_0: the prior mean counts as this many rows
  double degrees = 3;             // nu_0 - d + 1 of the Wishart prior, above 2
  double prior_share = 0.1;       // prior mean of a covariance, as a share of the data's variances
  int64_t burn = 500;             // sweeps over all rows before the first draw
  int64_t draws = 500;            // kept
  int64_t thin = 1;               // sweeps a draw
  int64_t runs = 16;       // of annealed importance sampling, each with an estimate of its own
  int64_t particles = 32;  // of a run
  int64_t sweeps = 2;      // of each particle over the rows so far, after each row it takes
  int64_t seed = 42;

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::mixture
