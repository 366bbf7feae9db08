// The compositor (compositor-inl.h) of convexes.
#include "covary/core/compute/rasterize/convex_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/rasterize/convex_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/rasterize/compositor-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

void rasterize_convex_lanes(const RasterInput<float>& in, const RasterOutput<float>& out) {
  rasterize_as<ConvexFootprint>(in, out);
}

void rasterize_vjp_convex_lanes(const RasterInput<float>& in, const RasterOutput<float>& forward,
                                const RasterGradients<float>& v,
                                const RasterInputGradients<float>& out) {
  rasterize_vjp_as<ConvexFootprint>(in, forward, v, out);
}

void largest_weights_convex_lanes(const RasterInput<float>& in, float* largest) {
  largest_weights_as<ConvexFootprint>(in, largest);
}

void squared_sensitivities_convex_lanes(const RasterInput<float>& in, const float* image,
                                        double* out) {
  squared_sensitivities_as<ConvexFootprint>(in, image, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(rasterize_convex_lanes);
HWY_EXPORT(rasterize_vjp_convex_lanes);
HWY_EXPORT(largest_weights_convex_lanes);
HWY_EXPORT(squared_sensitivities_convex_lanes);

void rasterize_convex(const RasterInput<float>& in, const RasterOutput<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_convex_lanes)(in, out);
}

void rasterize_vjp_convex(const RasterInput<float>& in, const RasterOutput<float>& forward,
                          const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_vjp_convex_lanes)(in, forward, v, out);
}

void largest_weights_convex(const RasterInput<float>& in, float* largest) {
  HWY_DYNAMIC_DISPATCH(largest_weights_convex_lanes)(in, largest);
}

void squared_sensitivities_convex(const RasterInput<float>& in, const float* image, double* out) {
  HWY_DYNAMIC_DISPATCH(squared_sensitivities_convex_lanes)(in, image, out);
}

}  // namespace covary::compute
#endif
