#include "covary/splat/scene/camera_export.h"

#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <set>

#include <Eigen/LU>
#include <nlohmann/json.hpp>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/capture_source.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string number(double x) {
  std::array<char, 32> text{};
  const auto [end, fault] = std::to_chars(text.data(), text.data() + text.size(), x);
  return {text.data(), static_cast<size_t>(end - text.data())};
}

// With a size and a focal length, where the model stated a field of view alone.
Lens lens_of(const PhotoSource& photo) {
  if (photo.lens.width > 0) return photo.lens;
  const data::ImageInfo info = data::image_info(photo.path);
  const double f = 0.5 * info.width / std::tan(0.5 * photo.field_of_view_x);
  Lens lens;
  lens.width = info.width;
  lens.height = info.height;
  lens.params = {f, f, 0.5 * info.width, 0.5 * info.height};
  lens.check(photo.where);
  return lens;
}

// COLMAP has no word for Brown's model, but its FULL_OPENCV says all of it up to r^6.
Lens colmap_lens(const Lens& lens, const std::string& where) {
  if (lens.model != LensModel::kBrown) return lens;
  const auto& p = lens.params;
  if (p[7] != 0)
    throw Error(ExitCode::kData, "COLMAP has no lens with a term of r^8", where,
                "undistort the photos first");
  Lens out = lens;
  out.model = LensModel::kFullOpenCV;
  out.params = {p[0], p[1], p[2], p[3], p[4], p[5], p[8], p[9], p[6], 0, 0, 0};
  return out;
}

// fx fy cx cy, and k1 k2 k3 k4 p1 p2 as transforms.json names them.
json transforms_lens(const Lens& lens, const std::string& where) {
  const auto& p = lens.params;
  json j = {{"w", lens.width}, {"h", lens.height}, {"camera_model", "OPENCV"}};
  const bool one = lens.model == LensModel::kSimplePinhole ||
                   lens.model == LensModel::kSimpleRadial || lens.model == LensModel::kRadial;
  const size_t centre = one ? 1 : 2;
  j["fl_x"] = p[0];
  j["fl_y"] = p[one ? 0 : 1];
  j["cx"] = p[centre];
  j["cy"] = p[centre + 1];
  const auto put = [&](size_t first, std::initializer_list<const char*> names) {
    for (const char* name : names) j[name] = p[first++];
  };
  switch (lens.model) {
    case LensModel::kSimplePinhole:
    case LensModel::kPinhole:
      break;
    case LensModel::kSimpleRadial:
      put(3, {"k1"});
      break;
    case LensModel::kRadial:
      put(3, {"k1", "k2"});
      break;
    case LensModel::kOpenCV:
      put(4, {"k1", "k2", "p1", "p2"});
      break;
    case LensModel::kOpenCVFisheye:
      j["camera_model"] = "OPENCV_FISHEYE";
      put(4, {"k1", "k2", "k3", "k4"});
      break;
    case LensModel::kBrown:
      put(4, {"k1", "k2", "k3", "k4", "p1", "p2"});
      break;
    case LensModel::kFullOpenCV:
      if (p[9] != 0 || p[10] != 0 || p[11] != 0)
        throw Error(ExitCode::kData, "transforms.json has no lens with a denominator (FULL_OPENCV)",
                    where, "undistort the photos first");
      put(4, {"k1", "k2", "p1", "p2", "k3"});
      break;
  }
  return j;
}

template <class T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

std::string points_ply(const Points& points) {
  std::string out = "ply\nformat binary_little_endian 1.0\nelement vertex " +
                    std::to_string(points.positions.size()) +
                    "\nproperty float x\nproperty float y\nproperty float z\nproperty uchar red\n"
                    "property uchar green\nproperty uchar blue\nend_header\n";
  for (size_t i = 0; i < points.positions.size(); ++i) {
    for (int k = 0; k < 3; ++k) put(out, points.positions[i][k]);
    for (int k = 0; k < 3; ++k) put(out, points.colors[i][k]);
  }
  return out;
}

struct Distinct {
  std::vector<Lens> lenses;
  std::vector<size_t> of_photo;
};

Distinct lenses_of(const std::vector<PhotoSource>& photos) {
  Distinct d;
  std::map<std::string, size_t> known;
  for (const PhotoSource& photo : photos) {
    const Lens lens = lens_of(photo);
    std::string key = lens_model_name(lens.model) + std::to_string(lens.width) + "x" +
                      std::to_string(lens.height);
    for (const double v : lens.params) key += " " + number(v);
    const auto [found, fresh] = known.try_emplace(key, d.lenses.size());
    if (fresh) d.lenses.push_back(lens);
    d.of_photo.push_back(found->second);
  }
  return d;
}

// As a hard link, else as a copy; what is there already stays when it is the same file.
void link_photo(const fs::path& from, const fs::path& to) {
  make_folder(to.parent_path());
  std::error_code fault;
  if (fs::exists(to, fault) && fs::equivalent(from, to, fault)) return;
  fs::create_hard_link(fs::canonical(from), to, fault);
  if (!fault) return;
  fs::copy_file(from, to, fault);
  if (fault)
    throw Error(ExitCode::kData, "cannot be written (" + fault.message() + ")", to.string(),
                "choose an empty folder");
}

// A photo's name below images/: nothing leads out of the folder, whatever the capture calls it.
std::vector<std::string> names_in_model(const std::vector<PhotoSource>& photos) {
  std::vector<std::string> names;
  std::set<std::string> taken;
  for (const PhotoSource& photo : photos) {
    fs::path inside;
    for (const fs::path& part : fs::path(photo.name).lexically_normal().relative_path())
      if (part != "..") inside /= part;
    names.push_back(inside.generic_string());
    if (names.back().empty() || !taken.insert(names.back()).second)
      throw Error(ExitCode::kData, "two photos would have this name in images/", photo.name,
                  "rename one of them");
  }
  return names;
}

void write_colmap(const CaptureSource& source, const Distinct& d, const fs::path& folder,
                  bool text) {
  const std::vector<std::string> names = names_in_model(source.photos);
  std::string cameras, images, points;
  const auto quaternion = [](const PhotoSource& p) {
    return geometry::quat_from_matrix(p.cam_from_world.topLeftCorner<3, 3>());
  };
  if (text) {
    cameras = "# CAMERA_ID, MODEL, WIDTH, HEIGHT, PARAMS[]\n";
    images = "# IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, CAMERA_ID, NAME; then the keypoints (none)\n";
    points = "# POINT3D_ID, X, Y, Z, R, G, B, ERROR, TRACK[] (none)\n";
  } else {
    put<uint64_t>(cameras, d.lenses.size());
    put<uint64_t>(images, source.photos.size());
    put<uint64_t>(points, source.points.positions.size());
  }
  for (size_t i = 0; i < d.lenses.size(); ++i) {
    const Lens lens = colmap_lens(d.lenses[i], folder.string());
    if (text) {
      cameras += std::to_string(i + 1) + " " + lens_model_name(lens.model) + " " +
                 std::to_string(lens.width) + " " + std::to_string(lens.height);
      for (const double v : lens.params) cameras += " " + number(v);
      cameras += "\n";
    } else {
      put(cameras, static_cast<uint32_t>(i + 1));
      put(cameras, static_cast<int32_t>(lens.model));  // numbered as COLMAP's
      put(cameras, static_cast<uint64_t>(lens.width));
      put(cameras, static_cast<uint64_t>(lens.height));
      for (const double v : lens.params) put(cameras, v);
    }
  }
  for (size_t i = 0; i < source.photos.size(); ++i) {
    const PhotoSource& photo = source.photos[i];
    const Eigen::Vector4d q = quaternion(photo);
    if (text) {
      images += std::to_string(i + 1);
      for (int k = 0; k < 4; ++k) images += " " + number(q[k]);
      for (int k = 0; k < 3; ++k) images += " " + number(photo.cam_from_world(k, 3));
      images += " " + std::to_string(d.of_photo[i] + 1) + " " + names[i] + "\n\n";
    } else {
      put(images, static_cast<uint32_t>(i + 1));
      for (int k = 0; k < 4; ++k) put(images, q[k]);
      for (int k = 0; k < 3; ++k) put(images, photo.cam_from_world(k, 3));
      put(images, static_cast<uint32_t>(d.of_photo[i] + 1));
      images += names[i];
      images += '\0';
      put<uint64_t>(images, 0);
    }
  }
  for (size_t i = 0; i < source.points.positions.size(); ++i) {
    const auto& x = source.points.positions[i];
    const auto& c = source.points.colors[i];
    if (text) {
      points += std::to_string(i + 1);
      for (int k = 0; k < 3; ++k) points += " " + number(static_cast<double>(x[k]));
      for (int k = 0; k < 3; ++k) points += " " + std::to_string(c[k]);
      points += " 0\n";
    } else {
      put<uint64_t>(points, i + 1);
      for (int k = 0; k < 3; ++k) put(points, static_cast<double>(x[k]));
      for (int k = 0; k < 3; ++k) put(points, c[k]);
      put<double>(points, 0);
      put<uint64_t>(points, 0);
    }
  }
  for (size_t i = 0; i < source.photos.size(); ++i)
    link_photo(source.photos[i].path, folder / "images" / names[i]);
  const fs::path model = folder / "sparse" / "0";
  make_folder(model);
  const std::string e = text ? ".txt" : ".bin";
  // A folder without images.* is no model, so that an interrupted one is not mistaken for whole.
  write_file(model / ("cameras" + e), cameras);
  write_file(model / ("points3D" + e), points);
  write_file(model / ("images" + e), images);
}

void write_transforms(const CaptureSource& source, const Distinct& d, const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  json document = json::object();
  if (d.lenses.size() == 1) document = transforms_lens(d.lenses[0], file.string());
  document["frames"] = json::array();
  for (size_t i = 0; i < source.photos.size(); ++i) {
    const PhotoSource& photo = source.photos[i];
    json frame = json::object();
    if (d.lenses.size() > 1) frame = transforms_lens(d.lenses[d.of_photo[i]], photo.where);
    std::error_code ignored;
    const fs::path way = fs::relative(photo.path, folder, ignored);
    frame["file_path"] = (ignored || way.empty() ? photo.path : way).generic_string();
    // World from camera, in OpenGL's axes.
    Eigen::Matrix4d pose = photo.cam_from_world.inverse();
    pose.col(1) *= -1;
    pose.col(2) *= -1;
    json rows = json::array();
    for (int r = 0; r < 4; ++r) rows.push_back({pose(r, 0), pose(r, 1), pose(r, 2), pose(r, 3)});
    frame["transform_matrix"] = rows;
    document["frames"].push_back(std::move(frame));
  }
  if (!folder.empty()) make_folder(folder);
  if (!source.points.positions.empty()) {
    const std::string name = file.stem().string() + "_points.ply";
    write_file(folder / name, points_ply(source.points));
    document["ply_file_path"] = name;
  }
  write_file(file, document.dump(2) + "\n");
}

}  // namespace

ExportedCameras export_cameras(const std::string& capture, const fs::path& out, CameraFiles kind) {
  const CaptureSource source = read_source(capture, {});
  const Distinct d = lenses_of(source.photos);
  if (kind == CameraFiles::kTransforms)
    write_transforms(source, d, out);
  else
    write_colmap(source, d, out, kind == CameraFiles::kColmapText);
  ExportedCameras e;
  e.photos = static_cast<int64_t>(source.photos.size());
  e.lenses = static_cast<int64_t>(d.lenses.size());
  e.points = static_cast<int64_t>(source.points.positions.size());
  e.notes = source.notes;
  bool masks = false, depth = false, sightings = false;
  for (const PhotoSource& p : source.photos) {
    masks = masks || !p.mask.empty();
    depth = depth || !p.depth.empty();
    sightings = sightings || !p.seen_points.empty();
  }
  if (masks) e.notes.emplace_back("masks are left out");
  if (depth) e.notes.emplace_back("maps of depth are left out");
  if (source.own_split) e.notes.emplace_back("the capture's own split is left out");
  if (sightings) e.notes.emplace_back("which photos see which points is left out");
  return e;
}

}  // namespace covary::scene
