#include "covary/splat/render/truth_export.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <vector>

#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/threads.h"
#include "covary/core/data/archive.h"
#include "covary/core/geometry/rigid.h"

namespace covary::render {
namespace {

namespace fs = std::filesystem;

// Shortest text that reads back as the same double.
std::string number(double x) {
  char text[40];
  for (const int digits : {9, 15, 17}) {
    std::snprintf(text, sizeof text, "%.*g", digits, x);
    if (std::strtod(text, nullptr) == x) break;
  }
  return text;
}

// Colour and alpha as one image; colours that lie over the capture's background are taken off it again.
data::Image8 with_alpha(const scene::View& view, const scene::Capture& capture) {
  data::Image8 out(view.image.height, view.image.width, 4);
  for (size_t i = 0; i < view.alpha.pixels.size(); ++i) {
    const int a = view.alpha.pixels[i];
    for (size_t c = 0; c < 3; ++c) {
      double v = view.image.pixels[3 * i + c];
      if (!capture.random_background) {
        const double under = 255 * capture.background[static_cast<Eigen::Index>(c)];
        v = a == 0 ? 0 : (v - under * (255 - a) / 255) * 255 / a;
      }
      out.pixels[4 * i + c] = static_cast<uint8_t>(std::lround(std::clamp(v, 0.0, 255.0)));
    }
    out.pixels[4 * i + 3] = static_cast<uint8_t>(a);
  }
  return out;
}

void write_floats(const fs::path& path, const data::ImageF& image, float factor) {
  data::Array array;
  array.shape = {image.height, image.width};
  if (image.channels > 1) array.shape.push_back(image.channels);
  auto values = image.pixels;
  for (float& v : values) v *= factor;
  array.bytes.resize(values.size() * sizeof(float));
  std::memcpy(array.bytes.data(), values.data(), array.bytes.size());
  data::write_npy(path, array);
}

}  // namespace

void write_capture(const scene::Capture& capture, const fs::path& folder) {
  const Eigen::Matrix4d capture_from_scene = Eigen::Matrix4d(capture.scene_from_capture.inverse());
  const float unit = static_cast<float>(geometry::similarity_scale(capture_from_scene));

  std::map<std::string, size_t> cameras;  // text of the intrinsics -> id
  std::string images =
      "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; then the keypoints (none)\n";
  std::map<std::string, bool> folders = {
      {"images", true}, {"masks", false}, {"depth", false}, {"normal", false}};
  for (size_t i = 0; i < capture.views.size(); ++i) {
    const scene::View& view = capture.views[i];
    if (view.camera.projection != scene::Projection::kPinhole) {
      throw Error(ExitCode::kUsage, "only pinhole cameras can be written", view.name);
    }
    const scene::Camera c = scene::transformed(view.camera, capture_from_scene);
    const std::string lens = "PINHOLE " + std::to_string(c.width) + " " + std::to_string(c.height) +
                             " " + number(c.fx) + " " + number(c.fy) + " " + number(c.cx) + " " +
                             number(c.cy);
    const size_t id = cameras.try_emplace(lens, cameras.size() + 1).first->second;
    const Eigen::Vector4d q = geometry::quat_from_matrix(c.cam_from_world.topLeftCorner<3, 3>());
    images += std::to_string(i + 1);
    for (int k = 0; k < 4; ++k) images += " " + number(q[k]);
    for (int k = 0; k < 3; ++k) images += " " + number(c.cam_from_world(k, 3));
    images += " " + std::to_string(id) + " " + view.name + "\n\n";
    folders["masks"] |= !view.mask.empty();
    folders["depth"] |= !view.depth.empty();
    folders["normal"] |= !view.normal.empty();
  }
  std::vector<std::string> lenses(cameras.size());
  for (const auto& [lens, id] : cameras) lenses[id - 1] = lens;
  std::string camera_text = "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n";
  for (size_t i = 0; i < lenses.size(); ++i)
    camera_text += std::to_string(i + 1) + " " + lenses[i] + "\n";
  std::string points = "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] (none)\n";
  for (size_t i = 0; i < capture.points.positions.size(); ++i) {
    const Eigen::Vector3d p =
        geometry::apply(capture_from_scene, capture.points.positions[i].cast<double>());
    points += std::to_string(i + 1);
    for (int k = 0; k < 3; ++k) points += " " + number(std::round(p[k] * 1e6) / 1e6);
    for (int k = 0; k < 3; ++k) points += " " + std::to_string(capture.points.colors[i][k]);
    points += " 0\n";
  }

  const fs::path model = folder / "sparse" / "0";
  make_folder(model);
  for (const auto& [name, used] : folders) {
    if (used) make_folder(folder / name);
  }
  parallel_tasks(static_cast<int64_t>(capture.views.size()), [&](int64_t i) {
    const scene::View& view = capture.views[static_cast<size_t>(i)];
    const fs::path name = fs::path(view.name).filename();
    const auto with = [&](const char* part, const char* extension) {
      return folder / part / fs::path(name).replace_extension(extension);
    };
    data::write_image(folder / "images" / name,
                      view.alpha.empty() ? view.image : with_alpha(view, capture));
    if (!view.mask.empty()) data::write_image(with("masks", ".png"), view.mask);
    if (!view.depth.empty()) write_floats(with("depth", ".npy"), view.depth, unit);
    if (!view.normal.empty()) write_floats(with("normal", ".npy"), view.normal, 1);
  });
  // The model last: a folder without it is no capture, so an interrupted one is not mistaken for whole.
  write_file(model / "cameras.txt", camera_text);
  write_file(model / "points3D.txt", points);
  write_file(model / "images.txt", images);
}

}  // namespace covary::render
