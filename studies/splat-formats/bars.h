// The parts of the study splat-formats: each file gives its bars, splat-formats.cc puts them in order.
#pragma once

#include <vector>

#include "covary/core/eval/study.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::studies {

std::vector<eval::Bar> round_trip_bars();  // 1: what a file keeps
std::vector<eval::Bar> size_bars();     // 2: as small as others' files; 4: memory of a conversion
std::vector<eval::Bar> peer_bars();     // 2: faster than splat-transform, beside it
std::vector<eval::Bar> turning_bars();  // 3: a turned scene is the same scene
std::vector<eval::Bar> decimation_bars();  // 4: fewer splats
std::vector<eval::Bar> floater_bars();     // 4: what hangs in the air
std::vector<eval::Bar> surface_bars();     // 5: meshes

// A trained scene with its capture, in one frame: fox at 135x240, 2,000 steps; in smoke runs the built-in studio, small.
struct TrainedScene {
  scene::Cloud cloud;
  scene::Capture capture;

  std::vector<scene::Camera> cameras() const;  // of the training views
};
const TrainedScene& trained_scene(eval::StudyContext& c);

// Mean PSNR over the held-out photos, dB.
double held_out_psnr(const TrainedScene& scene, const scene::Cloud& cloud);

}  // namespace covary::studies
