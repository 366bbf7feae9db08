#include "covary/splat/render/truth_options.h"

#include <cmath>

#include "covary/core/base/error.h"

namespace covary::render {
namespace {

std::string parameters_of(const OptionList& list) {
  std::string line;
  for (const OptionField& field : list.fields()) {
    const nlohmann::json& value = field.default_value();
    const std::string& path = field.path();
    if (!line.empty()) line += ' ';
    line += path.substr(path.rfind('.') + 1) + "=" +
            (value.is_string() ? value.get<std::string>() : value.dump());
  }
  return line;
}

}  // namespace

void SampleViewOptions::describe(OptionList& o) {
  o.add("views", &views, "cameras on three rings of a dome").range(1, 10000);
  o.add("width", &width, "image width").range(8, 16384).unit("px");
  o.add("height", &height, "image height").range(8, 16384).unit("px");
  o.add("fov", &fov, "horizontal field of view").range(5, 150).unit("degrees");
  o.add("distance", &distance, "of the cameras from the middle").range(2, 5).unit("world");
  o.add("jitter", &jitter, "random share by which distance, direction and aim vary").range(0, 0.3);
  o.add("seed", &seed, "of everything random in the sample").range(0, 9e15);
  o.add("points", &points, "sparse points on the surfaces").range(0, 1e7);
  o.add("noise", &noise, "standard deviation of the points' positions").range(0, 1).unit("world");
  o.add("pose_noise", &pose_noise, "standard deviation of the given cameras' rotation")
      .range(0, 45)
      .unit("degrees");
}

void SampleViewOptions::check() const {
  if (static_cast<double>(views) * static_cast<double>(width) * static_cast<double>(height) > 4e9) {
    throw Error(ExitCode::kUsage, "more than 4 Gpx in all", "views, width, height",
                "ask for fewer or smaller views");
  }
}

void StudioOptions::describe(OptionList& o) {
  o.group("camera", camera);
  o.add("spp", &spp, "rays a pixel, a square number").range(1, 400);
  o.add("background", &background, "room (floor and walls) or none (images with alpha)")
      .choices({"room", "none"});
  o.add("exposure", &exposure, "standard deviation of each photo's log gain").range(0, 2);
  o.add("depth", &depth, "depth and normals of every view");
}

void StudioOptions::check() const {
  camera.check();
  const auto side = static_cast<int64_t>(std::lround(std::sqrt(static_cast<double>(spp))));
  if (spp < 1 || side * side != spp) {
    throw Error(ExitCode::kUsage, std::to_string(spp) + " is no square number", "spp",
                "1, 4, 9, 16, ...");
  }
}

void SplatsOptions::describe(OptionList& o) {
  o.group("camera", camera);
  o.add("count", &count, "Gaussians in a ball of radius 1").range(1, 1e7);
  o.add("scale", &scale, "median standard deviation").range(1e-4, 1).unit("world");
  o.add("sh_degree", &sh_degree, "of their colours").range(0, 4);
  o.add("color_noise", &color_noise, "standard deviation of the given points' colours").range(0, 1);
}

void SplatsOptions::check() const { camera.check(); }

std::string studio_parameters() {
  StudioOptions options;
  return parameters_of(OptionList(options));
}

std::string splats_parameters() {
  SplatsOptions options;
  return parameters_of(OptionList(options));
}

}  // namespace covary::render
