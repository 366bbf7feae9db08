// Small changes of a camera, with gradient.
//
//   const PoseFrame frame{camera.cam_from_world, extent, depth_of_interest(camera, points, extent)};
//   render::Views views = render::views_of({camera});
//   views.cam_from_world = moved_pose(delta, frame, at::kFloat);               // [1,4,4]
//   views.intrinsics = changed_intrinsics(change, camera, at::kFloat);         // [1,4]
//
// A pose's delta is [6] double: (v, w). With the pivot c = (0, 0, depth) on the optical axis, a point p of the camera's axes goes to
// exp(w) (p - c) + c + extent v: w lets the camera circle around what it looks at (radian), v shifts it (extents). About
// its own centre a turn would do nearly the same to the photo as a shift across, and an optimiser that
// scales each number for itself takes ten times as long to tell them apart.
// A lens's change is [4] double: fx exp(a), fy exp(b), cx + width c, cy + height d, so that it means the same at every size of
// the photo. 0 changes nothing.
#pragma once

#include <ATen/core/Tensor.h>
#include <Eigen/Core>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

// What a pose's delta is told in.
struct PoseFrame {
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();  // the given pose
  double extent = 1;                                             // scene units
  double depth = 1;                                              // of the pivot, scene units
};

// The median depth of the points in the picture; of fewer than 10, the extent.
double depth_of_interest(const scene::Camera& camera, const scene::Points& points, double extent);

at::Tensor moved_pose(const at::Tensor& delta, const PoseFrame& frame, at::ScalarType type);
at::Tensor changed_intrinsics(const at::Tensor& change, const scene::Camera& camera,
                              at::ScalarType type);

// The same in double, without gradient.
Eigen::Matrix4d moved_pose(const double* delta, const PoseFrame& frame);
scene::Camera with_changed_intrinsics(const scene::Camera& camera, const double* change);

}  // namespace covary::fit
