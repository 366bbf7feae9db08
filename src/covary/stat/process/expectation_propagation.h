// Expectation propagation for a process behind a likelihood: a Gaussian whose marginals have the
// moments of prior-of-the-others times likelihood, row by row.
//
//   SiteState state;
//   SiteResult r = expectation_propagation(model, data, &state, &gradient);
//
// All sites move at once, damped more when a sweep leads away from agreement; then
//   log Z = sum_i log C_i - 1/2 log |B| + 1/2 b'E g,
// with C_i what site i lacks of the tilted mass. At the fixed point its gradient is that of the
// prior's terms with the sites held. For log-concave likelihoods, where sites never widen:
// Error(kUsage) for another.
// n^3 flops a sweep, ten to thirty sweeps; 16 n^2 bytes.
// Source: Minka 2001; Rasmussen and Williams 2006, algorithm 3.5 and eq. 3.65 and 5.27; all sites at
// once: van Gerven et al. 2009.
#pragma once

#include "covary/stat/process/laplace.h"

namespace covary::stat {

SiteResult expectation_propagation(const LatentModel& model, const LatentData& data,
                                   SiteState* state, LatentGradient* gradient);

// Mean and variance of g at each row without the row's own site: what the other rows say, and what
// leave-one-out predictions come from. q inverted, sites as given.
struct Cavity {
  std::vector<double> mean, variance;
};
Cavity cavity_of(const SitePosterior& q, const SiteState& sites);

}  // namespace covary::stat
