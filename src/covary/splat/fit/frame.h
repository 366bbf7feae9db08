// A cloud seen from another frame: x_new = A x_old for a similarity A.
//
//   Cloud in_capture = transformed(cloud, capture.scene_from_capture.inverse());
//
// Means, log scales, rotations and spherical harmonics turn together, so that a camera moved by the
// same similarity sees the same image. Extra columns are kept as they are.
#pragma once

#include <Eigen/Core>

#include "covary/splat/scene/cloud.h"

namespace covary::fit {

// Error(kFailed) when A is no similarity with a positive scale and determinant.
scene::Cloud transformed(const scene::Cloud& cloud, const Eigen::Matrix4d& new_from_old);

}  // namespace covary::fit
