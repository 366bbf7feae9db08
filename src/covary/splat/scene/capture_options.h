// How a capture is loaded: size, held-out views, masks, background, frame.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::scene {

struct CaptureOptions {
  int64_t downscale = 1;              // integer factor of image size; images_N/ beside images/ is used when there
  int64_t test_every = 8;             // every n-th view by file name is held out (index % n == 0); 0 = none; not used where the capture has its own split
  std::string masks = "auto";         // auto (masks/ beside images/, alpha, mask_path) | off | a folder
  std::string mask_mode = "ignore";   // ignore: dropped from every loss; empty: must be transparent; off
  std::string background = "auto";    // auto (white for NeRF-synthetic, else black) | black | white | random | r,g,b
  bool normalize = true;              // similarity to a common frame; the transform is stored
  std::string cameras;                // model folder or file, when not in the capture's folder; empty = there
  std::string split = "all";          // views to load: all | train | test  (a saving, for eval)
  int64_t max_views = 0;              // at most this many training views, evenly spaced; 0 = all

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::scene
