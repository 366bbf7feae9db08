// Projection and colours of a scene laid out for drawing alone: 16-bit numbers, in groups of neighbours, a row a number.
//
//   PackedScene scene;   // render::pack of primitives, once
//   PackedView view;
//   project_packed(scene, camera, options, view);   // a frame; view keeps its memory
//   // view.centres ... view.colors: what build_tile_lists and rasterize take
//
// Sixty-four Gaussians that follow one another along a Morton curve make a group: row k of its numbers holds
// number k of all of them, so that a vector is read without gathering, a group outside of the view is
// passed over by its bounding sphere, and neighbours on the screen are neighbours in memory. Positions are
// fixed-point steps within the group's box, the rest half-precision floats, scales in units of the
// group's largest: 2 (12 + 3 K) bytes a Gaussian with K coefficients of spherical harmonics, where
// float tensors have 4 (11 + 3 K).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/project/project.h"

namespace covary::compute {

struct PackedScene {
  static constexpr int kGroup = 64;
  // Rows of a group: x y z, then w x y z of the rotation, three scales, opacity, reach, and the
  // coefficients of the colours, coefficient-major.
  enum Row { kMean = 0, kQuat = 3, kScale = 7, kOpacity = 10, kReach = 11, kColor = 12 };

  struct Group {
    float origin[3], step;    // mean = origin + step * number, world
    float scale;              // world units of the scales' numbers
    float centre[3], radius;  // sphere around all that the group draws, world
  };

  int64_t count = 0;  // Gaussians; what pads the last group is fully transparent
  int bands = 1;      // K
  std::vector<Group> groups;
  std::vector<uint16_t> numbers;  // [groups, rows, kGroup]

  int rows() const { return kColor + 3 * bands; }
  int64_t bytes() const {
    return static_cast<int64_t>(groups.size() * sizeof(Group) + numbers.size() * sizeof(uint16_t));
  }
};

// The M visible Gaussians of a view, as Projection has them, with their colours.
struct PackedView {
  int64_t count = 0;  // M; the vectors may be longer
  std::vector<float> centres, depths, params, opacities, extents, halves, colors;
};

// options: the Gaussian footprint alone. A Gaussian ends where its alpha falls under 1/255 or
// under 1/reach of it, whichever is nearer.
void project_packed(const PackedScene& scene, const CameraParameters& camera,
                    const ProjectOptions& options, PackedView& out);

}  // namespace covary::compute
