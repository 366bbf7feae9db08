// Options of Gaussian mixtures; see gaussian_mixture.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::mixture {

// Names of all covariances that are understood.
extern const std::vector<std::string> kCovariances;
// mclust's fourteen, from the fewest parameters to the most.
extern const std::vector<std::string> kMclustCovariances;

struct GaussianMixtureOptions {
  int64_t components = 1;
  std::string covariance = "full";  // spherical | diagonal | tied | full, or by mclust's names EII,
                                    // VII, EEI, VEI, EVI, VVI, EEE, VEE, EVE, VVE, EEV, VEV, EVV,
                                    // VVV, or factors: low rank and a diagonal (covariance_rule.h)
  int64_t factors = 1;              // columns of the low-rank part; for covariance = factors
  std::string init = "k-means";     // in columns scaled to unit variance: k-means (from greedy
                                    // k-means++) | k-means++ | k-means|| (the seeds alone, each
                                    // row to the nearest); random (rows as means, the data's
                                    // covariance) | given (set_parameters, start_from_...)
  int64_t starts = 4;               // tried on init_rows rows; the likeliest goes on
  int64_t init_rows = 65536;        // rows, evenly spread, that starts are made from
  int64_t steps = 1000;             // EM steps at most
  double tolerance = 1e-8;          // nats a row; stop when a step gains less mean log-likelihood
  double floor = 1e-6;              // smallest variance in any direction, as a share of the data's
  double least_weight = 1e-8;       // a component with less is set anew at the least likely point
  double online_power = 0.6;  // partial_fit: batch t counts (t + 2)^-online_power, in (0.5, 1]
  double online_gain = 0;     // partial_fit: every batch counts so much, older ones are forgotten:
                              // for laws that drift; 0 = online_power
  int64_t online_delay = 0;   // partial_fit: batches summed before the first step
  std::string accelerate = "none";  // none | squarem | anderson: extrapolation, kept when the
                                    // likelihood has not fallen; the four plain shapes
  int64_t anderson_depth = 5;       // steps that anderson combines, at least 1
  double anneal = 0;                // first inverse temperature, in (0, 1); 0 = no annealing
  int64_t split_merge = 0;  // exchanges of components tried a round after convergence; 0 = none
  double prior_rows = 0;    // normal-inverse-Wishart prior (full, diagonal): the data's mean counts
                            // as so many rows; 0 = maximum likelihood. 0.01 is usual
  double prior_degrees = 2;  // its degrees of freedom, less the number of columns
  double prior_share = 1;    // its scale, as a share of the data's variances / components^(2/d)
  int64_t seed = 42;

  void describe(OptionList& o);
  void describe_details(OptionList& o);  // all but components to seed, and init
  void check() const;
};

}  // namespace covary::mixture
