// Projection: Gaussians in the world to footprints on one camera's screen, and the gradient back.
//
//   // SIMD; the visible ones, in ascending id.
//   Projection<float> p = project(camera, input, options);
//   // Adds nothing: sets dense gradients.
//   project_vjp(camera, input, options, p, gradients, out);
//
// A Gaussian is culled when its camera z is outside [near, far], its opacity (after the footprint's
// factor) is below 1/255, its extent is at most radius_clip, its box misses the image, or a number
// is not finite.
// Primitives without a covariance (footprint "convex") are projected by convex.h.
//
// The screen covariance is J R Sigma R^T J^T with J the Jacobian of the projection at the mean
// (EWA, Zwicker et al. 2001); for pinhole cameras J's x/z and y/z are clamped to the view widened
// by 0.3 of the half field of view, as wide-angle primitives beside the frustum would explode.
// Every template exists for float and double; float runs the SIMD kernel, project_reference the
// plain loop.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/rasterize/footprints.h"

namespace covary::compute {

struct CameraParameters {
  double cam_from_world[16];  // row-major
  double fx, fy, cx, cy;      // px
  int width, height;          // px
  int kind = 0;               // 0 pinhole, 1 orthographic, 2 equidistant fisheye
};

struct ProjectOptions {
  int footprint = 0;  // footprint_index
  FootprintOptions shape;
  double near = 0.01, far = 1e10;  // camera z, world units
  double radius_clip = 0;          // px
};

// N primitives as they lie in tensors; covariances instead of quats and scales.
template <class T>
struct ProjectInput {
  int64_t count = 0;
  const T* means = nullptr;        // [N,3]
  const T* quats = nullptr;        // [N,4]
  const T* scales = nullptr;       // [N,3]
  const T* covariances = nullptr;  // [N,6]
  const T* opacities = nullptr;    // [N]
  const T* extras = nullptr;       // [N,E], E = footprint_extras
  int extras_width = 0;            // E, where primitives differ in it: convex.h
};

// The M visible primitives.
template <class T>
struct Projection {
  std::vector<int64_t> ids;  // [M] ascending
  std::vector<T> centres;    // [M,2] px
  std::vector<T> depths;     // [M] camera z
  std::vector<T> params;     // [M,P], P = footprint_params
  std::vector<T> opacities;  // [M] with the footprint's factor
  std::vector<T> extents;    // [M] the footprint's q at alpha = 1/255
  std::vector<T> halves;     // [M,2] half-sizes of the box around it, px
  int64_t count() const { return static_cast<int64_t>(ids.size()); }
};

template <class T>
struct ProjectGradients {        // incoming, of the M visible ones; null = zero
  const T* centres = nullptr;    // [M,2]
  const T* depths = nullptr;     // [M]
  const T* params = nullptr;     // [M,P]
  const T* opacities = nullptr;  // [M]
};

template <class T>
struct ProjectInputGradients {  // outgoing, dense; rows that are not visible are left as they are
                                // (give zeros)
  T* means = nullptr;           // [N,3]
  T* quats = nullptr;           // [N,4]
  T* scales = nullptr;          // [N,3]
  T* covariances = nullptr;     // [N,6]
  T* opacities = nullptr;       // [N]
  T* extras = nullptr;          // [N,E]
  double camera[16] = {};       // by cam_from_world, row-major; last row 0
  double intrinsics[4] = {};    // by fx fy cx cy
};

template <class T>
Projection<T> project_reference(const CameraParameters&, const ProjectInput<T>&,
                                const ProjectOptions&);
template <class T>
void project_vjp_reference(const CameraParameters&, const ProjectInput<T>&, const ProjectOptions&,
                           const Projection<T>&, const ProjectGradients<T>&,
                           ProjectInputGradients<T>&);

Projection<float> project(const CameraParameters&, const ProjectInput<float>&,
                          const ProjectOptions&);
void project_vjp(const CameraParameters&, const ProjectInput<float>&, const ProjectOptions&,
                 const Projection<float>&, const ProjectGradients<float>&,
                 ProjectInputGradients<float>&);

}  // namespace covary::compute
