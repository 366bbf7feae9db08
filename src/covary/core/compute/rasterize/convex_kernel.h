// The compositor of convexes, which rasterize, rasterize_vjp and largest_weights call (rasterize.h): a file of its own, so
// that it compiles beside the other footprints.
#pragma once

#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::compute {

void rasterize_convex(const RasterInput<float>& in, const RasterOutput<float>& out);
void rasterize_vjp_convex(const RasterInput<float>& in, const RasterOutput<float>& forward,
                          const RasterGradients<float>& v, const RasterInputGradients<float>& out);
void largest_weights_convex(const RasterInput<float>& in, float* largest);

}  // namespace covary::compute
