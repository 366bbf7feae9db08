#include "covary/splat/fit/shape_files.h"

#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/splat/scene/photo_cache.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;

constexpr double kAspect = 0.01;  // a shrunk photo's size is rounded

// The map of a photo; empty when there is none.
fs::path map_of(const scene::View& view, const fs::path& folder) {
  const fs::path name(view.name);
  fs::path relative;
  for (const fs::path& part : name.relative_path())
    if (part != "..") relative /= part;  // a name never leads out of the folder
  const fs::path file = folder / relative.replace_extension(".png");
  return fs::is_regular_file(file) ? file : fs::path();
}

void check_shape(const fs::path& file, int height, int width, const scene::View& view) {
  const double aspect = static_cast<double>(width) * view.camera.height /
                        (static_cast<double>(height) * view.camera.width);
  if (std::abs(aspect - 1) > kAspect)
    throw Error(ExitCode::kData,
                "is of " + std::to_string(width) + " x " + std::to_string(height) +
                    " px, the photo of " + std::to_string(view.camera.width) + " x " +
                    std::to_string(view.camera.height),
                file.string(), "make maps of the photos as they are loaded, without distortion");
}

// A kind of map, and how it is written.
struct Kind {
  const char* what;
  int channels;
  const char* hint;
  bool scene::ViewParts::* part;
};
constexpr Kind kDepth = {"depth", 1, "write depth as a grey PNG of 16 bit",
                         &scene::ViewParts::depth};
constexpr Kind kNormal = {"normal", 3, "write x, y, z as red, green, blue",
                          &scene::ViewParts::normal};

template <class Map>  // a picture, or what its header says
void check_map(const Kind& kind, const Map& map, const fs::path& file, const scene::View& view) {
  if (map.channels != kind.channels)
    throw Error(
        ExitCode::kData,
        "has " + std::to_string(map.channels) + " channels, not " + std::to_string(kind.channels),
        file.string(), kind.hint);
  check_shape(file, map.height, map.width, view);
}

// make(view, file) of every view that has a map, now or whenever the view is decoded; how many.
template <class F>
int64_t for_maps(scene::Capture& capture, const fs::path& folder, const Kind& kind, F&& make) {
  if (!fs::is_directory(folder))
    throw Error(ExitCode::kData, "is no folder", folder.string(),
                std::string("give the folder of the ") + kind.what + " maps");
  int64_t found = 0;
  scene::ViewParts alone;
  alone.*kind.part = true;
  for (const int64_t i : capture.train) {
    scene::View& view = capture.views[static_cast<size_t>(i)];
    const fs::path file = map_of(view, folder);
    if (file.empty()) continue;
    ++found;
    if (!capture.photos) {
      make(view, file);
      continue;
    }
    check_map(kind, data::image_info(file), file, view);
    const int width = view.camera.width, height = view.camera.height;
    capture.photos->add(i, kind.part,
                        alone.bytes(width, height) - scene::ViewParts().bytes(width, height),
                        [make, file](scene::View& v) { make(v, file); });
  }
  if (found == 0)
    throw Error(ExitCode::kData, std::string("holds no ") + kind.what + " map of a training photo",
                folder.string(),
                capture.train.empty()
                    ? ""
                    : "name them as the photos, such as " +
                          fs::path(capture.views[static_cast<size_t>(capture.train[0])].name)
                              .replace_extension(".png")
                              .string());
  if (found < static_cast<int64_t>(capture.train.size()))
    log_info("note: " + std::to_string(found) + " of " + std::to_string(capture.train.size()) +
             " training photos have a " + kind.what + " map");
  return found;
}

}  // namespace

int64_t take_depths(scene::Capture& capture, const fs::path& folder, const std::string& kind) {
  if (kind != "inverse" && kind != "distance")
    throw Error(ExitCode::kUsage, "is neither inverse nor distance", "depth_kind", "use inverse");
  const auto make = [inverse = kind == "inverse"](scene::View& view, const fs::path& file) {
    const data::Image16 map = data::read_image16(file);
    check_map(kDepth, map, file, view);
    const data::Image16 fitting = data::resize_nearest(map, view.camera.width, view.camera.height);
    view.depth = data::ImageF(fitting.height, fitting.width, 1);
    for (size_t i = 0; i < fitting.pixels.size(); ++i) {
      const float share = static_cast<float>(fitting.pixels[i]) / 65535;  // 0 stays unknown
      view.depth.pixels[i] = inverse && share > 0 ? 1 / share : share;
    }
  };
  return for_maps(capture, folder, kDepth, make);
}

int64_t take_normals(scene::Capture& capture, const fs::path& folder) {
  const auto make = [](scene::View& view, const fs::path& file) {
    const data::Image8 map = data::read_image(file);
    check_map(kNormal, map, file, view);
    const data::Image8 fitting = data::resize_nearest(map, view.camera.width, view.camera.height);
    view.normal = data::ImageF(fitting.height, fitting.width, 3);
    for (size_t i = 0; i < fitting.pixels.size(); i += 3) {
      float n[3], square = 0;
      for (size_t k = 0; k < 3; ++k) {
        n[k] = 2 * static_cast<float>(fitting.pixels[i + k]) / 255 - 1;
        square += n[k] * n[k];
      }
      const float unit = square > 0.25f ? 1 / std::sqrt(square) : 0;
      for (size_t k = 0; k < 3; ++k) view.normal.pixels[i + k] = n[k] * unit;
    }
  };
  return for_maps(capture, folder, kNormal, make);
}

}  // namespace covary::fit
