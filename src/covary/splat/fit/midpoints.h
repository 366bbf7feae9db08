// A sparse cloud of points, filled in where it is sparse.
//
//   const scene::Points more = with_midpoints(capture.points, most);
//
// A point whose mean distance to its 3 nearest is over twice the median of all gets the midpoints to these 3, with the mean of
// both colours; the sparsest come first, a pair once, until there are `most`. The points that there were come first, as they
// were. Nothing is added to fewer than 4. Error(kData) when a coordinate is not finite.
// Source: Dhiman et al. 2024 (Turbo-GS), initialisation; the rule is ours.
#pragma once

#include <cstdint>

#include "covary/splat/scene/capture.h"

namespace covary::fit {

scene::Points with_midpoints(const scene::Points& points, int64_t most);

}  // namespace covary::fit
