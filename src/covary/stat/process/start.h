// First values and bounds of a kernel's parameters by the data they will meet.
//
//   start_by_data(&kernel, data, seed);
#pragma once

#include <cstdint>

#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

// Mean square of y about its own mean, or about 0 for a zero mean; never 0.
double mean_square(const GpData& data);

// Length scales and periods: the median distance between rows (of up to 2,000 pairs by the seed);
// variances: that of y; white: a tenth of it; exponents of a warp: 1, and its range that of the rows. Values that the kernel's text states stay, and so do
// bounds that are set; others are set wide around the start.
void start_by_data(Kernel* kernel, const GpData& data, uint64_t seed);

}  // namespace covary::stat
