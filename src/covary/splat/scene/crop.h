// Which splats lie where, by their centres: [N] bool each.
//
//   Cloud inside = select(cloud, in_box(cloud, {-1, -1, -1}, {1, 1, 1}));
//   Cloud unseen = select(cloud, seen_by(cloud, cameras).lt(1));
//
// Borders belong to the inside; a centre that is not finite lies nowhere.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>
#include <Eigen/Core>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene {

at::Tensor in_box(const Cloud& cloud, const Eigen::Vector3d& low, const Eigen::Vector3d& high);
at::Tensor in_ball(const Cloud& cloud, const Eigen::Vector3d& centre, double radius);
// normal . x >= offset
at::Tensor above_plane(const Cloud& cloud, const Eigen::Vector3d& normal, double offset);

// [N] int64: in how many of the cameras' pictures the centre lies (in front of it; what hides it does
// not count).
at::Tensor seen_by(const Cloud& cloud, const std::vector<Camera>& cameras);

}  // namespace covary::scene
