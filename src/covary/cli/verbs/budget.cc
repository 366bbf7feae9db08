#include "covary/cli/verbs/budget.h"

#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"

namespace covary::cli {

double photo_bytes(const scene::Capture& capture) {
  double bytes = 0;
  for (const scene::View& v : capture.views)
    bytes +=
        static_cast<double>(v.image.pixels.size() + v.alpha.pixels.size() + v.mask.pixels.size()) +
        4.0 * static_cast<double>(v.depth.pixels.size() + v.normal.pixels.size());
  return bytes;
}

MemoryEstimate drawing_memory(const scene::Cloud& cloud, double pixels, bool in_double) {
  MemoryEstimate e;
  e.count = static_cast<double>(cloud.size());
  const double bands = (cloud.sh_degree() + 1.0) * (cloud.sh_degree() + 1.0);
  const double parameters = e.count * 4 * (11 + 3 * bands);
  const double work = e.count * 200 + 60 * pixels;
  e.gaussians = in_double ? 3 * parameters + 2 * work : 2 * parameters + work;
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
