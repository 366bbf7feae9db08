// Options of variational mixtures; see variational_mixture.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct VariationalMixtureOptions {
  int64_t components = 20;        // truncation: the most components there can be
  std::string prior = "process";  // of the weights: process (stick breaking) | dirichlet (finite)
  double concentration = 1.0;     // gamma of the process; alpha of each weight of the Dirichlet
  double mean_strength = 0.01;    // beta_0: the prior mean counts as this many rows
  double degrees = 3;             // nu_0 - d + 1 of the Wishart prior, above 2
  double prior_share = 0.1;       // prior mean of a covariance, as a share of the data's variances
  int64_t starts = 1;  // seeds tried for each number of first clusters (1 to 8, then by quarters up
                       // to components); the run of the largest bound is kept
  int64_t steps = 2000;       // at most
  double tolerance = 1e-8;    // nats a row; stop when a step raises the bound by less
  double stream_power = 0.7;  // partial_fit: batch t counts (t + stream_offset)^-stream_power, in
                              // (0.5, 1]
  double stream_offset = 1;   // partial_fit: larger, and early batches count less
  double stream_gain = 0;     // partial_fit: every batch counts so much, older ones are forgotten:
                              // for laws that drift; 0 = stream_power
  double stream_rows = 0;     // partial_fit: rows that the stream stands for; 0 = all seen so far
  int64_t seed = 42;

  void describe(OptionList& o);
  void describe_details(OptionList& o);  // those of the priors and of streams
  void check() const;
};

}  // namespace covary::mixture
