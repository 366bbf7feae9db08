#include "covary/cli/verbs/budget.h"

#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"
#include "covary/splat/scene/photo_cache.h"

namespace covary::cli {

Size largest_picture(const scene::Capture& capture) {
  Size largest;
  for (const scene::View& v : capture.views)
    if (const Size s{v.camera.width, v.camera.height}; s.pixels() > largest.pixels()) largest = s;
  return largest;
}

double photo_bytes(const scene::Capture& capture) {
  return static_cast<double>(capture.photos ? capture.photos->memory() : capture.picture_bytes());
}

scene::CaptureOptions undecided(const CommonOptions& common, scene::CaptureOptions options) {
  if (common.max_memory > 0 && !options.photo_cache) options.photo_cache = 0;
  return options;
}

void divide_photos(scene::Capture& capture, double all, double share) {
  if (!capture.photos) return;
  const auto aside = static_cast<double>(capture.photos->working_bytes());
  capture.photos->limit(0);
  if (all <= std::max(share, photo_bytes(capture))) return scene::hold_all(capture);
  capture.photos->limit(static_cast<int64_t>(std::max(0.0, share - aside)));
}

MemoryEstimate drawing_memory(const scene::Cloud& cloud, double pixels, bool in_double) {
  MemoryEstimate e;
  e.count = static_cast<double>(cloud.size());
  const double bands = (cloud.sh_degree() + 1.0) * (cloud.sh_degree() + 1.0);
  const double parameters = e.count * 4 * (11 + 3 * bands);
  e.gaussians = in_double ? 3 * parameters + 400 * e.count : 2 * parameters + 200 * e.count;
  e.view = (in_double ? 120 : 60) * pixels;
  return e;
}

void check_memory(const CommonOptions& common, const std::string& work, const MemoryEstimate& e,
                  const std::string& hint) {
  if (common.max_memory <= 0 || e.total() <= static_cast<double>(common.max_memory)) return;
  throw Error(ExitCode::kFailed,
              work + " would need about " + bytes_text(e.total()) + " (" + bytes_text(e.photos) +
                  " of photos, " + count_text(static_cast<int64_t>(e.count)) + " Gaussians)",
              "--max-memory " + bytes_text(static_cast<double>(common.max_memory)), hint);
}

void check_time(const CommonOptions& common, const std::string& work, double seconds,
                const std::string& hint) {
  if (common.time_budget <= 0 || seconds <= common.time_budget) return;
  throw Error(
      ExitCode::kFailed,
      work + " would take at least " + number_text(seconds < 10 ? "%.2g s" : "%.0f s", seconds),
      "--time-budget", hint);
}

}  // namespace covary::cli
