// OpenSfM's reconstruction.json (also of OpenDroneMap): a list of reconstructions, each with cameras,
// shots and points by name. A shot's rotation is a rotation vector, and with its translation gives
// camera from world in OpenCV axes. Lengths in the image are in units of the larger side, from the
// picture's centre.
//
//   perspective            focal, k1, k2
//   simple_radial, radial  focal_x, focal_y, c_x, c_y, k1 (k2)
//   brown                  focal_x, focal_y, c_x, c_y, k1, k2, k3, p1, p2
//   fisheye                focal, k1, k2            of the angle's square
//   fisheye_opencv         focal_x, focal_y, c_x, c_y, k1 .. k4
//
// Source: OpenSfM's documentation, "Reconstruction file format" and "Geometric Models".
#include <algorithm>
#include <cmath>

#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Lens read_lens(const JsonFields& camera) {
  const std::string type = camera.text("projection_type", "perspective");
  const std::string where = camera.where("projection_type");
  const char* known[] = {"perspective", "simple_radial", "radial",
                         "brown",       "fisheye",       "fisheye_opencv"};
  if (std::find(std::begin(known), std::end(known), type) == std::end(known))
    throw Error(ExitCode::kData, "the projection '" + type + "' is not read", where,
                "undistort the photos first, or use perspective, simple_radial, radial, brown, "
                "fisheye or fisheye_opencv");
  const int w = camera.size("width"), h = camera.size("height");
  const double unit = std::max(w, h);
  const auto value = [&](const char* key) { return camera.number(key, 0); };
  const bool one_focal = type == "perspective" || type == "fisheye";
  const double fx = camera.number(one_focal ? "focal" : "focal_x") * unit,
               fy = camera.number(one_focal ? "focal" : "focal_y") * unit,
               cx = w / 2.0 + (one_focal ? 0 : value("c_x") * unit),
               cy = h / 2.0 + (one_focal ? 0 : value("c_y") * unit);
  if (type.starts_with("fisheye")) {
    const double k3 = one_focal ? 0 : value("k3"), k4 = one_focal ? 0 : value("k4");
    Lens lens{LensModel::kOpenCVFisheye, w, h, {fx, fy, cx, cy, value("k1"), value("k2"), k3, k4}};
    lens.check(where);
    return lens;
  }
  const bool brown = type == "brown";
  const double k3 = brown ? value("k3") : 0, p1 = brown ? value("p1") : 0,
               p2 = brown ? value("p2") : 0;
  return brown_lens(w, h, fx, fy, cx, cy, {value("k1"), value("k2"), k3, 0}, {p1, p2}, where);
}

Eigen::Matrix4d read_pose(const JsonFields& shot) {
  const std::vector<double> r = shot.numbers("rotation", 3), t = shot.numbers("translation", 3);
  const Eigen::Vector3d turn(r[0], r[1], r[2]);
  if (!(turn.norm() < 1e3)) shot.fail("rotation", "is no rotation vector");
  Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
  pose.topLeftCorner<3, 3>() = geometry::so3_exp(turn);
  pose.topRightCorner<3, 1>() = Eigen::Vector3d(t[0], t[1], t[2]);
  return pose;
}

void read_points(const JsonFields& reconstruction, Points& points) {
  if (!reconstruction.find("points")) return;
  for (const auto& [id, value] : reconstruction.object("points").items()) {
    const JsonFields point(value, reconstruction.where("points: " + id));
    const std::vector<double> p = point.numbers("coordinates", 3);
    points.positions.emplace_back(Eigen::Vector3d(p[0], p[1], p[2]).cast<float>());
    Eigen::Matrix<uint8_t, 3, 1> color = Eigen::Matrix<uint8_t, 3, 1>::Constant(128);
    if (point.find("color")) {
      const std::vector<double> c = point.numbers("color", 3);
      for (int i = 0; i < 3; ++i)
        color[i] =
            static_cast<uint8_t>(std::lround(std::clamp(c[static_cast<size_t>(i)], 0.0, 255.0)));
    }
    points.colors.push_back(color);
  }
}

}  // namespace

CaptureSource read_opensfm_capture(const fs::path& given_root, const fs::path& model,
                                   const CaptureOptions& options) {
  // OpenDroneMap keeps the file in opensfm/ and the photos beside that.
  const fs::path above = fs::absolute(given_root / "..").lexically_normal();
  const bool photos_above =
      !fs::is_directory(given_root / "images") && fs::is_directory(above / "images");
  const fs::path root = photos_above ? above : given_root;
  const json document = parse_json_file(model);
  if (!document.is_array() || document.empty())
    throw Error(ExitCode::kData, "is no list of reconstructions", model.string(),
                "check that this is OpenSfM's reconstruction.json, and that a reconstruction came "
                "about");
  CaptureSource source;
  source.files.push_back(model);
  size_t best = 0, most = 0;
  std::string counts;
  for (size_t i = 0; i < document.size(); ++i) {
    const JsonFields piece(document[i], model.string() + ": [" + std::to_string(i) + "]");
    const size_t n = piece.object("shots").size();
    counts += (i ? ", " : "") + std::string("[") + std::to_string(i) + "] has " + std::to_string(n);
    if (n > most) {
      best = i;
      most = n;
    }
  }
  if (document.size() > 1)
    source.notes.push_back("the reconstruction is in " + std::to_string(document.size()) +
                           " pieces: took [" + std::to_string(best) +
                           "], which has the most photos (" + counts + ")");
  const JsonFields piece(document[best], model.string() + ": [" + std::to_string(best) + "]");

  const fs::path folder = find_photo_folder(root, options.downscale, source);
  const json& cameras = piece.object("cameras");
  std::vector<std::string> missing;
  for (const auto& [name, value] : piece.object("shots").items()) {
    const JsonFields shot(value, piece.where("shots: " + name));
    PhotoSource photo;
    photo.name = name;
    photo.where = shot.where("rotation");
    photo.cam_from_world = cam_from_world(read_pose(shot), PoseDirection::kCamFromWorld,
                                          CameraAxes::kOpenCV, photo.where);
    const std::string camera = shot.text("camera", "");
    const auto found = cameras.find(camera);
    if (found == cameras.end()) shot.fail("camera", "'" + camera + "' is not among the cameras");
    photo.lens = read_lens(JsonFields(*found, piece.where("cameras: " + camera)));
    photo.path = find_photo(folder, name);
    if (photo.path.empty())
      missing.push_back(name);
    else
      source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  read_points(piece, source.points);
  return source;
}

}  // namespace covary::scene
