// Which way is up in a scene, and where its ground is.
//
//   std::optional<Ground> g = find_ground(cloud, up_of(cameras), 42);
//   Cloud level = transformed(cloud, upright(g->up, g->height, middle));   // up is -y, the ground at y = 0
//
// The ground is a plane that carries much of the scene and has nearly all of it above. Planes through three
// centres drawn at random are judged by the opacity near them; the best is fitted to what lies near it by least squares.
// Source: Fischler and Bolles 1981 (RANSAC).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <Eigen/Core>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// Against the cameras' y in the mean, unit; 0 when they have no common up.
Eigen::Vector3d up_of(const std::vector<Camera>& cameras);

struct Ground {
  Eigen::Vector3d up;  // unit; the ground is up . x = height
  double height = 0;   // world
  double share = 0;    // of the opacity, that lies on it
};
// roughly: where up is thought to be (any length; the ground is within 45 degrees of it), 0 = unknown. None
// where no plane has a tenth of the opacity on it and nine tenths of the rest above.
std::optional<Ground> find_ground(const Cloud& cloud, const Eigen::Vector3d& roughly,
                                  uint64_t seed);

// The shortest turn that brings up to -y, about the pivot, then the shift that brings the height to y = 0.
Eigen::Matrix4d upright(const Eigen::Vector3d& up, std::optional<double> height,
                        const Eigen::Vector3d& pivot);

}  // namespace covary::scene
