// Splats that hang in the air: found by who their neighbours are, as the cameras see it.
//
//   Floaters f = find_floaters(cloud, views, {.strength = 0.5});
//   Cloud clean = select(cloud, f.rows.logical_not());
//   write_image("floaters.png", preview_of(cloud, f.rows, view));      // what would go is red
//
// A splat's spacing is the distance to its third neighbour over its distance from the cameras that see it,
// weighted by how much of it they see: an angle, which on surfaces is a few pixels wherever they are, and in
// the air is not. Two neighbours hold together when they are nearer than a multiple of the usual spacing. What
// holds together is one piece. A piece floats when it has few splats, makes next to nothing of the pictures, and
// more of it is seen before the surface behind it (nearer than 0.8 of the depth there) than close to that.
//
// The strength s sets the first two: pieces hold together over reach * 4^(1 - 2s) usual spacings, and floats
// what has at most 2s * piece splats. What no view sees is left alone (crop_views drops it). Source: the notion
// of statistical outliers, Rusu and Cousins 2011, in angles; the test against depth is ours.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

struct FloaterOptions {
  double strength = 0.5;  // 0 .. 1
  double reach =
      8;  // usual spacings over which neighbours hold together, at strength 0.5 four times that
  int64_t piece = 10;   // splats of the largest piece that floats, at strength 0.5
  double share = 0.01;  // of the pictures, that a piece may make and still float

  void check() const;  // Error(kUsage) naming the field
};

struct Floaters {
  at::Tensor rows;     // [N] bool
  at::Tensor spacing;  // [N] double, radians
  double usual = 0;    // spacing, radians
  int64_t pieces = 0;  // that float
  int64_t count = 0;   // of their splats
};

// views: at least one. Error(kData) when a centre is not finite.
Floaters find_floaters(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                       const FloaterOptions& options);

// The scene in grey as the camera sees it, with the rows in red, seen through all that hides them.
data::Image8 preview_of(const scene::Cloud& cloud, const at::Tensor& rows,
                        const scene::Camera& camera);

}  // namespace covary::render
