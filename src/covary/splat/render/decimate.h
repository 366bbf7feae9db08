// Fewer splats for nearly the same pictures.
//
//   Decimated d = decimated(cloud, cameras, {.target = cloud.size() / 4});
//   d.cloud, d.merged, d.dropped
//
// What a splat contributes is the sum of its blending weights over all pixels of the views (contribution.h). By contribution: those that contribute least are dropped. By merge: of what contributes next to
// nothing a small share is dropped, then neighbours are merged by their moments, weighted by contribution
// (scene/moment_merge.h), until the target is met; where a bound on the divergence stops that before, the least
// contributing go. Random is a baseline. The views are rendered once, at a size that costs about a second for 100,000
// splats. Same bits on any number of threads.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

struct DecimateOptions {
  int64_t target = 1;                                           // splats that are left
  std::string by = "merge";                                     // merge | contribution | random
  double divergence = std::numeric_limits<double>::infinity();  // most of a merged pair, nats
  uint64_t seed = 42;                                           // of random

  void check() const;  // Error(kUsage) naming the field
};

struct Decimated {
  scene::Cloud cloud;
  int64_t merged = 0;   // pairs
  int64_t dropped = 0;  // splats
  double worst = 0;     // divergence of a merged pair, nats
};

// views: at least one, but for random. A cloud of no more than the target comes back as it is.
Decimated decimated(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                    const DecimateOptions& options);

}  // namespace covary::render
