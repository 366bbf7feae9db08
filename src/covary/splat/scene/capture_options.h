// How a capture is loaded: size, held-out views, masks, background, frame.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>

#include "covary/core/base/options.h"

namespace covary::scene {

struct CaptureOptions {
  int64_t downscale =
      1;  // integer factor of image size; images_N/ beside images/ is used when there
  int64_t test_every = 8;  // every n-th view by file name is held out (index % n == 0); 0 = none;
                           // not used where the capture has its own split
  std::string masks = "auto";  // auto (masks/ beside images/, mask_path) | off | a folder
  // What the dark pixels of a mask are. ignore: dropped from every loss (View.mask); empty: known
  // to be transparent, as if the mask were the photo's alpha (View.alpha); off: masks are not read.
  // A photo's own alpha is always transparency.
  std::string mask_mode = "ignore";
  std::string background =
      "auto";  // auto (white for NeRF-synthetic, else black) | black | white | random | r,g,b
  bool normalize = true;  // similarity to a common frame; the transform is stored
  // Model folder or file, when not in the capture's folder; empty = there.
  std::string cameras = {};
  std::string split = "all";  // views to load: all | train | test  (a saving, for eval)
  int64_t max_views = 0;      // at most this many training views, evenly spaced; 0 = all
  // Bytes of decoded pictures that are held at once. When all are more, they are decoded by need
  // (capture.h); 0: none is kept longer than it is used. none: half of the machine's memory.
  std::optional<double> photo_cache = {};

  void describe(OptionList& o);
  void check() const;
  int64_t photo_cache_of() const;  // bytes
};

// "black", "white", "r,g,b"; "random" sets *random and gives black. Error(kUsage) otherwise, "auto"
// included.
std::array<float, 3> parse_background(const std::string& text, bool* random);

}  // namespace covary::scene
