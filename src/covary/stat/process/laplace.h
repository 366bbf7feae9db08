// Laplace's approximation of a process behind a likelihood: a Gaussian at the mode, with the
// curvature there.
//
//   SiteState state;                                          // starts the next search
//   SiteResult r = laplace(model, data, &state, &gradient);   // r.value: log evidence, nats
//   r.posterior.mean();                                       // of f less the mean
//
// The mode by Newton's method with B = I + W^1/2 K W^1/2 and a line search on the log posterior;
//   log q(y) = log p(y | f) - 1/2 g'K^-1 g - 1/2 log |B|,  f = mean + g at the mode,
// with its exact gradient by the parameters of kernel and likelihood and by the mean: the mode's
// own movement included. W is -d2 log p, for Student's likelihood its Fisher information.
// A few times n^3 / 3 flops for the mode, n^3 for marginals and gradient; 16 n^2 bytes.
// Source: Rasmussen and Williams 2006, algorithms 3.1 and 5.1; Hartmann and Vanhatalo 2019.
#pragma once

#include "covary/stat/process/site_posterior.h"

namespace covary::stat {

// Where an inference ended: precisions and shifts of the sites; empty: not yet.
struct SiteState {
  std::vector<double> precision, shift;
};

struct SiteResult {
  double value = 0;  // log evidence or bound, nats; -infinity when the inference failed
  SitePosterior posterior;
  int64_t iterations = 0;
  bool converged = false;
};

// gradient may be null. The posterior is factored, and inverted too when there is a gradient.
SiteResult laplace(const LatentModel& model, const LatentData& data, SiteState* state,
                   LatentGradient* gradient);

}  // namespace covary::stat
