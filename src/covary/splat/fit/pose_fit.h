// The camera that sees a photo best while the scene stays as it is: for held-out views of a run that moved its own
// cameras, whose frame is no longer exactly that of the capture.
//
//   scene::Camera best = fitted_pose(splats, view, target, {}, capture, {});
//
// Only the pose moves. What is scored afterwards was seen by the fit (6 numbers of it), so such figures carry a name of
// their own. With any_colours the rendering is brought to the photo's colours (least squares, 3x4) before each comparison, so
// that another exposure does not turn the camera.
#pragma once

#include <cstdint>

#include "covary/splat/fit/loss.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

struct PoseFitOptions {
  int64_t steps = 150;
  double rate = 4e-3;  // radian and extent a step at first, a hundredth of it at last
  bool any_colours = false;
};

// Of all poses met on the way, the given one first, that with the smallest photometric loss. Same bits on any number
// of threads. Of the capture only the extent and the points are looked at, as in camera_delta.h.
scene::Camera fitted_pose(const render::Primitives& splats, const scene::View& view,
                          const Target& target, const render::RasterizeOptions& rasterize,
                          const scene::Capture& capture, const PoseFitOptions& options);

}  // namespace covary::fit
