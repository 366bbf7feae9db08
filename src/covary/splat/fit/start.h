// The Gaussians that a fit begins with: from the capture's sparse points, at random, or from a file.
//
//   Cloud cloud = starting_cloud(capture, options, seed);    // in the capture's scene frame
//
// Points: one Gaussian each, as large as the root mean square distance to its 3 nearest neighbours, opacity 0.1 (under mcmc
// 0.5, and a tenth of the size), colour of the point. More points than max_gaussians: a random subset. Random: uniform in a
// cube around the point that the cameras look at, of half side 3 extents; where photos have alpha, of a third of the cameras'
// median distance, since an object stands there.
// Source: Kerbl et al. 2023, section 5.1; Kheradmand et al. 2024 (mcmc).
#pragma once

#include <cstdint>

#include "covary/splat/fit/train_options.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

// Error(kData) when the file or the points cannot be used.
scene::Cloud starting_cloud(const scene::Capture& capture, const TrainOptions& options,
                            uint64_t seed);

}  // namespace covary::fit
