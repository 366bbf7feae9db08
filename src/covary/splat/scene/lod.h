// Levels of detail: a scene together with coarser ones of it, as one cloud whose columns make a tree.
//
//   Cloud tree = with_levels(cloud, contributions, {.levels = 4, .ratio = 0.5});
//   Cloud coarse = select(tree, tree.columns.at("lod").eq(3));
//   Cloud seen = select(tree, level_cut(tree, camera, 2));      // what two pixels ask for
//
// Level 0 is the cloud itself, to the bit; each next one has `ratio` as many splats, merged from the one before by
// their moments (moment_merge.h). Columns:
//
//   lod         int32, the level
//   lod_parent  int32, the row of the next coarser level that it is a part of; -1 at the coarsest
//   lod_size    float, world: the radius of a ball about it that holds it and all that it stands for
//
// Rows go from fine to coarse. Source: Kerbl et al. 2024 (a hierarchy of matched moments and its cut).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene {

struct LevelOptions {
  int64_t levels = 4;  // with the finest
  double ratio = 0.5;  // of the splats of a level, that the next one has

  void check() const;  // Error(kUsage) naming the field
};

// mass [N] as merged_by_moments.
Cloud with_levels(const Cloud& cloud, const at::Tensor& mass, const LevelOptions& options);

// Rows (int64, ascending) that stand for the whole scene as the camera sees it: from the coarsest level down, a
// node is taken when its size is at most `pixels` on screen or it has no parts, and its parts are looked at
// otherwise. Of every splat of level 0 exactly one row is taken: it, or one that it is a part of. Error(kData)
// when the columns are no such tree.
at::Tensor level_cut(const Cloud& tree, const Camera& camera, double pixels);

}  // namespace covary::scene
