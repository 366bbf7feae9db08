// A capture rendered from Gaussians that we made up: what a perfect training would find again.
//
//   SplatsTruth t = make_splats({.count = 2000}, {});
//   train(t.capture) ... compare with t.cloud
//
// Images come from render::rasterize with default options, over the capture's background, rounded to 8 bit.
#pragma once

#include "covary/splat/render/truth_options.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

struct SplatsTruth {
  scene::Capture capture;  // points: the Gaussians' centres and colours, each a little off
  scene::Cloud cloud;      // the truth, in the scene's frame (as the capture's cameras)
  std::vector<scene::Camera> cameras;  // exact, one a view: what pose_noise disturbs
};

// Positions, shapes and opacities depend on the seed and the frame alone; so do the colours, which are drawn in
// the scene's frame. Errors as make_studio.
SplatsTruth make_splats(const SplatsOptions& options, const scene::CaptureOptions& capture_options);

}  // namespace covary::render
