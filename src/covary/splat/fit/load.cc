#include "covary/splat/fit/load.h"

#include <set>
#include <string>

#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/convex.h"
#include "covary/splat/fit/frame.h"
#include "covary/splat/fit/sampling_filter.h"
#include "covary/splat/fit/shape.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/format.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;

// The scene inside a state, in the capture's frame.
scene::Cloud from_state(const fs::path& file, std::string& note) {
  const State state = read_state(file);
  const bool convex = state.arrays.count("parameter/points") > 0;
  const auto part = [&](const std::string& name, const std::string& kind = "parameter/") {
    const auto found = state.arrays.find(kind + name);
    if (found == state.arrays.end())
      throw Error(ExitCode::kData, "lacks " + name, file.string(), "train anew with --overwrite");
    return found->second;
  };
  scene::Cloud cloud;
  if (!convex) {
    cloud.means = part("means");
    cloud.quats = part("quats");
    cloud.scales = part("scales");
    cloud.opacities = part("opacities");
    cloud.sh0 = part("sh0");
    cloud.shN = state.arrays.count("parameter/shN") ? part("shN")
                                                    : cloud.sh0.new_empty({cloud.size(), 0, 3});
    cloud.check();
  }
  Eigen::Matrix4d scene_from_capture;
  try {
    if (convex) {
      ConvexOptions options;
      OptionList(options).apply(state.document.at("options").at("convex"), file.string());
      nn::NamedTensors rows;
      for (const char* name : {"points", "delta", "sigma", "mask", "opacities", "sh0", "shN"})
        if (const auto found = state.arrays.find(std::string("parameter/") + name);
            found != state.arrays.end())
          rows[name] = found->second;
      cloud = convex_cloud(rows, options);
    }
    if (state.arrays.count(std::string("parameter/") + kShape)) {
      GesOptions ges;
      OptionList(ges).apply(state.document.at("options").at("ges"), file.string());
      with_shape(part(kShape), ges, cloud);
    }
    if (state.document.at("options").value("filter_3d", false))
      with_filter(part(kSamplingFilter, "statistic/"), cloud);
    for (size_t i = 0; i < 4; ++i)
      for (size_t k = 0; k < 4; ++k)
        scene_from_capture(static_cast<long>(i), static_cast<long>(k)) =
            state.document.at("scene_from_capture").at(i).at(k).get<double>();
    note = "not finished: the state of step " + state.document.at("step").dump() + " of " +
           state.document.at("steps").dump();
  } catch (const nlohmann::json::exception& e) {
    throw Error(ExitCode::kData, std::string("the state cannot be read: ") + e.what(),
                file.string(), "train anew with --overwrite");
  }
  return transformed(cloud, scene_from_capture.inverse());
}

}  // namespace

void take_refined_cameras(scene::Capture& capture, const LoadedScene& scene) {
  const fs::path file = scene.run / "cameras.json";
  if (scene.run.empty() || !fs::exists(file)) return;
  scene::CameraFile cameras = scene::read_cameras(file);
  std::set<std::string> known;
  for (const scene::NamedCamera& n : cameras.cameras) known.insert(n.name);
  for (const scene::View& v : capture.views)
    if (!known.count(v.name)) cameras.cameras.push_back({v.name, "", v.camera});
  scene::take_cameras(capture, cameras, file.string());
}

LoadedScene load_scene(const fs::path& path) {
  LoadedScene loaded;
  if (!fs::exists(path))
    throw Error(ExitCode::kData, "is not there", path.string(),
                "give a run folder of covary train, or a scene file");
  if (!fs::is_directory(path) || scene::is_scene_file(path)) {
    loaded.file = path;
    loaded.cloud = scene::load_cloud(path);
    return loaded;
  }
  loaded.run = path;
  if (const fs::path config = path / "config.json"; fs::exists(config)) {
    loaded.config = nlohmann::json::parse(read_file(config), nullptr, false);
    if (!loaded.config.is_object())
      throw Error(ExitCode::kData, "is no JSON object", config.string(),
                  "give the .ply file itself instead of the folder");
  }
  loaded.file = path / "scene.ply";
  if (fs::exists(loaded.file)) {
    loaded.cloud = scene::load_cloud(loaded.file);
  } else if (fs::exists(path / "checkpoint" / "state.cov")) {
    loaded.file = path / "checkpoint" / "state.cov";
    loaded.cloud = from_state(loaded.file, loaded.note);
  } else {
    throw Error(ExitCode::kData, "holds neither scene.ply nor a checkpoint", path.string(),
                "give a run folder of covary train, or a scene file");
  }
  if (loaded.config.contains("options") && loaded.config["options"].is_object()) {
    const auto antialias = loaded.config["options"].find("antialias");
    if (antialias != loaded.config["options"].end() && antialias->is_string()) {
      loaded.cloud.antialiased = *antialias == "mip";
      if (*antialias == "analytic") loaded.cloud.footprint = "analytic";
    }
  }
  return loaded;
}

}  // namespace covary::fit
