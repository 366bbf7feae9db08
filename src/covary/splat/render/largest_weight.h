// The largest blending weight T alpha that each primitive has in any pixel of a view.
//
//   largest_weights(in, largest.data());   // in: as for compute::rasterize; largest [M], 0 = nowhere
//
// Features and background are not read. Cost: a forward pass. The maximum does not depend on the order of
// the tiles: the same bits for any number of threads.
#pragma once

#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::render {

void largest_weights(const compute::RasterInput<float>& in, float* largest);

}  // namespace covary::render
