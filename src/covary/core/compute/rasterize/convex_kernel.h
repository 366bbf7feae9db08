// The compositor of convexes, which the functions of rasterize.h call: a file of its own, so
// that it compiles beside the other footprints.
#pragma once

#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::compute {

void rasterize_convex(const RasterInput<float>& in, const RasterOutput<float>& out);
void rasterize_vjp_convex(const RasterInput<float>& in, const RasterOutput<float>& forward,
                          const RasterGradients<float>& v, const RasterInputGradients<float>& out);
void largest_weights_convex(const RasterInput<float>& in, float* largest);
void squared_sensitivities_convex(const RasterInput<float>& in, const float* image, double* out);

}  // namespace covary::compute
