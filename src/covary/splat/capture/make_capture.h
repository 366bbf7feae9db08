// Photos, a video or an archive of either, to a capture with cameras: an ordinary COLMAP folder.
//
//   CaptureReport r = make_capture("holiday.mp4", {.out = "out/holiday"}, PhotoOptions());
//   scene::Capture c = scene::load_capture("out/holiday", {});
//   if (!r.sound) show(r.document["doubts"]);
//
// The folder: images/, sparse/0/ (cameras, images, points3D .bin; upright, z up, the cameras' median distance from
// what they look at 1, or in metres where GPS says so), capture.json (the report), colmap.log. While it works there is
// work/ too, by which --resume goes on; only a finished capture has sparse/.
//
// Poses are checked, not believed: a second mapping by another method must agree (agreement.h), else all pairs of photos
// are matched and both are mapped again. Of two that disagree the one is taken that more of the well matched pairs fit, and
// the photos in doubt are named. (That share alone says little: of a right model of repetitive things a third of the
// pairs may not fit.)
//
// Errors: Error(kData) naming the input: nothing there, no photos, too few, no photo matches another, no model (each with
// advice); Error(kFailed): pycolmap missing or failing; Interrupted, with the work kept.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/capture/photo_options.h"

namespace covary::capture {

struct CaptureContext {
  std::filesystem::path out;  // the folder that is made
  bool resume = false;        // go on with what is there
  bool overwrite = false;     // replace what is there
  uint64_t seed = 42;
  int64_t threads = 1;
};

struct CaptureReport {
  nlohmann::json document;         // as in capture.json
  std::vector<std::string> notes;  // what was left out, chosen, doubted; for people
  int64_t photos = 0, registered = 0;
  bool sound =
      false;  // the poses passed their checks (or verify is off and nothing contradicts them)
};

// Whether an input is photos, a video or an archive, and no capture with cameras that can be loaded as it is.
bool needs_cameras(const std::filesystem::path& input);

// Whether `out` holds a finished capture of this input, made with these options.
bool holds_capture_of(const std::filesystem::path& out, const std::filesystem::path& input,
                      const PhotoOptions& options);

CaptureReport make_capture(const std::filesystem::path& input, const CaptureContext& context,
                           const PhotoOptions& options);

}  // namespace covary::capture
