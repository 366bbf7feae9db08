#include "covary/cli/verbs/scene_files.h"

#include <utility>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/scene/axes.h"

namespace covary::cli {

namespace fs = std::filesystem;

SceneInput read_scene_input(const fs::path& path, const scene::ReadOptions& how) {
  SceneInput r;
  if (const scene::SceneFormat* format = scene::format_of(path)) {
    r.cloud = scene::load_cloud(path, how);
    r.format = format->name;
    r.bytes = scene::bytes_on_disk(path);
    return r;
  }
  std::error_code ignored;
  if (fs::is_directory(path, ignored) && is_scene(path)) {
    fit::LoadedScene loaded = fit::load_scene(path);
    if (!loaded.note.empty()) log_warning(path.string() + ": " + loaded.note);
    r.cloud = std::move(loaded.cloud);
    r.format = "run";
    r.bytes = scene::bytes_on_disk(loaded.file);
    r.cameras = cameras_of_run(loaded).value_or(scene::CameraFile{});
    return r;
  }
  r.cloud = scene::load_cloud(path, how);  // says what is wrong
  return r;
}

std::vector<fs::path> take_outputs(const Job& job, const std::string& rest,
                                   std::vector<std::string>* inputs) {
  std::vector<fs::path> out(job.invocation.outputs.begin(), job.invocation.outputs.end());
  if (!out.empty()) return out;
  const std::string verb = "covary " + job.invocation.verb;
  if (inputs->size() < 2)
    throw Error(ExitCode::kUsage, "no output given", verb,
                "for example: " + verb + " " + inputs->front() + " " + rest);
  out.emplace_back(inputs->back());
  inputs->pop_back();
  return out;
}

void check_axes(const std::string& axes, const std::string& input_axes) {
  for (const auto& [option, name] :
       {std::pair("--axes", axes), std::pair("--input-axes", input_axes)})
    if (name != "auto" && name != "as-is") (void)scene::turn_of_axes(name, scene::kOurAxes, option);
}

void keep_scene_that_is_there(const fs::path& out, const std::string& format, bool overwrite) {
  for (const fs::path& file : scene::in_the_way(out, format)) keep_what_is_there(file, overwrite);
}

}  // namespace covary::cli
