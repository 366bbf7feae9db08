// The compositor (compositor-inl.h) of the footprints that have an ellipse, and the door to all.
#include "covary/core/compute/rasterize/convex_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/rasterize/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/rasterize/compositor-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

void rasterize_lanes(const RasterInput<float>& in, const RasterOutput<float>& out) {
  with_gaussian_footprint(in.footprint, [&]<class F>() HWY_ATTR { rasterize_as<F>(in, out); });
}

void rasterize_vjp_lanes(const RasterInput<float>& in, const RasterOutput<float>& forward,
                         const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  with_gaussian_footprint(in.footprint,
                          [&]<class F>() HWY_ATTR { rasterize_vjp_as<F>(in, forward, v, out); });
}

void largest_weights_lanes(const RasterInput<float>& in, float* largest) {
  with_gaussian_footprint(in.footprint,
                          [&]<class F>() HWY_ATTR { largest_weights_as<F>(in, largest); });
}

void squared_sensitivities_lanes(const RasterInput<float>& in, const float* image, double* out) {
  with_gaussian_footprint(in.footprint,
                          [&]<class F>() HWY_ATTR { squared_sensitivities_as<F>(in, image, out); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(rasterize_lanes);
HWY_EXPORT(rasterize_vjp_lanes);
HWY_EXPORT(largest_weights_lanes);
HWY_EXPORT(squared_sensitivities_lanes);

void rasterize(const RasterInput<float>& in, const RasterOutput<float>& out) {
  if (in.footprint == kConvexFootprint) return rasterize_convex(in, out);
  HWY_DYNAMIC_DISPATCH(rasterize_lanes)(in, out);
}

void rasterize_vjp(const RasterInput<float>& in, const RasterOutput<float>& forward,
                   const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  if (in.footprint == kConvexFootprint) return rasterize_vjp_convex(in, forward, v, out);
  HWY_DYNAMIC_DISPATCH(rasterize_vjp_lanes)(in, forward, v, out);
}

void largest_weights(const RasterInput<float>& in, float* largest) {
  if (in.footprint == kConvexFootprint) return largest_weights_convex(in, largest);
  HWY_DYNAMIC_DISPATCH(largest_weights_lanes)(in, largest);
}

void squared_sensitivities(const RasterInput<float>& in, const float* image, double* out) {
  if (in.footprint == kConvexFootprint) return squared_sensitivities_convex(in, image, out);
  HWY_DYNAMIC_DISPATCH(squared_sensitivities_lanes)(in, image, out);
}

}  // namespace covary::compute
#endif
