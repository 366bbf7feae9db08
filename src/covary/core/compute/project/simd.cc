#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/project/convex.h"
#include "covary/core/compute/project/project.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/project/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

template <class V>
HWY_INLINE Lanes load_lanes(const float* p) {
  return Lanes::load(p);
}
HWY_INLINE void store_lanes(Lanes v, float* p) { v.store(p); }
HWY_INLINE double sum_lanes(Lanes v) { return sum(v); }

// The order matters: maths, footprints, then the loop over both.
#include "covary/core/compute/project/project_math.inc"

#include "covary/core/compute/rasterize/footprints.inc"

#include "covary/core/compute/project/project_loop.inc"

Projection<float> project_lanes(const CameraParameters& camera, const ProjectInput<float>& input,
                                const ProjectOptions& options) {
  return project_all<Lanes, float, kLanes>(camera, input, options);
}

void project_vjp_lanes(const CameraParameters& camera, const ProjectInput<float>& input,
                       const ProjectOptions& options, const Projection<float>& projection,
                       const ProjectGradients<float>& gradients,
                       ProjectInputGradients<float>& out) {
  project_vjp_all<Lanes, float, kLanes>(camera, input, options, projection, gradients, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(project_lanes);
HWY_EXPORT(project_vjp_lanes);

Projection<float> project(const CameraParameters& camera, const ProjectInput<float>& input,
                          const ProjectOptions& options) {
  if (options.footprint == kConvexFootprint) return project_convex(camera, input, options);
  return HWY_DYNAMIC_DISPATCH(project_lanes)(camera, input, options);
}

void project_vjp(const CameraParameters& camera, const ProjectInput<float>& input,
                 const ProjectOptions& options, const Projection<float>& projection,
                 const ProjectGradients<float>& gradients, ProjectInputGradients<float>& out) {
  if (options.footprint == kConvexFootprint)
    return project_convex_vjp(camera, input, options, projection, gradients, out);
  HWY_DYNAMIC_DISPATCH(project_vjp_lanes)(camera, input, options, projection, gradients, out);
}

}  // namespace covary::compute
#endif
