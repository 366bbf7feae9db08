// Small captures that tests write themselves: cameras on a ring, points in a ball, photos of one
// colour each; and one camera set by hand, whose axes and pixel can be checked in the head.
#pragma once

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

#include <Eigen/Geometry>
#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/archive.h"
#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture.h"

namespace covary::scene::testing_captures {

namespace fs = std::filesystem;

struct TestScene {
  Lens lens = {LensModel::kOpenCV, 64, 48, {60, 61, 31, 25, -0.1, 0.02, 0.001, -0.002}};
  std::vector<std::string> names;
  std::vector<Eigen::Matrix4d> cam_from_world;
  std::vector<Eigen::Vector3d> points;

  explicit TestScene(int views = 9, int point_count = 40) {
    for (int i = 0; i < views; ++i) {
      const double a = 2 * M_PI * i / std::max(1, views);
      const Eigen::Vector3d eye(4 * std::cos(a) + 1, 4 * std::sin(a) - 2, 1.5);
      const Eigen::Vector3d z = (Eigen::Vector3d(1, -2, 0.5) - eye).normalized();
      const Eigen::Vector3d x = z.cross(Eigen::Vector3d::UnitZ()).normalized(), y = z.cross(x);
      Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
      m.block<1, 3>(0, 0) = x.transpose();
      m.block<1, 3>(1, 0) = y.transpose();
      m.block<1, 3>(2, 0) = z.transpose();
      m.topRightCorner<3, 1>() = -m.topLeftCorner<3, 3>() * eye;
      cam_from_world.push_back(m);
      names.push_back("photo " + std::to_string(10 + i) + ".png");
    }
    const Random random(5);
    for (int i = 0; i < point_count; ++i) {
      const auto r = random.normal4(static_cast<uint64_t>(i));
      points.emplace_back(1 + r[0], -2 + 0.5 * r[1], 0.5 + 0.3 * r[2]);
    }
  }

  Eigen::Quaterniond quaternion(size_t i) const {
    return Eigen::Quaterniond(Eigen::Matrix3d(cam_from_world[i].topLeftCorner<3, 3>()));
  }
};

// A camera at (1, 2, 3) that looks along +x with +z up, so that right is -y: a point 4 before it, 1 to
// the right and half above its axis is at a quarter and an eighth of the focal length.
struct HandCamera {
  Eigen::Vector3d centre{1, 2, 3}, right{0, -1, 0}, down{0, 0, -1}, forward{1, 0, 0};
  Eigen::Vector3d point{5, 1, 3.5};
  int width = 64, height = 48;
  double focal = 60, cx = 32, cy = 24;
  Eigen::Vector2d pixel{32 + 60 * 0.25, 24 - 60 * 0.125};

  // World from camera with these axes as columns.
  Eigen::Matrix4d pose(const Eigen::Vector3d& x, const Eigen::Vector3d& y,
                       const Eigen::Vector3d& z) const {
    Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
    m.block<3, 1>(0, 0) = x;
    m.block<3, 1>(0, 1) = y;
    m.block<3, 1>(0, 2) = z;
    m.block<3, 1>(0, 3) = centre;
    return m;
  }
  Eigen::Matrix4d opencv() const { return pose(right, down, forward); }
  Eigen::Matrix4d opengl() const { return pose(right, -down, -forward); }
};

// The pixel error of a camera that should see the hand-made point where it is; the camera's place
// counts too.
inline double hand_error(const Camera& c) {
  const HandCamera hand;
  return (c.project(hand.point) - hand.pixel).norm() + (c.centre() - hand.centre).norm();
}

inline TestScene pinhole_scene(int views = 9) {
  TestScene scene(views);
  scene.lens = {LensModel::kPinhole, 64, 48, {60, 60, 32, 24}};
  return scene;
}

// The largest distance, px, between where the views see the scene's points and where its cameras do.
inline double scene_error(const Capture& c, const TestScene& scene) {
  if (c.views.size() != scene.names.size()) return 1e9;
  double most = 0;
  for (size_t i = 0; i < c.views.size(); ++i) {
    Camera camera = scene.lens.optimal_pinhole();
    camera.cam_from_world = scene.cam_from_world[i];
    for (const Eigen::Vector3d& p : scene.points)
      most = std::max(most, (c.views[i].camera.project(p) - camera.project(p)).norm());
  }
  return most;
}

inline CaptureOptions raw() {
  CaptureOptions o;
  o.normalize = false;
  return o;
}

inline Capture load(const fs::path& root, const CaptureOptions& options = {}) {
  return load_capture(root.string(), options);
}

// A folder of the shared data sets, which may be absent.
inline fs::path shared_data(const char* name) {
  const char* root = std::getenv("COVARY_DATA");
  return fs::path(root ? root : COVARY_SOURCE_DIR "/../shared/data") / name;
}

inline void write_doubles(const fs::path& path, const std::vector<int64_t>& shape,
                          const std::vector<double>& values) {
  data::Array a{data::DType::kFloat64, shape, {}};
  a.bytes.resize(values.size() * sizeof(double));
  std::memcpy(a.bytes.data(), values.data(), a.bytes.size());
  data::write_npy(path, a);
}

inline nlohmann::json json_rows(const Eigen::Matrix4d& m, int rows, int columns = 4) {
  nlohmann::json out = nlohmann::json::array();
  for (int r = 0; r < rows; ++r) {
    out.push_back(nlohmann::json::array());
    for (int c = 0; c < columns; ++c) out.back().push_back(m(r, c));
  }
  return out;
}

template <class T>
void put(std::string& s, T v) {
  s.append(reinterpret_cast<const char*>(&v), sizeof v);
}

inline std::string cameras_bin(const TestScene& s, int32_t model = 4) {
  std::string b;
  put<uint64_t>(b, 1);
  put<uint32_t>(b, 7);
  put<int32_t>(b, model);
  put<uint64_t>(b, static_cast<uint64_t>(s.lens.width));
  put<uint64_t>(b, static_cast<uint64_t>(s.lens.height));
  for (const double p : s.lens.params) put(b, p);
  return b;
}

inline std::string images_bin(const TestScene& s) {
  std::string b;
  put<uint64_t>(b, s.names.size());
  for (size_t i = 0; i < s.names.size(); ++i) {
    put<uint32_t>(b, static_cast<uint32_t>(i + 1));
    const Eigen::Quaterniond q = s.quaternion(i);
    for (const double v : {q.w(), q.x(), q.y(), q.z()}) put(b, v);
    for (int c = 0; c < 3; ++c) put<double>(b, s.cam_from_world[i](c, 3));
    put<uint32_t>(b, 7);
    b += s.names[i];
    b += '\0';
    put<uint64_t>(b, 2);
    for (int k = 0; k < 2; ++k) {
      put<double>(b, 3.5 + k);
      put<double>(b, 4.25);
      put<int64_t>(b, k ? -1 : 0);
    }
  }
  return b;
}

// Ids of the images that see a point: the first and two of the others, one of them twice.
inline std::vector<uint32_t> track_of(const TestScene& s, size_t point) {
  const auto views = static_cast<uint32_t>(s.names.size());
  const auto i = static_cast<uint32_t>(point);
  const uint32_t a = 1 + i % views, b = 1 + i / 2 % views;
  return {1, a, a, b};
}

inline std::string points_bin(const TestScene& s) {
  std::string b;
  put<uint64_t>(b, s.points.size());
  for (size_t i = 0; i < s.points.size(); ++i) {
    put<uint64_t>(b, i);
    for (int c = 0; c < 3; ++c) put<double>(b, s.points[i][c]);
    for (int c = 0; c < 3; ++c) put<uint8_t>(b, static_cast<uint8_t>(40 * c + static_cast<int>(i)));
    put<double>(b, 0.5);
    const auto images = track_of(s, i);
    put<uint64_t>(b, images.size());
    for (const uint32_t image : images) {
      put(b, image);
      put<uint32_t>(b, 0);
    }
  }
  return b;
}

inline void write_colmap_bin(const TestScene& s, const fs::path& folder) {
  fs::create_directories(folder);
  write_file(folder / "cameras.bin", cameras_bin(s));
  write_file(folder / "images.bin", images_bin(s));
  write_file(folder / "points3D.bin", points_bin(s));
}

inline void write_colmap_txt(const TestScene& s, const fs::path& folder) {
  fs::create_directories(folder);
  std::ostringstream cameras, images, points;
  cameras.precision(17);
  images.precision(17);
  points.precision(17);
  cameras << "# Camera list\n7 " << lens_model_name(s.lens.model) << " " << s.lens.width << " "
          << s.lens.height;
  for (const double p : s.lens.params) cameras << " " << p;
  cameras << "\n";
  images << "# Image list with two lines of data per image:\n";
  for (size_t i = 0; i < s.names.size(); ++i) {
    const Eigen::Quaterniond q = s.quaternion(i);
    images << i + 1 << " " << q.w() << " " << q.x() << " " << q.y() << " " << q.z();
    for (int c = 0; c < 3; ++c) images << " " << s.cam_from_world[i](c, 3);
    images << " 7 " << s.names[i] << "\n";
    images << (i == 1 ? "\n"
                      : "3.5 4.25 0 4.5 4.25 -1\n");  // an image may see nothing: its line is empty
  }
  for (size_t i = 0; i < s.points.size(); ++i) {
    points << i;
    for (int c = 0; c < 3; ++c) points << " " << s.points[i][c];
    for (int c = 0; c < 3; ++c) points << " " << 40 * c + static_cast<int>(i);
    points << " 0.5";
    for (const uint32_t image : track_of(s, i)) points << " " << image << " 0";
    points << "\n";
  }
  write_file(folder / "cameras.txt", cameras.str());
  write_file(folder / "images.txt", images.str());
  write_file(folder / "points3D.txt", points.str());
}

// The scene as nerfstudio writes it: camera-to-world in OpenGL axes, then the applied transform.
inline nlohmann::json transforms(const TestScene& s,
                                 const Eigen::Matrix4d& applied = Eigen::Matrix4d::Identity()) {
  using nlohmann::json;
  const auto& p = s.lens.params;
  json document = {{"camera_model", "OPENCV"},
                   {"w", s.lens.width},
                   {"h", s.lens.height},
                   {"fl_x", p[0]},
                   {"fl_y", p[1]},
                   {"cx", p[2]},
                   {"cy", p[3]}};
  if (s.lens.model == LensModel::kOpenCV)
    for (const auto& [key, at] : {std::pair{"k1", 4}, {"k2", 5}, {"p1", 6}, {"p2", 7}})
      document[key] = p[static_cast<size_t>(at)];
  if (!applied.isIdentity()) document["applied_transform"] = json_rows(applied, 3);
  for (size_t i = 0; i < s.names.size(); ++i) {
    Eigen::Matrix4d c2w = s.cam_from_world[i].inverse();
    c2w.col(1) = -c2w.col(1);
    c2w.col(2) = -c2w.col(2);
    document["frames"].push_back(
        {{"file_path", "images/" + s.names[i]}, {"transform_matrix", json_rows(applied * c2w, 4)}});
  }
  return document;
}

inline data::Image8 plain(int height, int width, int channels, int value, int alpha = 255) {
  data::Image8 image(height, width, channels);
  for (size_t i = 0; i < image.pixels.size(); ++i)
    image.pixels[i] = static_cast<uint8_t>(channels == 4 && i % 4 == 3 ? alpha : value);
  return image;
}

// Photos whose grey is 100 + their number.
inline void write_photos(const TestScene& s, const fs::path& folder, int divide = 1) {
  fs::create_directories(folder);
  for (size_t i = 0; i < s.names.size(); ++i)
    data::write_image(folder / s.names[i], plain(s.lens.height / divide, s.lens.width / divide, 3,
                                                 100 + static_cast<int>(i)));
}

// Photos of the hand-made camera's size under images/, one a name.
inline void write_hand_photos(const fs::path& root, const std::vector<std::string>& names) {
  for (const std::string& n : names) {
    fs::create_directories((root / n).parent_path());
    data::write_image(root / n, plain(48, 64, 3, 100));
  }
}

inline void write_colmap_capture(const TestScene& s, const fs::path& root) {
  write_photos(s, root / "images");
  write_colmap_bin(s, root / "sparse" / "0");
}

}  // namespace covary::scene::testing_captures
