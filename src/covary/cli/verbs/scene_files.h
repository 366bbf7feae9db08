// What verbs that make scene files of scenes have in common: inputs with what they bring, outputs by name.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "covary/cli/verbs/verb.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/cloud.h"
#include "covary/splat/scene/format.h"

namespace covary::cli {

struct SceneInput {
  scene::Cloud cloud;
  std::string format;  // its name, or "run"
  int64_t bytes = 0;
  scene::CameraFile cameras;  // of a run, as it wrote them
};

// A scene file, or the scene of a run.
SceneInput read_scene_input(const std::filesystem::path& path, const scene::ReadOptions& how);

// The outputs: those of -o, else the last of the inputs, which is taken from them. Error(kUsage) with the example
// "covary VERB INPUT" + rest where there is none.
std::vector<std::filesystem::path> take_outputs(const Job& job, const std::string& rest,
                                                std::vector<std::string>* inputs);

// Error(kUsage) for axes that there are not, before work.
void check_axes(const std::string& axes, const std::string& input_axes);

// Error(kData) for any file of the output that is there already, unless it may be replaced.
void keep_scene_that_is_there(const std::filesystem::path& out, const std::string& format,
                              bool overwrite);

}  // namespace covary::cli
