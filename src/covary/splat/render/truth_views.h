// Cameras of the built-in samples, and the part of loading that all samples share: frame, split, size.
//
//   const auto exact = dome_cameras(options);                                 // capture coordinates
//   const auto chosen = lay_out_sample(capture, exact, std::move(points), capture_options);
//   for (size_t i = 0; i < chosen.size(); ++i) draw(capture.views[i], exact[chosen[i]]);
//
// A sample obeys CaptureOptions as a folder of photos does.
#pragma once

#include <Eigen/Core>
#include <vector>

#include "covary/splat/render/truth_options.h"
#include "covary/splat/scene/capture.h"

namespace covary::render {

// Cameras on three rings over the studio, looking at its middle, each a little off; z is up.
std::vector<scene::Camera> dome_cameras(const SampleViewOptions& options);

// Each camera turned about each of its axes by `degrees` (standard deviation) and its centre moved by the same
// angle times `distance`: so that a point in the middle of the scene moves about equally for both.
std::vector<scene::Camera> disturbed_cameras(std::vector<scene::Camera> cameras, double degrees,
                                             double distance, int64_t seed);

// Fills the capture's points, frame, background, extent, split, and its views with name and camera (in the
// scene's frame, at the size that downscale leaves). Returns which of the given cameras each view is.
// Error(kData) when the split holds no view.
std::vector<int64_t> lay_out_sample(scene::Capture& capture,
                                    const std::vector<scene::Camera>& cameras, scene::Points points,
                                    const scene::CaptureOptions& options);

}  // namespace covary::render
