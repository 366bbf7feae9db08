#include "covary/splat/fit/shape_files.h"

#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"

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

// take(view, file) of every view that has a map; how many.
template <class F>
int64_t for_maps(scene::Capture& capture, const fs::path& folder, const char* what, F&& take) {
  if (!fs::is_directory(folder))
    throw Error(ExitCode::kData, "is no folder", folder.string(),
                std::string("give the folder of the ") + what + " maps");
  int64_t found = 0;
  for (const int64_t i : capture.train) {
    scene::View& view = capture.views[static_cast<size_t>(i)];
    const fs::path file = map_of(view, folder);
    if (file.empty()) continue;
    take(view, file);
    ++found;
  }
  if (found == 0)
    throw Error(ExitCode::kData, std::string("holds no ") + what + " map of a training photo",
                folder.string(),
                capture.train.empty()
                    ? ""
                    : "name them as the photos, such as " +
                          fs::path(capture.views[static_cast<size_t>(capture.train[0])].name)
                              .replace_extension(".png")
                              .string());
  if (found < static_cast<int64_t>(capture.train.size()))
    log_info("note: " + std::to_string(found) + " of " + std::to_string(capture.train.size()) +
             " training photos have a " + what + " map");
  return found;
}

}  // namespace

int64_t take_depths(scene::Capture& capture, const fs::path& folder, const std::string& kind) {
  if (kind != "inverse" && kind != "distance")
    throw Error(ExitCode::kUsage, "is neither inverse nor distance", "depth_kind", "use inverse");
  return for_maps(capture, folder, "depth", [&](scene::View& view, const fs::path& file) {
    const data::Image16 map = data::read_image16(file);
    if (map.channels != 1)
      throw Error(ExitCode::kData, "has " + std::to_string(map.channels) + " channels, not 1",
                  file.string(), "write depth as a grey PNG of 16 bit");
    check_shape(file, map.height, map.width, view);
    const data::Image16 fitting = data::resize_nearest(map, view.camera.width, view.camera.height);
    view.depth = data::ImageF(fitting.height, fitting.width, 1);
    for (size_t i = 0; i < fitting.pixels.size(); ++i) {
      const float share = static_cast<float>(fitting.pixels[i]) / 65535;  // 0 stays unknown
      view.depth.pixels[i] = kind == "inverse" && share > 0 ? 1 / share : share;
    }
  });
}

int64_t take_normals(scene::Capture& capture, const fs::path& folder) {
  return for_maps(capture, folder, "normal", [&](scene::View& view, const fs::path& file) {
    const data::Image8 map = data::read_image(file);
    if (map.channels != 3)
      throw Error(ExitCode::kData, "has " + std::to_string(map.channels) + " channels, not 3",
                  file.string(), "write x, y, z as red, green, blue");
    check_shape(file, map.height, map.width, view);
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
  });
}

}  // namespace covary::fit
