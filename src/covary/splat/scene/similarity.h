// A cloud seen from another frame: x_new = A x_old for a similarity A. The one routine that turns
// Gaussians.
//
//   Cloud in_capture = transformed(cloud, capture.scene_from_capture.inverse());
//   Cloud y_up = turned(cloud, turn_of_axes("rdf", "rub"));
//
// Means, log scales, rotations and spherical harmonics (of any degree, each band by its exact matrix)
// turn together, so that a camera moved by the same similarity sees the same image. A turn that only
// changes signs or swaps axes leaves the bits of means as they are. Extra columns are kept as they are, but
// for normals, which turn too: nx, ny, nz of one floating type (one that is absent is 0), or normal [N,3]; and
// for lod_size (lod.h), which is a length.
#pragma once

#include <Eigen/Core>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// Error(kFailed) when A is no similarity with a positive scale and determinant.
Cloud transformed(const Cloud& cloud, const Eigen::Matrix4d& new_from_old);

// The same for a rotation alone. One that is diagonal (half turns: rdf to rub) changes signs and nothing
// else, in every tensor, so that twice is the cloud itself to the bit.
Cloud turned(const Cloud& cloud, const Eigen::Matrix3d& rotation);

}  // namespace covary::scene
