// `covary eval`: which views are compared, at what size, and by which figures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

struct EvalOptions {
  std::string split = "test";  // test | train | all
  std::vector<double>
      scales;  // image factors below or at 1 beside full size: 0.5,0.25; empty = full size alone
  int64_t downscale = 0;            // of the photos on loading; 0 = as the run was trained
  std::string background = "auto";  // auto (as trained) | black | white | r,g,b
  std::string lpips = "off";        // torchscript:FILE, or a bare path; off = reported absent
  // Poses and intrinsics of the views from here, in the capture's frame: a cameras.json, a run's own,
  // a COLMAP model or a transforms.json; empty = the capture's.
  std::string reference_cameras;
  bool images = true;  // write eval/NAME.png (truth, render, error side by side) into a run folder

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::cli
