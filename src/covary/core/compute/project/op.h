// Projection as a torch operator: float tensors take the SIMD kernel, double tensors the reference. See project.h.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/core/compute/project/project.h"

namespace covary::compute {

struct ProjectTensors {
  at::Tensor means;           // [N,3]
  at::Tensor quats;           // [N,4], with scales
  at::Tensor scales;          // [N,3]
  at::Tensor covariances;     // [N,6] instead of both
  at::Tensor opacities;       // [N]
  at::Tensor extras;          // [N,E] where the footprint asks for them
  at::Tensor cam_from_world;  // [4,4]
  at::Tensor intrinsics;      // [4] fx fy cx cy, px
};

struct ProjectedTensors {
  at::Tensor ids;        // [M] int64, ascending
  at::Tensor centres;    // [M,2] with gradient, as the next three
  at::Tensor depths;     // [M]
  at::Tensor params;     // [M,P]
  at::Tensor opacities;  // [M]
  at::Tensor extents;    // [M] without gradient, as the next
  at::Tensor halves;     // [M,2]
};

// Gradients reach every input, the camera included. Error(kUsage) names a tensor of the wrong shape or type.
ProjectedTensors project(const ProjectTensors& in, int width, int height, int kind,
                         const ProjectOptions& options);

}  // namespace covary::compute
