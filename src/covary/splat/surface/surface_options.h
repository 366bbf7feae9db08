// `covary surface`: how a mesh is made of a scene.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::surface {

struct SurfaceOptions {
  std::string method = "tsdf";   // tsdf: depth images of the scene, fused
  double voxel = 0;              // edge, world; 0 = 1/256 of the scene's extent
  double truncation = 0;         // of distances to a surface, world; 0 = 5 voxels
  std::string depth = "median";  // median | expected: of what a pixel's ray meets
  double alpha = 0.5;            // least opacity of a pixel that is taken for a surface, 1
  double far = 0;  // what is farther from a camera is left out, world; 0 = behind the scene
  int64_t least_views = 2;  // that must have seen a place
  int64_t views = 48;       // around a scene that comes without cameras
  int64_t width = 640;      // of those views, px
  double smallest = 0.01;   // parts with less than this share of the largest's area go, 1
  int64_t faces = 0;        // at most so many triangles; 0 = all (collision: 20,000)
  bool collision = false;   // for physics: holes closed, few triangles

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::surface
