// What a fit's optimiser has seen.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/splat/fit/train_options.h"
#include "covary/splat/scene/capture.h"

namespace covary::studies {

// First moments of all parameters after one step on these views from the start: a tenth of the gradient. Double, flat.
at::Tensor first_moments(const scene::Capture& capture, const fit::TrainOptions& options,
                         uint64_t seed, const std::vector<int64_t>& views);

}  // namespace covary::studies
