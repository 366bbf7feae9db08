// Ray-traced captures whose truth is known: exact cameras, depth, normals, object ids, sparse points.
//
//   scene::Capture c = make_studio({.camera = {.views = 24}}, {.test_every = 8});
//   register_samples();                                      // then load_capture("sample:studio,views=24", ...)
//
// The studio is a turntable with things on it in a lit room (truth_scene.h). Images are 8-bit sRGB; a pixel is the mean
// of an even grid of spp rays over its area; depth and normals belong to the ray through its centre. Two samples with
// the same options have the same bits, on any number of threads.
#pragma once

#include <string>
#include <vector>

#include "covary/core/data/image.h"
#include "covary/splat/render/truth_options.h"
#include "covary/splat/scene/capture.h"

namespace covary::render {

struct StudioTruth {
  scene::Capture capture;
  std::vector<scene::Camera>
      cameras;  // exact, one a view, in the scene's frame: what pose_noise disturbs
  std::vector<data::Image8>
      ids;  // H x W x 1 a view, index into objects at the pixel's centre; 0 = nothing
  std::vector<std::string> objects;    // names by id
  std::vector<Eigen::Vector3f> gains;  // of each view's light, by options.exposure; else ones
};

// Errors: Error(kUsage) naming an option; Error(kData) when the split holds no view.
StudioTruth make_studio_truth(const StudioOptions& options,
                              const scene::CaptureOptions& capture_options);
scene::Capture make_studio(const StudioOptions& options,
                           const scene::CaptureOptions& capture_options);

// Makes "sample:studio" and "sample:splats" known to load_capture. May be called again.
void register_samples();

}  // namespace covary::render
