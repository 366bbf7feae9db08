// Variational inference with two parameters a row: the Gaussian over the function that maximises a
// lower bound of the likelihood.
//
//   SiteState state;
//   SiteResult r = variational_sites(model, data, &state, &gradient);    // r.value: the bound
//
// The optimum has covariance (K^-1 + W)^-1 with W diagonal, so that n precisions and n shifts are
// all of it; a precision is negative where the likelihood is not log-concave and its value an
// outlier. They move by natural-gradient steps of length one, halved when the bound falls:
//   bound = sum_i E log p(y_i | f_i) - 1/2 (tr K^-1 Cov + alpha'E g - n + log |B|).
// Its gradient by the parameters is exact at the optimum.
// n^3 flops a step, ten to thirty steps; 16 n^2 bytes.
// Source: Opper and Archambeau 2009; Khan and Lin 2017.
#pragma once

#include "covary/stat/process/laplace.h"

namespace covary::stat {

SiteResult variational_sites(const LatentModel& model, const LatentData& data, SiteState* state,
                             LatentGradient* gradient);

}  // namespace covary::stat
