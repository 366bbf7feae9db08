// --max-memory and --time-budget: what work will need, said before it begins.
//
//   const MemoryEstimate e = drawing_memory(cloud, camera.width * camera.height, false);
//   check_memory(common, "rendering", e, "lower --scale");      // Error(kFailed) with the estimate
#pragma once

#include <string>

#include "covary/cli/common_options.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::cli {

// Bytes at the peak.
struct MemoryEstimate {
  double photos = 0;  // that are held at once, and what decoding takes
  double gaussians = 0;
  double view = 0;         // buffers of those that are drawn at once
  double count = 0;        // Gaussians at the end
  double start = 0;        // of a training: at its start
  double process = 150e6;  // the program with its libraries
  double total() const { return photos + gaussians + view + process; }
};

struct Size {
  int width = 0, height = 0;  // px
  double pixels() const { return static_cast<double>(width) * height; }
};

// Of the view with the most pixels.
Size largest_picture(const scene::Capture& capture);

// What a capture's pictures take: all of them, or what their cache holds and decodes.
double photo_bytes(const scene::Capture& capture);

// --max-memory with a capture that was loaded to decode by need: keeps all pictures when `all` bytes of them fit in `share`, else as
// many as do.
void divide_photos(scene::Capture& capture, double all, double share);

// How to load a capture for that: without decoding anything yet, unless photo_cache was given.
scene::CaptureOptions undecided(const CommonOptions& common, scene::CaptureOptions options);

// A Gaussian's parameters, stored and activated, its projection and lists; buffers of a view of so
// many pixels. in_double: of the reference.
MemoryEstimate drawing_memory(const scene::Cloud& cloud, double pixels, bool in_double);

// work: "training"; hint: how to need less.
void check_memory(const CommonOptions& common, const std::string& work, const MemoryEstimate& e,
                  const std::string& hint);
// seconds: what the work takes at least.
void check_time(const CommonOptions& common, const std::string& work, double seconds,
                const std::string& hint);

}  // namespace covary::cli
