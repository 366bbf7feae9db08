// Bars G: cameras found from photos alone and from a video, and training within a budget.
#include <cstdio>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/data/image.h"
#include "covary/core/data/video.h"
#include "covary/splat/capture/agreement.h"
#include "covary/splat/capture/make_capture.h"
#include "covary/splat/capture/photos.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/colmap.h"
#include "studies/core-3dgs/bars.h"
#include "studies/core-3dgs/training.h"

namespace covary::studies {
namespace {

namespace fs = std::filesystem;
using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

constexpr int64_t kSteps = 2000, kDownscale = 8;

// The capture made of fox/images, without its model.
struct Found {
  fs::path folder;
  capture::CaptureReport report;
  capture::Agreement agreement;  // with the model that comes with the photos
};

capture::CaptureReport made(StudyContext& c, const fs::path& input, const fs::path& folder) {
  return capture::make_capture(
      input, {.out = folder, .overwrite = true, .seed = c.seed(), .threads = threads()}, {});
}

const Found& found(StudyContext& c) {
  return c.shared<Found>("photos alone", [&] {
    const fs::path fox = c.data("fox");
    Found f;
    f.folder = c.folder("photos_alone");
    f.report = made(c, fox / "images", f.folder);
    f.agreement =
        capture::compare_poses(capture::poses_of(scene::read_colmap(f.folder / "sparse" / "0")),
                               capture::poses_of(scene::read_colmap(fox / "sparse" / "0")));
    return f;
  });
}

double psnr_of(StudyContext& c, const fs::path& folder) {
  scene::CaptureOptions how;
  how.downscale = kDownscale;
  fit::TrainOptions options;
  options.steps = kSteps;
  return fit_figures(scene::load_capture(folder.string(), how), options, c.seed()).psnr;
}

// Ten seconds of the photos, 540 px wide, six frames each at 30 a second.
fs::path video_of(StudyContext& c) {
  const fs::path folder = c.data("fox") / "images", file = c.folder("video") / "fox.mp4";
  const capture::PhotoSet photos = capture::list_photos(folder);
  data::VideoWriter out(file, 540, 960, {.fps = 30});
  for (const capture::Photo& p : photos.photos) {
    const data::Image8 frame = data::resize_area(data::read_image(folder / p.name), 540, 960);
    for (int k = 0; k < 6; ++k) out.write(frame);
  }
  out.commit();
  return file;
}

Bar bar(const std::string& part, const std::string& title, const std::string& metric,
        const std::string& unit, const std::string& bound,
        std::function<BarResult(StudyContext&)> measure) {
  Bar b = eval::bar_of("G", part, title, metric, unit, bound, std::move(measure));
  b.smoke = false;
  b.takes_long = true;
  return b;
}

}  // namespace

std::vector<Bar> photo_bars() {
  std::vector<Bar> bars;
  bars.push_back(bar("a", "fox, photos alone: cameras found", "photos", "1", "registered >= 50",
                     [](StudyContext& c) {
                       const Found& f = found(c);
                       const auto n = static_cast<double>(f.report.registered);
                       BarResult r;
                       r.ours = Quantity{.value = n, .unit = "1"};
                       r.bound = {.text = "registered >= 50", .left = n, .op = ">=", .right = 50};
                       char note[160];
                       std::snprintf(note, sizeof(note),
                                     "%s; %.0f s wall; from the supplied model %.3f degrees, %.5f "
                                     "of the ring in the median, %.0f %% of the photos agree",
                                     f.report.sound ? "sound" : "doubtful",
                                     f.report.document.value("wall_s", 0.0),
                                     f.agreement.median_rotation_deg, f.agreement.median_centre,
                                     100 * f.agreement.share);
                       r.note = note;
                       return r;
                     }));
  bars.push_back(
      bar("b", "fox, photos alone: 2,000 steps at 135x240", "PSNR", "dB",
          "ours >= baseline - 0.5 dB", [](StudyContext& c) {
            const double given = psnr_of(c, c.data("fox")), own = psnr_of(c, found(c).folder);
            BarResult r;
            r.baseline = Quantity{.name = "the supplied cameras", .value = given, .unit = "dB"};
            r.ours = Quantity{.value = own, .unit = "dB"};
            r.bound = {
                .text = "ours >= baseline - 0.5 dB", .left = own, .op = ">=", .right = given - 0.5};
            return r;
          }));
  bars.push_back(
      bar("c", "fox, a video of ten seconds: cameras found", "share of drawn frames", "1",
          "registered >= 0.95 of the frames drawn", [](StudyContext& c) {
            const capture::CaptureReport report = made(c, video_of(c), c.folder("video_capture"));
            const double share =
                static_cast<double>(report.registered) / static_cast<double>(report.photos);
            BarResult r;
            r.ours = Quantity{.value = share, .unit = "1"};
            r.bound = {.text = "registered >= 0.95 of the frames drawn",
                       .left = share,
                       .op = ">=",
                       .right = 0.95};
            r.note = std::to_string(report.registered) + " of " + std::to_string(report.photos) +
                     " frames, " + (report.sound ? "sound" : "doubtful");
            return r;
          }));
  return bars;
}

}  // namespace covary::studies
