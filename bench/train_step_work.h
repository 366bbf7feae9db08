// What each stage of a training step must compute and move, counted from the work that it had: how many Gaussians, visible
// ones, pairs of a Gaussian and a tile, blends and pixels. Minimal counts: what the algorithm needs, each datum moved once a
// pass, not what a cache line or an allocation adds. Above them stands the machine (eval/ceilings.h).
#pragma once

#include <cstdint>
#include <string>

namespace covary::bench {

// A view at a state of the scene.
struct Sizes {
  int64_t gaussians = 0;  // N
  int64_t visible = 0;    // M
  int64_t pairs = 0;      // of a Gaussian and a tile
  int64_t blends = 0;     // of a Gaussian and a pixel, before the pixel is opaque
  int64_t pixels = 0;
  int sh_degree = 0;  // that is active
};

// 0: not counted, because it is no arithmetic or no stream.
struct Work {
  double fma = 0;    // multiply-adds, a lane is one
  double exp = 0;    // exponentials
  double bytes = 0;  // read plus written
};

// path as in base/stages.h, "step/render/project"; items as the stage reported them, a step.
Work work_of(const std::string& path, double items, const Sizes& sizes);

// What a person calls the stage: "projection, backward".
std::string label_of(const std::string& path);

}  // namespace covary::bench
