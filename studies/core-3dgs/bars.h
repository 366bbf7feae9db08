// The parts of the study core-3dgs: each file gives its bars, core-3dgs.cc puts them in order.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/eval/study.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::studies {

std::vector<eval::Bar> quality_bars();   // 2: what two cores reach
std::vector<eval::Bar> speed_bars();     // 3: SIMD, threads, tiles
std::vector<eval::Bar> recovery_bars();  // 4: a known scene comes back
std::vector<eval::Bar>
refinement_bars();  // 4: cameras and colours come back; 7: what moved is left out
std::vector<eval::Bar> antialias_bars();   // 5: small renderings of a large training
std::vector<eval::Bar> oracle_bars();      // 6: what must hold exactly
std::vector<eval::Bar> real_scene_bars();  // F: a real capture at length
std::vector<eval::Bar> photo_bars();       // G: cameras of photos and videos

// A known scene: count Gaussians in a ball of radius 1, of all shapes, float.
scene::Cloud known_cloud(int64_t count, int sh_degree, uint64_t seed);

// Cameras around the origin at a distance, looking at it, on a spiral from south to north.
std::vector<scene::Camera> ring_of_cameras(int count, int width, int height, double distance);

// The cloud photographed by the cameras on black, 8 bit; every fourth view is held out.
scene::Capture photographed(const scene::Cloud& cloud, const std::vector<scene::Camera>& cameras);

}  // namespace covary::studies
