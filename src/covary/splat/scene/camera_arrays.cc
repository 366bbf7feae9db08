// cameras.json of the schema "covary-camera-arrays/1": cameras as NumPy arrays, described once. All
// paths are relative to the file.
//
//   {"schema": "covary-camera-arrays/1",
//    "photos": "images/*.png",           or a list of names; default: the photos of images/
//    "convention": "opencv",             axes of a camera: opencv (y down, z forward) or opengl
//                                        (y up, z back)
//    "direction": "world_to_camera",     or camera_to_world
//    "poses": "poses.npy",               N x 3 x 4 or N x 4 x 4; or "cams/*.npy", a file a photo of
//                                        3 x 4 or 4 x 4; or "cams/*_cam.txt", MVSNet's, which
//                                        hold intrinsics too; or, in place of it,
//    "rotations": "R_list.npy",          N x 3 x 3, with
//    "translations": "t_list.npy",       N x 3 (or N x 3 x 1)
//    "fx": 383, "fy": 383, "cx": 320, "cy": 240,       intrinsics in px; or
//    "fov_x": 49.1,                      degrees, principal point in the middle, square pixels; or
//    "intrinsics": "intr_list.npy",      3 x 3 or N x 3 x 3
//    "width": 640, "height": 480,        size that px belong to; default: each photo's own
//    "masks": "mask_*.png",              255 = use; may be absent
//    "points": "pcd.ply"}                may be absent
//
// One * stands for the same text in photos, poses and masks. Arrays of N are in order of the photos:
// of the list, or by name.
#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/data/archive.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/mvsnet.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// A photo, and what * stood for in its name.
struct NamedPhoto {
  std::string name, star;
};

struct Pattern {
  std::string before, after;
  std::string with(const std::string& star) const { return before + star + after; }
};

std::optional<Pattern> pattern_of(const JsonFields& file, const std::string& key,
                                  const std::string& text) {
  const size_t star = text.find('*');
  if (star == std::string::npos) return std::nullopt;
  if (text.find('*', star + 1) != std::string::npos || text.find('/', star) != std::string::npos)
    file.fail(key, "one * is read, in the last part of the path");
  return Pattern{text.substr(0, star), text.substr(star + 1)};
}

std::vector<NamedPhoto> find_photos(const JsonFields& file, const fs::path& root) {
  std::vector<NamedPhoto> out;
  const json* given = file.find("photos");
  if (given && given->is_array()) {
    for (const json& n : *given) {
      if (!n.is_string()) file.fail("photos", "holds what is no text");
      out.push_back({n.get<std::string>(), fs::path(n.get<std::string>()).stem().string()});
    }
  } else if (const std::string text = file.text("photos", ""); !text.empty()) {
    const auto pattern = pattern_of(file, "photos", text);
    if (!pattern) file.fail("photos", "is neither a list nor a path with a *");
    const fs::path folder = (root / pattern->before).parent_path();
    const std::string start = fs::path(pattern->before).filename().string();
    if (!fs::is_directory(folder)) file.fail("photos", "there is no folder " + folder.string());
    for (const fs::path& p : photos_in(folder)) {
      const std::string name = p.filename().string();
      if (name.size() < start.size() + pattern->after.size() || !name.starts_with(start) ||
          !name.ends_with(pattern->after))
        continue;
      const std::string star =
          name.substr(start.size(), name.size() - start.size() - pattern->after.size());
      out.push_back({pattern->with(star), star});
    }
  } else {
    const bool in_images = fs::is_directory(root / "images");
    for (const fs::path& p : photos_in(in_images ? root / "images" : root))
      out.push_back({(in_images ? "images/" : "") + p.filename().string(), p.stem().string()});
  }
  if (out.empty()) file.fail("photos", "matches no photo");
  return out;
}

// An array of doubles from a file that a field names.
struct Doubles {
  std::vector<int64_t> shape;
  std::vector<double> values;
};

Doubles read_doubles(const fs::path& path) {
  const data::Array a = data::read_npy(path);
  Doubles out{a.shape, std::vector<double>(static_cast<size_t>(a.count()))};
  for (size_t i = 0; i < out.values.size(); ++i) {
    out.values[i] = a.dtype == data::DType::kFloat64   ? a.as<double>()[i]
                    : a.dtype == data::DType::kFloat32 ? static_cast<double>(a.as<float>()[i])
                                                       : std::nan("");
    if (!std::isfinite(out.values[i]))
      throw Error(ExitCode::kData, "holds what is no finite number of floating point",
                  path.string(), "write the array again as float32 or float64");
  }
  return out;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string out;
  for (const int64_t n : shape) out += (out.empty() ? "" : " x ") + std::to_string(n);
  return out.empty() ? "no dimensions" : out;
}

[[noreturn]] void wrong_shape(const fs::path& path, const Doubles& a, const std::string& wanted) {
  throw Error(ExitCode::kData, "the array is " + shape_text(a.shape) + ", not " + wanted,
              path.string(), "write one entry a photo");
}

// Rows of 3 x 4 or 4 x 4 from the given place of an array.
Eigen::Matrix4d matrix_at(const Doubles& a, size_t first, int rows) {
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  for (int r = 0; r < std::min(rows, 3); ++r)
    for (int c = 0; c < 4; ++c) m(r, c) = a.values[first + static_cast<size_t>(4 * r + c)];
  return m;
}

bool pose_shape(const std::vector<int64_t>& s, size_t leading) {
  return s.size() == leading + 2 && (s[leading] == 3 || s[leading] == 4) && s[leading + 1] == 4;
}

// The pose of each photo as it is written, and where.
struct WrittenPose {
  Eigen::Matrix4d matrix = Eigen::Matrix4d::Identity();
  std::optional<MvsnetCamera> text;  // where it came from MVSNet's form
  std::string where;
};

std::vector<WrittenPose> read_poses(const JsonFields& file, const fs::path& root,
                                    const std::vector<NamedPhoto>& photos, CaptureSource& source) {
  std::vector<WrittenPose> out(photos.size());
  const auto n = static_cast<int64_t>(photos.size());
  const std::string poses = file.text("poses", "");
  if (poses.empty()) {
    const std::string rotations = file.text("rotations", ""),
                      translations = file.text("translations", "");
    if (rotations.empty() || translations.empty())
      file.fail("poses", "is missing, and so is the pair rotations, translations");
    const Doubles r = read_doubles(root / rotations), t = read_doubles(root / translations);
    if (r.shape != std::vector<int64_t>{n, 3, 3})
      wrong_shape(root / rotations, r, std::to_string(n) + " x 3 x 3");
    if (t.shape != std::vector<int64_t>{n, 3} && t.shape != std::vector<int64_t>{n, 3, 1})
      wrong_shape(root / translations, t, std::to_string(n) + " x 3");
    source.files.push_back(root / rotations);
    source.files.push_back(root / translations);
    for (size_t i = 0; i < photos.size(); ++i) {
      for (int k = 0; k < 9; ++k)
        out[i].matrix(k / 3, k % 3) = r.values[9 * i + static_cast<size_t>(k)];
      for (int k = 0; k < 3; ++k) out[i].matrix(k, 3) = t.values[3 * i + static_cast<size_t>(k)];
      out[i].where = (root / rotations).string() + ": [" + std::to_string(i) + "]";
    }
    return out;
  }
  if (const auto pattern = pattern_of(file, "poses", poses)) {
    std::vector<std::string> missing;
    for (size_t i = 0; i < photos.size(); ++i) {
      const fs::path path = root / pattern->with(photos[i].star);
      if (!fs::is_regular_file(path)) {
        missing.push_back(pattern->with(photos[i].star));
        continue;
      }
      out[i].where = path.string();
      source.files.push_back(path);
      if (path.extension() == ".txt") {
        const MvsnetCamera camera = parse_mvsnet_camera(read_file(path), path.string());
        out[i].matrix = camera.cam_from_world;
        out[i].text = camera;
        continue;
      }
      const Doubles a = read_doubles(path);
      if (!pose_shape(a.shape, 0)) wrong_shape(path, a, "3 x 4 or 4 x 4");
      out[i].matrix = matrix_at(a, 0, static_cast<int>(a.shape[0]));
    }
    if (missing.size() == photos.size())
      file.fail("poses", "no pose is there for a photo: " + list_some(missing));
    if (!missing.empty())
      source.notes.push_back(std::to_string(missing.size()) +
                             " photos have no pose and were skipped: " + list_some(missing));
    return out;
  }
  const Doubles a = read_doubles(root / poses);
  if (!pose_shape(a.shape, 1) || a.shape[0] != n)
    wrong_shape(root / poses, a, std::to_string(n) + " x 3 x 4 or 4 x 4");
  source.files.push_back(root / poses);
  const auto rows = static_cast<int>(a.shape[1]);
  for (size_t i = 0; i < photos.size(); ++i) {
    out[i].matrix = matrix_at(a, i * static_cast<size_t>(rows) * 4, rows);
    out[i].where = (root / poses).string() + ": [" + std::to_string(i) + "]";
  }
  return out;
}

// Intrinsics of each photo in the order of the array; fills lens, or field_of_view_x.
void read_intrinsics(const JsonFields& file, const fs::path& root,
                     const std::vector<WrittenPose>& poses, std::vector<PhotoSource>& out,
                     CaptureSource& source) {
  const bool sized = file.find("width") || file.find("height");
  const int width = sized ? file.size("width") : 0, height = sized ? file.size("height") : 0;
  const std::string array = file.text("intrinsics", "");
  Doubles k;
  if (!array.empty()) {
    k = read_doubles(root / array);
    const auto n = static_cast<int64_t>(poses.size());
    if (k.shape != std::vector<int64_t>{3, 3} && k.shape != std::vector<int64_t>{n, 3, 3})
      wrong_shape(root / array, k, "3 x 3 or " + std::to_string(n) + " x 3 x 3");
    source.files.push_back(root / array);
  } else if (file.find("fov_x")) {
    const double fov = file.number("fov_x");
    if (!(fov > 0 && fov < 180)) file.fail("fov_x", "is no angle between 0 and 180 degrees");
    for (PhotoSource& p : out) p.field_of_view_x = fov * M_PI / 180;
    return;
  } else if (!file.find("fx") && std::none_of(poses.begin(), poses.end(),
                                              [](const WrittenPose& p) { return p.text; })) {
    file.fail("fx", "neither intrinsics, fov_x nor fx is given");
  }
  for (size_t i = 0; i < out.size(); ++i) {
    PhotoSource& p = out[i];
    if (p.path.empty()) continue;
    int w = width, h = height;
    if (!sized) {
      const data::ImageInfo info = data::image_info(p.path);
      w = info.width;
      h = info.height;
    }
    std::string where = file.where("fx");
    if (const auto& text = poses[i].text; text && array.empty() && !file.find("fx")) {
      where = poses[i].where + ": intrinsic";
      const MvsnetCamera& c = *text;
      if (sized)
        p.lens = {LensModel::kPinhole, w, h, {c.fx, c.fy, c.cx, c.cy}};
      else
        p.lens = mvsnet_lens(c, w, h, where);
    } else if (array.empty()) {
      const double fx = file.number("fx");
      p.lens = {
          LensModel::kPinhole,
          w,
          h,
          {fx, file.number("fy", fx), file.number("cx", w / 2.0), file.number("cy", h / 2.0)}};
    } else {
      const double* m = k.values.data() + (k.shape.size() == 3 ? 9 * i : 0);
      where = (root / array).string() + ": [" + std::to_string(i) + "]";
      if (std::abs(m[1]) > 1e-3 * std::abs(m[0]) || m[3] != 0 || m[6] != 0 || m[7] != 0)
        throw Error(ExitCode::kData, "is no matrix fx 0 cx, 0 fy cy, 0 0 1", where,
                    "write the intrinsics in pixels, without skew");
      p.lens = {LensModel::kPinhole, w, h, {m[0], m[4], m[2], m[5]}};
    }
    p.lens.check(where);
  }
}

}  // namespace

CaptureSource read_arrays_capture(const fs::path& given_root, const fs::path& model,
                                  const CaptureOptions&) {
  const json document = parse_json_file(model);
  const JsonFields file(document, model.string());
  const fs::path root = model.has_parent_path() ? model.parent_path() : given_root;
  CaptureSource source;
  source.files.push_back(model);
  const PoseReading reading = pose_reading(file, "", "");
  source.reading = reading;
  const std::vector<NamedPhoto> photos = find_photos(file, root);
  const std::vector<WrittenPose> poses = read_poses(file, root, photos, source);
  const std::string masks = file.text("masks", "");
  std::optional<Pattern> mask_pattern;
  if (!masks.empty()) {
    mask_pattern = pattern_of(file, "masks", masks);
    if (!mask_pattern) file.fail("masks", "is no path with a *");
  }
  std::vector<PhotoSource> all(photos.size());
  std::vector<std::string> missing, no_mask;
  for (size_t i = 0; i < photos.size(); ++i) {
    PhotoSource& photo = all[i];
    photo.name = photos[i].name;
    if (poses[i].where.empty()) continue;
    photo.where = poses[i].where;
    photo.path = find_photo(root, photo.name);
    if (photo.path.empty()) {
      missing.push_back(photo.name);
      continue;
    }
    photo.cam_from_world =
        cam_from_world(poses[i].matrix, reading.direction, reading.axes, photo.where);
    if (mask_pattern) {
      const fs::path mask = root / mask_pattern->with(photos[i].star);
      if (fs::is_regular_file(mask))
        photo.mask = mask;
      else
        no_mask.push_back(mask_pattern->with(photos[i].star));
    }
  }
  read_intrinsics(file, root, poses, all, source);
  for (PhotoSource& photo : all)
    if (!photo.path.empty()) source.photos.push_back(std::move(photo));
  note_missing(source, missing, root, model);
  if (!no_mask.empty())
    source.notes.push_back(
        std::to_string(no_mask.size()) +
        " masks are missing, their photos are used whole: " + list_some(no_mask));
  source.photo_folder = source.photos[0].path.parent_path();
  if (const std::string points = file.text("points", ""); !points.empty()) {
    source.points = read_point_file(root / points, Eigen::Matrix4d::Identity());
    source.files.push_back(root / points);
  }
  return source;
}

}  // namespace covary::scene
