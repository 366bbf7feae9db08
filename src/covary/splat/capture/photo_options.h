// How photos without cameras become a capture.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::capture {

struct PhotoOptions {
  int64_t frames =
      0;  // of a video: photos drawn from it; 0 = by how far the picture moves, 40 to 300
  // Which photos are compared. exhaustive: each with each; sequential: with those near by name, as of a video; similar:
  // with those that look alike; auto: exhaustive up to 100 photos, then sequential for a video, else similar.
  std::string matching = "auto";
  // One lens for all photos, one a folder, or one a photo; auto: one when all photos have one size and camera.
  std::string lens = "auto";
  std::string camera_model =
      "simple_radial";  // simple_pinhole, pinhole, simple_radial, radial, opencv, opencv_fisheye
  int64_t feature_size = 960;   // px: photos are shrunk to this longer side for features
  int64_t max_features = 8192;  // a photo
  // Map again by another method, compare both models, and hold the poses against the matches.
  bool verify = true;
  std::string images =
      "link";  // photos in the output: hard links where the disk allows, or copies: link, copy
  bool metric = true;  // scale and north from GPS positions in the photos, where enough have one

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::capture
