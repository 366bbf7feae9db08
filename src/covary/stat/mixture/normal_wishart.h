// The prior that Bayesian mixtures, variational and sampled, give every component. Within mixture
// only.
//
//   Lambda ~ Wishart(W_0, nu_0),  mu ~ N(m_0, (beta_0 Lambda)^-1)
//
// m_0 is the data's mean; W_0^-1 is diagonal, prior_share (degrees - 2) times the data's variances,
// so that a covariance's prior mean W_0^-1 / (nu_0 - d - 1) is prior_share of them.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/rows.h"

namespace covary::mixture {

struct NormalWishart {
  std::vector<double> mean, inverse_scale;  // m_0 [d]; diagonal of W_0^-1 [d]
  double beta = 0, nu = 0;                  // beta_0, nu_0
};

// mean_strength = beta_0, degrees = nu_0 - d + 1. constant_columns: whose variance had to be made up.
NormalWishart normal_wishart(const ColumnMoments& moments, double mean_strength, double degrees,
                             double prior_share, int64_t& constant_columns);

}  // namespace covary::mixture
