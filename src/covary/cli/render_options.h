// `covary render`: from where, what of the scene, and how large.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

struct RenderOptions {
  std::string cameras =
      "auto";        // auto (test, else all) | test | train | all | a cameras.json or a capture
  std::string path;  // spline | spiral | orbit | a file of cameras to pass through; empty = the
                     // cameras themselves
  std::vector<std::string> modes = {
      "rgb"};  // rgb | depth | normal | alpha; several: a folder each, or side by side in a video
  double scale = 1;                 // of the image size, 1
  int64_t supersample = 1;          // each pixel is the mean of this many squared
  int64_t frames = 120;             // along a path
  double fps = 30;                  // of a video, frames/s
  std::string background = "auto";  // auto (as trained) | black | white | r,g,b
  std::string antialias = "auto";   // auto (as trained) | none | mip | analytic
  int64_t downscale = 0;            // of the photos' size; 0 = as the run was trained
  int64_t quality = 18;             // of a video: x264's constant rate factor, lower is better
  bool fast = false;                // prepare once, then draw with less; see splat/render/fast.h
  double fast_psnr = 40;            // dB to the exact picture, kept by --fast
  int64_t benchmark = 0;  // rounds over all frames, drawn again for steady figures; 0 = none

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::cli
