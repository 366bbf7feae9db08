// A chain of edits: operations on scenes, one after the other, in the order in which they are named.
//
//   EditScene s{.cloud = load_cloud("fox.ply"), .cameras = cameras};
//   edit(s, parse_edit_step("remove_floaters=0.5"), {});
//   edit(s, parse_edit_step("decimate=25%"), {});
//   save_cloud("fox.spz", s.cloud);
//
// Every operation keeps the extra columns of the splats that stay. The cameras are those that the scene was
// trained on, where they are known: they move with it, and what asks which splats are seen (crop_views,
// remove_floaters, decimate) asks them. A scene without cameras is looked at from around it. What each operation does by
// itself is in its own file: scene/similarity.h, crop.h, columns.h, recolour.h, ...
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"
#include "covary/splat/scene/edit_options.h"

namespace covary::render {

struct EditScene {
  scene::Cloud cloud;
  std::vector<scene::Camera> cameras;  // in the frame of the cloud; may be empty
};

struct EditContext {
  uint64_t seed = 42;
  int64_t views = 24;             // of a scene without cameras, and the most that are asked
  int width = 640, height = 480;  // px, of views of a scene without cameras
  bool overwrite = false;         // files that an operation writes (preview) and that are there
  bool dry_run = false;           // such files are not written
  // A scene that an operation names (align); null: none can be named.
  std::function<scene::Cloud(const std::string& path)> load = {};
};

// What an operation did.
struct EditReport {
  std::string step;               // as told: "decimate 25%"
  int64_t before = 0, after = 0;  // splats
  double seconds = 0;
  nlohmann::json facts = nlohmann::json::object();  // what it found: {"floaters": 12}
};

// Before work: Error(kData) for a file that a step would write and that is there already, or cannot be written. The
// two below ask it first.
void check_files(const std::vector<scene::EditStep>& steps, const EditContext& context);

// Error(kUsage) for what does not fit this scene (an unknown column, no cameras), Error(kData) where nothing would be
// left.
EditReport edit(EditScene& scene, const scene::EditStep& step, const EditContext& context);

// Several scenes and the steps among them. An operation acts on the scene that entered last (next_scene);
// merge joins all that entered before it, and so does the end. Steps before the first scene act on what is
// joined first. A next_scene beyond the last input is merge: where a command line names its output; a merge before
// the first of them is none. Inputs are loaded when they enter. Cameras that several scenes share are kept once.
EditScene edit_scenes(const std::vector<std::function<EditScene()>>& inputs,
                      const std::vector<scene::EditStep>& steps, const EditContext& context,
                      std::vector<EditReport>* reports);

}  // namespace covary::render
