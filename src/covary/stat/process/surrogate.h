// The processes of an optimiser: one output on the unit cube, standardised, with priors.
#pragma once

#include <vector>

#include "covary/stat/process/gp.h"
#include "covary/stat/process/optimizer_options.h"
#include "covary/stat/process/search_space.h"

namespace covary::stat {

struct Surrogate {
  GaussianProcess process;
  double centre = 0, scale = 1;  // process value = (y - centre) / scale
};

// codes [n, width], y [n], finite. Parameters of the largest posterior density.
Surrogate fit_surrogate(const SearchSpace& space, const OptimizerOptions& options,
                        const std::vector<double>& codes, const std::vector<double>& y);

}  // namespace covary::stat
