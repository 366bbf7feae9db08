// Options of Gaussian mixtures; see gaussian_mixture.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct GaussianMixtureOptions {
  int64_t components = 1;
  std::string covariance = "full";  // spherical | diagonal | tied | full
  std::string init = "k-means";     // k-means (of columns scaled to unit variance) | random (rows
                                    // as means, the data's covariance) | given (set_parameters)
  int64_t starts = 4;               // tried on init_rows rows; the likeliest goes on
  int64_t init_rows = 65536;        // rows, evenly spread, that starts are made from
  int64_t steps = 1000;             // EM steps at most
  double tolerance = 1e-8;          // nats a row; stop when a step gains less mean log-likelihood
  double floor = 1e-6;              // smallest variance in any direction, as a share of the data's
  double least_weight = 1e-8;       // a component with less is set anew at the least likely point
  double online_power = 0.6;  // partial_fit: batch t counts (t + 2)^-online_power, in (0.5, 1]
  int64_t seed = 42;

  void describe(OptionList& o);
  void describe_details(OptionList& o);  // init, init_rows, floor, least_weight, online_power
  void check() const;
};

}  // namespace covary::mixture
