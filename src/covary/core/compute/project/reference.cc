// The plain loop, one primitive at a time: the oracle in double, the scalar baseline in float.
#include <algorithm>
#include <cmath>
#include <memory>
#include <type_traits>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/project/convex.h"
#include "covary/core/compute/project/project.h"

namespace covary::compute {
namespace {

template <class V>
V load_lanes(const V* p) {
  return *p;
}
template <class V>
void store_lanes(V v, V* p) {
  *p = v;
}
uint64_t lane_bits(bool shown) { return shown ? 1 : 0; }
template <class V>
void store_set_lanes(V x, uint64_t, V* out) {
  *out = x;
}
size_t store_set_bits(uint64_t bits, int first, uint32_t* out) {
  *out = static_cast<uint32_t>(first);
  return bits & 1;
}
template <class V>
double sum_lanes(V v) {
  return v;
}

// The order matters: maths, footprints, then the loop over both.
#include "covary/core/compute/project/project_math.inc"

#include "covary/core/compute/rasterize/footprints.inc"

#include "covary/core/compute/project/project_loop.inc"

}  // namespace

template <class T>
Projection<T> project_reference(const CameraParameters& camera, const ProjectInput<T>& input,
                                const ProjectOptions& options) {
  if (options.footprint == kConvexFootprint) return project_convex(camera, input, options);
  return project_all<T, T, 1>(camera, input, options);
}

template <class T>
void project_vjp_reference(const CameraParameters& camera, const ProjectInput<T>& input,
                           const ProjectOptions& options, const Projection<T>& projection,
                           const ProjectGradients<T>& gradients, ProjectInputGradients<T>& out) {
  if (options.footprint == kConvexFootprint)
    return project_convex_vjp(camera, input, options, projection, gradients, out);
  project_vjp_all<T, T, 1>(camera, input, options, projection, gradients, out);
}

template Projection<float> project_reference(const CameraParameters&, const ProjectInput<float>&,
                                             const ProjectOptions&);
template Projection<double> project_reference(const CameraParameters&, const ProjectInput<double>&,
                                              const ProjectOptions&);
template void project_vjp_reference(const CameraParameters&, const ProjectInput<float>&,
                                    const ProjectOptions&, const Projection<float>&,
                                    const ProjectGradients<float>&, ProjectInputGradients<float>&);
template void project_vjp_reference(const CameraParameters&, const ProjectInput<double>&,
                                    const ProjectOptions&, const Projection<double>&,
                                    const ProjectGradients<double>&,
                                    ProjectInputGradients<double>&);

}  // namespace covary::compute
