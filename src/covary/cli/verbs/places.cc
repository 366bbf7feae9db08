#include "covary/cli/verbs/places.h"

#include <algorithm>

#include <cstdio>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/sample_name.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/format.h"

namespace covary::cli {

namespace fs = std::filesystem;

bool is_run(const fs::path& path) {
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) return false;
  const fs::path config = path / "config.json";
  if (!fs::is_regular_file(config, ignored)) return false;
  const auto j = nlohmann::json::parse(read_file(config), nullptr, false);
  return j.is_object() && j.contains("verb");
}

bool is_scene(const fs::path& path) {
  std::error_code ignored;
  if (is_run(path)) return true;
  if (scene::is_scene_file(path)) return true;
  if (fs::is_regular_file(path, ignored)) return path.extension() == ".ply";  // a damaged one
  return fs::is_regular_file(path / "scene.ply", ignored) && !fs::exists(path / "images", ignored);
}

std::string name_of(const std::string& input) {
  if (is_sample(input)) return input.substr(7, input.find(',', 7) - 7);
  fs::path path = fs::path(input).lexically_normal();
  if (path.filename().empty()) path = path.parent_path();
  std::string name = path.stem().string();
  if (name.empty() || name == "." || name == "..") {
    std::error_code ignored;
    name = fs::weakly_canonical(path, ignored).filename().string();
  }
  return name.empty() ? "scene" : name;
}

fs::path default_run(const std::string& name) {
  for (int n = 1;; ++n) {
    const fs::path path = fs::path("runs") / (name + "-" + std::to_string(n));
    std::error_code ignored;
    if (!fs::exists(path, ignored)) return path;
  }
}

std::string capture_of(const fit::LoadedScene& scene) {
  const fs::path made = scene.run / fit::kMadeCapture;
  if (!scene.run.empty() && scene::has_cameras(made.string())) return made.string();
  if (!scene.config.is_object() || !scene.config.contains("inputs")) return "";
  const nlohmann::json& inputs = scene.config["inputs"];
  return inputs.is_array() && !inputs.empty() && inputs[0].is_string()
             ? inputs[0].get<std::string>()
             : "";
}

std::optional<scene::CameraFile> cameras_of_run(const fit::LoadedScene& scene) {
  if (scene.run.empty() || !fs::exists(scene.run / "cameras.json")) return {};
  return scene::read_cameras(scene.run / "cameras.json");
}

void keep_what_is_there(const fs::path& out, bool overwrite) {
  if (!overwrite && fs::exists(out))
    throw Error(ExitCode::kData, "is there already", out.string(),
                "add --overwrite, or choose another name");
}

bool is_empty_or_absent(const fs::path& folder) {
  std::error_code ignored;
  return !fs::exists(folder, ignored) ||
         (fs::is_directory(folder, ignored) && fs::is_empty(folder, ignored));
}

fit::TrainOptions train_options_of(const nlohmann::json& config) {
  fit::TrainOptions options;
  if (!config.is_object() || !config.contains("options")) return options;
  nlohmann::json own = config["options"];
  OptionList list(options);
  // Options of every verb (seed, threads) stand beside the trainer's own.
  for (auto it = own.begin(); it != own.end();) {
    bool known = it->is_object();
    for (const OptionField& f : list.fields()) known = known || f.path() == it.key();
    it = known ? std::next(it) : own.erase(it);
  }
  list.apply(own, "config.json");
  return options;
}

std::string number_text(const char* format, double x) {
  char buffer[64];
  std::snprintf(buffer, sizeof(buffer), format, x);
  return buffer;
}

std::string fact_line(const std::string& name, const std::string& value) {
  std::string left = "  " + name;
  left.resize(std::max<size_t>(left.size() + 1, 18), ' ');
  return left + value + "\n";
}

std::string bytes_text(double bytes) {
  if (bytes < 1024) return number_text("%.0f bytes", bytes);
  const char* units[] = {"KB", "MB", "GB", "TB"};
  int u = -1;
  do {
    bytes /= 1024;
    ++u;
  } while (bytes >= 1024 && u < 3);
  return number_text(bytes < 10 ? "%.2f " : bytes < 100 ? "%.1f " : "%.0f ", bytes) + units[u];
}

std::string count_text(int64_t n) {
  std::string digits = std::to_string(n < 0 ? -n : n);
  for (int64_t at = static_cast<int64_t>(digits.size()) - 3; at > 0; at -= 3)
    digits.insert(static_cast<size_t>(at), ",");
  return (n < 0 ? "-" : "") + digits;
}

}  // namespace covary::cli
