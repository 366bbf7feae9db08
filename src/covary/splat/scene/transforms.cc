// transforms.json of nerfstudio and instant-ngp, and NeRF-synthetic's pair of files. Poses are
// camera-to-world in OpenGL axes (x right, y up, z back): the second and third column of the
// rotation change sign. A file may say otherwise by "convention" and "direction", which are ours. Source: nerfstudio's documentation "Data conventions"; instant-ngp's "NeRF
// dataset tips".
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include <Eigen/Geometry>
#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

Eigen::Matrix4d pose(const JsonFields& frame, PoseReading reading,
                     const Eigen::Matrix4d& capture_from_file) {
  const std::string where = frame.where("transform_matrix");
  const Eigen::Matrix4d cam_from_file =
      cam_from_world(frame.matrix("transform_matrix"), reading.direction, reading.axes, where);
  return cam_from_world(capture_from_file * cam_from_file.inverse(), PoseDirection::kWorldFromCam,
                        CameraAxes::kOpenCV, where);
}

// A value of the frame, or else of the whole file.
struct Either {
  const JsonFields &frame, &file;
  std::optional<double> operator()(const char* key) const {
    const auto v = frame.maybe(key);
    return v ? v : file.maybe(key);
  }
};

void read_lens(const JsonFields& frame, const JsonFields& file, PhotoSource& photo) {
  const Either get{frame, file};
  const JsonFields& with_model = frame.find("camera_model") ? frame : file;
  const std::string model = with_model.text("camera_model", "OPENCV");
  const bool fisheye =
      model == "OPENCV_FISHEYE" || frame.flag("is_fisheye", file.flag("is_fisheye", false));
  if (!fisheye && model != "OPENCV" && model != "PINHOLE" && model != "SIMPLE_PINHOLE" &&
      model != "PERSPECTIVE" && model != "RADIAL" && model != "SIMPLE_RADIAL")
    throw Error(ExitCode::kData, "the camera model '" + model + "' is not read",
                with_model.where("camera_model"),
                "undistort the photos first, or use OPENCV or OPENCV_FISHEYE");
  Lens& lens = photo.lens;
  const auto w = get("w"), h = get("h");
  if (w && h) {
    if (!(*w >= 1 && *w <= 65536 && *h >= 1 && *h <= 65536))
      frame.fail("w", "is no size of 1 to 65536 px");
    lens.width = static_cast<int>(std::lround(*w));
    lens.height = static_cast<int>(std::lround(*h));
  }
  const auto fx = get("fl_x"), fy = get("fl_y"), ax = get("camera_angle_x"),
             ay = get("camera_angle_y");
  const auto focal = [&](double angle, int size, const char* key) {
    if (!(angle > 0 && angle < M_PI)) frame.fail(key, "is no angle between 0 and pi");
    return 0.5 * size / std::tan(angle / 2);
  };
  double f[2];
  if (fx || fy) {
    f[0] = fx ? *fx : *fy;
    f[1] = fy ? *fy : *fx;
    if (!lens.width)
      frame.fail(
          "w", "the file gives a focal length in pixels but not the size w, h that it belongs to");
  } else if (ax || ay) {
    if (!lens.width) {
      // The size is the photo's: load_capture completes the lens when it has decoded it.
      if (!ax)
        frame.fail("camera_angle_x", "is missing, and there is no w, h for camera_angle_y alone");
      focal(*ax, 1, "camera_angle_x");
      photo.field_of_view_x = *ax;
      return;
    }
    f[0] =
        ax ? focal(*ax, lens.width, "camera_angle_x") : focal(*ay, lens.height, "camera_angle_y");
    f[1] = ay ? focal(*ay, lens.height, "camera_angle_y") : f[0];
  } else {
    frame.fail("fl_x", "neither fl_x nor camera_angle_x is given");
  }
  lens.params = {f[0], f[1], get("cx").value_or(lens.width / 2.0),
                 get("cy").value_or(lens.height / 2.0)};
  const auto k = [&](const char* key) { return get(key).value_or(0); };
  if (fisheye) {
    lens.model = LensModel::kOpenCVFisheye;
    for (const char* key : {"k1", "k2", "k3", "k4"}) lens.params.push_back(k(key));
    lens.check(frame.where("fl_x"));
  } else {
    lens =
        brown_lens(lens.width, lens.height, f[0], f[1], lens.params[2], lens.params[3],
                   {k("k1"), k("k2"), k("k3"), k("k4")}, {k("p1"), k("p2")}, frame.where("fl_x"));
  }
}

const json& frames_of(const JsonFields& file) {
  const json* frames = file.find("frames");
  if (!frames || !frames->is_array()) file.fail("frames", "is missing or no list");
  if (frames->empty()) file.fail("frames", "is empty");
  return *frames;
}

// file_path relative to the folder, with an extension tried where it has none.
fs::path photo_path(const fs::path& root, const std::string& name) {
  fs::path direct = root / name;
  if (fs::is_regular_file(direct)) return direct;
  for (const char* extension : {".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"}) {
    fs::path longer = direct;
    longer += extension;
    if (fs::is_regular_file(longer)) return longer;
  }
  return {};
}

std::string plain_name(std::string name) {
  while (name.starts_with("./")) name = name.substr(2);
  return name;
}

}  // namespace

CaptureSource read_transforms_capture(const fs::path& root, const fs::path& path,
                                      const CaptureOptions& options) {
  const json document = parse_json_file(path);
  const JsonFields file(document, path.string());
  CaptureSource source;
  source.files.push_back(path);
  const PoseReading reading = pose_reading(file, "opengl", "camera_to_world");
  source.reading = reading;

  Eigen::Matrix4d capture_from_file = Eigen::Matrix4d::Identity();
  if (file.find("applied_transform")) {
    const Eigen::Matrix4d applied = file.matrix("applied_transform");
    const Eigen::Matrix3d r = applied.topLeftCorner<3, 3>();
    const double det = r.determinant();
    if (!(det > 1e-12) ||
        !((r.transpose() * r / std::pow(det, 2.0 / 3) - Eigen::Matrix3d::Identity()).norm() < 1e-3))
      file.fail("applied_transform", "is no similarity");
    capture_from_file = applied.inverse();
    source.notes.push_back("applied_transform is undone: exports are in the frame from before it");
  }

  // With --downscale N, images/a.jpg is read from images_N/a.jpg when that folder is there.
  const std::string small_folder = "images_" + std::to_string(options.downscale);
  const bool small = options.downscale > 1 && fs::is_directory(root / small_folder);
  size_t from_small = 0;

  const json& frames = frames_of(file);
  std::vector<std::string> missing;
  std::set<std::string> train, test;
  for (const auto& [key, names] :
       {std::pair<const char*, std::set<std::string>*>{"train_filenames", &train},
        {"test_filenames", &test},
        {"val_filenames", &test}}) {
    const json* list = file.find(key);
    if (!list) continue;
    source.own_split = true;
    if (!list->is_array()) file.fail(key, "is no list");
    for (const json& n : *list)
      if (n.is_string()) names->insert(plain_name(n.get<std::string>()));
  }
  bool timed = false;
  std::vector<std::string> no_depth;
  size_t in_no_split = 0;
  for (size_t i = 0; i < frames.size(); ++i) {
    const JsonFields frame(frames[i], file.where("frames[" + std::to_string(i) + "]"));
    PhotoSource photo;
    photo.name = plain_name(frame.text("file_path", ""));
    if (photo.name.empty()) frame.fail("file_path", "is missing");
    photo.where = frame.where("file_path");
    if (small && photo.name.starts_with("images/")) {
      photo.path = find_photo(root / small_folder, photo.name.substr(7));
      from_small += !photo.path.empty();
    }
    if (photo.path.empty()) photo.path = photo_path(root, photo.name);
    timed = timed || frame.find("time");
    photo.cam_from_world = pose(frame, reading, capture_from_file);
    read_lens(frame, file, photo);
    if (photo.path.empty()) {
      missing.push_back(photo.name);
      continue;
    }
    if (source.own_split) {
      photo.test = test.contains(photo.name);
      if (!photo.test && !train.contains(photo.name)) {
        ++in_no_split;
        continue;
      }
    }
    if (const std::string mask = frame.text("mask_path", ""); !mask.empty()) {
      photo.mask = root / mask;
      if (options.masks == "auto" && options.mask_mode != "off" && !fs::is_regular_file(photo.mask))
        throw Error(ExitCode::kData, "the mask is missing",
                    frame.where("mask_path") + ": " + photo.mask.string(),
                    "put it there, or pass --masks off");
    }
    if (const std::string depth = frame.text("depth_file_path", ""); !depth.empty()) {
      const auto unit = Either{frame, file}("depth_unit_scale_factor");
      if (unit && !(*unit > 0)) frame.fail("depth_unit_scale_factor", "is not positive");
      photo.depth_unit = unit.value_or(0);
      photo.depth_scale = std::cbrt(capture_from_file.topLeftCorner<3, 3>().determinant());
      photo.depth = root / depth;
      if (!fs::is_regular_file(photo.depth)) {
        photo.depth.clear();
        no_depth.push_back(depth);
      }
    }
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, root, path);
  if (from_small > 0) {
    if (from_small != source.photos.size())
      throw Error(ExitCode::kData,
                  "the folder has " + std::to_string(from_small) + " of the " +
                      std::to_string(source.photos.size()) + " photos",
                  (root / small_folder).string(),
                  "complete it, or move it away: photos are then shrunk here");
    source.downscaled_folder = true;
    source.notes.push_back("photos are taken from " + small_folder +
                           "/, shrunk by another program");
  }
  if (in_no_split > 0)
    source.notes.push_back(std::to_string(in_no_split) +
                           " frames are in neither split of the file and were skipped");
  if (timed) source.notes.push_back("frames have times: they are taken as one moment");
  if (!no_depth.empty())
    source.notes.push_back(std::to_string(no_depth.size()) +
                           " files of depth_file_path are missing: " + list_some(no_depth));

  source.photo_folder = fs::is_directory(root / "images") ? root / "images" : root;
  if (const std::string ply = file.text("ply_file_path", ""); !ply.empty()) {
    if (fs::is_regular_file(root / ply)) {
      source.points = read_point_file(root / ply, capture_from_file);
      source.files.push_back(root / ply);
    } else {
      source.notes.push_back("the points of ply_file_path are missing: " + ply);
    }
  }
  return source;
}

CaptureSource read_synthetic_capture(const fs::path& root) {
  CaptureSource source;
  source.own_split = true;
  source.white_background = true;
  source.photo_folder = root;
  std::vector<std::string> missing;
  for (const char* split : {"train", "test"}) {
    const fs::path path = root / ("transforms_" + std::string(split) + ".json");
    if (!fs::is_regular_file(path)) {
      source.notes.push_back(path.filename().string() + " is not there: no view is held out");
      continue;
    }
    const json document = parse_json_file(path);
    const JsonFields file(document, path.string());
    source.files.push_back(path);
    const json& frames = frames_of(file);
    for (size_t i = 0; i < frames.size(); ++i) {
      const JsonFields frame(frames[i], file.where("frames[" + std::to_string(i) + "]"));
      PhotoSource photo;
      photo.name = plain_name(frame.text("file_path", ""));
      if (photo.name.empty()) frame.fail("file_path", "is missing");
      photo.where = frame.where("file_path");
      photo.path = photo_path(root, photo.name);
      source.reading = pose_reading(file, "opengl", "camera_to_world");
      photo.cam_from_world = pose(frame, *source.reading, Eigen::Matrix4d::Identity());
      photo.test = std::string(split) == "test";
      read_lens(frame, file, photo);
      if (photo.path.empty())
        missing.push_back(photo.name);
      else
        source.photos.push_back(std::move(photo));
    }
  }
  note_missing(source, missing, root, "transforms_train.json");
  return source;
}

}  // namespace covary::scene
