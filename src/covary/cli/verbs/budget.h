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
  double photos = 0, gaussians = 0;
  double count = 0;        // Gaussians at the end
  double start = 0;        // of a training: at its start
  double process = 150e6;  // the program with its libraries
  double total() const { return photos + gaussians + process; }
};

double photo_bytes(const scene::Capture& capture);

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
