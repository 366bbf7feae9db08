// Two scenes of one place brought together: where a capture lies in another one.
//
//   const Registration r = registered(moving, fixed, {.scale = true});
//   Cloud there = transformed(moving, r.fixed_from_moving);
//
// Iterated closest points on Gaussians: each splat is paired with the nearest one of the other scene, both
// ways, and the motion lowers the sum of squared distances as their covariances weigh them, so that surfaces
// may slide along themselves. Of the pairs the nearest share is believed. It begins where the scenes are, and
// with the axes of their spreads in one another (four ways), and goes on from the best. Colours help to choose
// among these beginnings. What is opaque and alike in both counts; scenes should overlap by half or more.
//
// Source: Besl and McKay 1992 (ICP); Segal et al. 2009 (covariances); Chetverikov et al. 2002 (trimming).
#pragma once

#include <cstdint>

#include <Eigen/Core>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

struct RegistrationOptions {
  bool scale = false;       // a factor of size, too
  double overlap = 0.8;     // share of the pairs that is believed, 0.05 .. 1
  int64_t steps = 60;       // of the best beginning, at most
  int64_t points = 20'000;  // of each scene, at most
  uint64_t seed = 42;       // of which

  void check() const;  // Error(kUsage) naming the field
};

struct Registration {
  Eigen::Matrix4d fixed_from_moving = Eigen::Matrix4d::Identity();
  double distance = 0;  // root mean square of the believed pairs, world of the fixed scene
  int64_t steps = 0;
};

// Error(kData) where a scene has fewer than 10 splats that are not faint.
Registration registered(const Cloud& moving, const Cloud& fixed,
                        const RegistrationOptions& options);

}  // namespace covary::scene
