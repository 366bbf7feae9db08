#include "covary/splat/scene/cameras_json.h"

#include <cmath>
#include <map>

#include <Eigen/LU>
#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

using nlohmann::json;

constexpr const char* kSchema = "covary-cameras/1";
constexpr const char* kProjections[] = {"pinhole", "orthographic", "fisheye"};

Camera camera_of(const JsonFields& f) {
  Camera c;
  const std::string projection = f.text("projection", "pinhole");
  int kind = -1;
  for (int k = 0; k < 3; ++k)
    if (projection == kProjections[k]) kind = k;
  if (kind < 0)
    f.fail("projection", "'" + projection + "' is none of pinhole, orthographic, fisheye");
  c.projection = static_cast<Projection>(kind);
  c.width = f.size("width");
  c.height = f.size("height");
  c.fx = f.number("fx");
  c.fy = f.number("fy");
  c.cx = f.number("cx");
  c.cy = f.number("cy");
  if (!(c.fx > 0 && c.fy > 0)) f.fail("fx", "the focal length is not positive");
  c.cam_from_world = f.matrix("cam_from_world");
  return c;
}

}  // namespace

json matrix_to_json(const Eigen::Matrix4d& m) {
  json rows = json::array();
  for (int r = 0; r < 4; ++r) rows.push_back({m(r, 0), m(r, 1), m(r, 2), m(r, 3)});
  return rows;
}

CameraFile cameras_of(const Capture& capture) {
  CameraFile file;
  file.scene_from_capture = capture.scene_from_capture;
  file.background = capture.background;
  file.extent = capture.extent;
  for (const View& v : capture.views) file.cameras.push_back({v.name, "", v.camera});
  for (const int64_t i : capture.train) file.cameras[static_cast<size_t>(i)].split = "train";
  for (const int64_t i : capture.test) file.cameras[static_cast<size_t>(i)].split = "test";
  return file;
}

json cameras_to_json(const CameraFile& file) {
  json cameras = json::array();
  for (const NamedCamera& n : file.cameras) {
    const Camera& c = n.camera;
    cameras.push_back({{"name", n.name},
                       {"split", n.split},
                       {"projection", kProjections[static_cast<int>(c.projection)]},
                       {"width", c.width},
                       {"height", c.height},
                       {"fx", c.fx},
                       {"fy", c.fy},
                       {"cx", c.cx},
                       {"cy", c.cy},
                       {"cam_from_world", matrix_to_json(c.cam_from_world)}});
  }
  return {{"schema", kSchema},
          {"scene_from_capture", matrix_to_json(file.scene_from_capture)},
          {"background", {file.background[0], file.background[1], file.background[2]}},
          {"extent", file.extent},
          {"cameras", cameras}};
}

void write_cameras(const std::filesystem::path& path, const CameraFile& file) {
  // Photos' names are bytes, JSON is UTF-8: what is not becomes U+FFFD.
  write_file(path,
             cameras_to_json(file).dump(1, ' ', false, json::error_handler_t::replace) + "\n");
}

CameraFile read_cameras(const std::filesystem::path& path) {
  return cameras_from_json(parse_json_file(path), path.string());
}

CameraFile cameras_from_json(const json& document, const std::string& where) {
  const JsonFields fields(document, where);
  if (fields.text("schema", "") != kSchema)
    throw Error(ExitCode::kData, "not a cameras.json of schema " + std::string(kSchema),
                where + ": schema", "give the cameras.json of a run folder");
  CameraFile file;
  file.scene_from_capture = fields.matrix("scene_from_capture");
  file.extent = fields.number("extent");
  const json* background = fields.find("background");
  if (background && background->is_array() && background->size() == 3)
    for (int i = 0; i < 3; ++i)
      file.background[i] = fields.number_at(*background, static_cast<size_t>(i), "background");
  const json* cameras = fields.find("cameras");
  if (!cameras || !cameras->is_array()) fields.fail("cameras", "is no list");
  for (size_t i = 0; i < cameras->size(); ++i) {
    const JsonFields f((*cameras)[i], fields.where("cameras[" + std::to_string(i) + "]"));
    file.cameras.push_back({f.text("name", ""), f.text("split", ""), camera_of(f)});
  }
  return file;
}

Camera camera_from_json(const json& object, const std::string& where) {
  return camera_of(JsonFields(object, where));
}

CaptureSource read_cameras_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options) {
  const CameraFile file = read_cameras(model);
  CaptureSource source;
  source.files.push_back(model);
  const std::filesystem::path folder = find_photo_folder(root, options.downscale, source);
  const double det = file.scene_from_capture.topLeftCorner<3, 3>().determinant();
  if (!(det > 1e-12 && det < 1e12))
    throw Error(ExitCode::kData, "is no similarity", model.string() + ": scene_from_capture",
                "give the cameras.json as the run wrote it");
  const Eigen::Matrix4d capture_from_scene = file.scene_from_capture.inverse();
  std::vector<std::string> missing;
  for (size_t i = 0; i < file.cameras.size(); ++i) {
    const NamedCamera& n = file.cameras[i];
    PhotoSource photo;
    photo.name = n.name;
    photo.where = model.string() + ": cameras[" + std::to_string(i) + "]";
    if (n.name.empty())
      throw Error(ExitCode::kData, "is missing", photo.where + ": name", "name the photo");
    if (n.camera.projection == Projection::kOrthographic)
      throw Error(ExitCode::kData, "photos have no orthographic cameras",
                  photo.where + ": projection", "give the cameras of photos");
    const Camera camera = transformed(n.camera, capture_from_scene);
    photo.cam_from_world = cam_from_world(camera.cam_from_world, PoseDirection::kCamFromWorld,
                                          CameraAxes::kOpenCV, photo.where + ": cam_from_world");
    photo.lens = {LensModel::kPinhole,
                  camera.width,
                  camera.height,
                  {camera.fx, camera.fy, camera.cx, camera.cy}};
    if (camera.projection == Projection::kFisheye) {
      photo.lens.model = LensModel::kOpenCVFisheye;
      photo.lens.params.resize(8);
    }
    photo.lens.check(photo.where);
    photo.test = n.split == "test";
    source.own_split = source.own_split || photo.test;
    photo.path = find_photo(root, n.name);
    if (photo.path.empty()) photo.path = find_photo(folder, n.name);
    if (photo.path.empty())
      missing.push_back(n.name);
    else
      source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  return source;
}

void take_cameras(Capture& capture, const CameraFile& file, const std::string& where) {
  constexpr double kTolerance = 0.01;  // of the aspect: a shrunk photo's size is rounded
  std::map<std::string, const Camera*> by_name;
  for (const NamedCamera& n : file.cameras)
    if (!by_name.emplace(n.name, &n.camera).second)
      throw Error(ExitCode::kData, "this view has two cameras", where + ": " + n.name,
                  "leave one of them out");
  for (View& v : capture.views) {
    const auto found = by_name.find(v.name);
    if (found == by_name.end())
      throw Error(
          ExitCode::kData, "no camera is there for this view", where + ": " + v.name,
          "name cameras of the same photos, such as the cameras.json of a run on this capture");
    const Camera& camera = *found->second;
    const int width = v.camera.width, height = v.camera.height;
    const double aspect =
        static_cast<double>(camera.width) * height / (static_cast<double>(camera.height) * width);
    if (std::abs(aspect - 1) > kTolerance)
      throw Error(ExitCode::kData,
                  "the camera is of " + std::to_string(camera.width) + " x " +
                      std::to_string(camera.height) + " px, the photo of " + std::to_string(width) +
                      " x " + std::to_string(height),
                  where + ": " + v.name, "name cameras of the same photos");
    v.camera =
        camera.width == width && camera.height == height ? camera : camera.scaled(width, height);
  }
}

}  // namespace covary::scene
