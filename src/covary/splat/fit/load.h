// A scene by name: a run folder of `covary train`, or a scene file of any format.
//
//   LoadedScene s = load_scene("out/fox");     // out/fox/scene.ply, in the capture's frame
//   s.cloud, s.config                           // config.json of the run; null for a bare file
#pragma once

#include <filesystem>
#include <string>

#include <nlohmann/json.hpp>

#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

struct LoadedScene {
  scene::Cloud cloud;  // the capture's frame; antialiased as the run's config or the file says
  std::filesystem::path file;  // that was read
  std::filesystem::path run;   // folder; empty for a bare file
  nlohmann::json config;       // of the run; null for a bare file
  std::string note;            // what a person should know: "not finished: step 1200 of 7000"
};

// A run whose training moved its cameras wrote them to cameras.json: the views of the capture (in its own frame, at any size) that
// were trained on take them; of others nothing is known, and they stay. Error(kData) when that file is damaged or its
// cameras are of other photos. Nothing happens for a run that has none yet.
void take_refined_cameras(scene::Capture& capture, const LoadedScene& scene);

// A run that was not finished gives the scene of its last checkpoint. Error(kData) when there is no
// scene.
// Folder of a run in which it keeps the capture that it made of photos, when it was given no cameras.
constexpr const char* kMadeCapture = "capture";

LoadedScene load_scene(const std::filesystem::path& path);

}  // namespace covary::fit
