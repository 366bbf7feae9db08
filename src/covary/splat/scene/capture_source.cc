#include "covary/splat/scene/capture_source.h"

#include <algorithm>
#include <array>
#include <cmath>

#include <Eigen/Geometry>
#include <Eigen/LU>

#include "covary/core/base/error.h"
#include "covary/core/data/archive.h"
#include "covary/core/numeric/median.h"
#include "covary/splat/scene/json_fields.h"
#include "covary/splat/scene/ply_file.h"

namespace covary::scene {

namespace fs = std::filesystem;

namespace {

constexpr const char* kPhotoExtensions[] = {".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"};

// A file with this extension in place of its own, or behind it.
fs::path with_photo_extension(const fs::path& p) {
  for (const char* extension : kPhotoExtensions) {
    fs::path longer = p, other = p;
    longer += extension;
    if (fs::is_regular_file(longer)) return longer;
    other.replace_extension(extension);
    if (fs::is_regular_file(other)) return other;
  }
  return {};
}

}  // namespace

fs::path find_photo_folder(const fs::path& root, int64_t downscale, CaptureSource& source) {
  const fs::path images = root / "images";
  source.photo_folder = fs::is_directory(images) ? images : root;
  if (downscale <= 1) return source.photo_folder;
  const std::string small = "images_" + std::to_string(downscale);
  if (!fs::is_directory(root / small)) return source.photo_folder;
  source.downscaled_folder = true;
  source.notes.push_back("photos are taken from " + small + "/, shrunk by another program");
  return root / small;
}

fs::path find_photo(const fs::path& folder, const std::string& name) {
  if (name.empty()) return {};
  for (const fs::path& p : {folder / name, folder / fs::path(name).filename()}) {
    if (fs::is_regular_file(p)) return p;
    if (fs::path other = with_photo_extension(p); !other.empty()) return other;
  }
  return {};
}

std::vector<fs::path> photos_in(const fs::path& folder) {
  std::vector<fs::path> photos;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string extension = entry.path().extension().string();
    for (const char* e : kPhotoExtensions)
      if (extension == e && entry.is_regular_file()) photos.push_back(entry.path());
  }
  std::sort(photos.begin(), photos.end(), [](const fs::path& a, const fs::path& b) {
    return a.filename().string() < b.filename().string();
  });
  return photos;
}

void PhotosBelow::list(const fs::path& folder, int depth) {
  constexpr int kDeepest = 4;
  std::vector<fs::path> folders;
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory() && name != "masks" && name != "depth" && !name.starts_with("images_"))
      folders.push_back(entry.path());
  }
  std::sort(folders.begin(), folders.end());
  for (const fs::path& f : folders) {
    for (const fs::path& p : photos_in(f)) {
      by_name_.emplace(p.filename().string(), p);
      by_name_.emplace(p.stem().string(), p);
    }
    if (depth < kDeepest) list(f, depth + 1);
  }
}

fs::path PhotosBelow::find(const std::string& name, const std::string& where) {
  if (fs::path p = find_photo(folder_, name); !p.empty()) return p;
  if (!listed_) list(folder_, 1);
  listed_ = true;
  for (const std::string& key : {name, fs::path(name).stem().string()}) {
    const auto [first, last] = by_name_.equal_range(key);
    if (first == last) continue;
    if (std::next(first) != last)
      throw Error(ExitCode::kData,
                  "two photos are called so: " + first->second.string() + " and " +
                      std::next(first)->second.string(),
                  where, "the model spells no folders: give photos names that differ");
    return first->second;
  }
  return {};
}

void note_missing(CaptureSource& source, const std::vector<std::string>& missing,
                  const fs::path& folder, const fs::path& file) {
  if (source.photos.empty())
    throw Error(ExitCode::kData,
                missing.empty() ? "the file names no photo"
                                : "no photo of the file is there: " + list_some(missing),
                missing.empty() ? file.string() : folder.string(),
                "put the photos where " + file.filename().string() +
                    " names them, or under images/ with those names");
  if (!missing.empty())
    source.notes.push_back(
        std::to_string(missing.size()) +
        " photos of the file are missing and were skipped: " + list_some(missing));
}

Eigen::Matrix4d cam_from_world(const Eigen::Matrix4d& pose, PoseDirection direction,
                               CameraAxes axes, const std::string& where) {
  constexpr const char* kHint = "mend this pose, or check the file's convention and write it again";
  Eigen::Matrix3d r = pose.topLeftCorner<3, 3>();
  Eigen::Vector3d t = pose.topRightCorner<3, 1>();
  if (!r.allFinite() || !t.allFinite())
    throw Error(ExitCode::kData, "holds what is no finite number", where, kHint);
  const double det = r.determinant();
  if (!(det > 1e-12 && det < 1e12))
    throw Error(ExitCode::kData,
                std::string("is no rotation (its determinant is ") + std::to_string(det) +
                    (det < 0 ? ": the axes are left-handed)" : ")"),
                where, kHint);
  const double scale = std::cbrt(det);
  r /= scale;
  if (!((r.transpose() * r - Eigen::Matrix3d::Identity()).norm() < 1e-2))
    throw Error(ExitCode::kData, "is no rotation (its axes are not at right angles)", where, kHint);
  r = Eigen::Quaterniond(r).normalized().toRotationMatrix();
  if (direction == PoseDirection::kWorldFromCam) {
    r.transposeInPlace();
    t = -r * t;
  } else {
    t /= scale;
  }
  if (axes == CameraAxes::kOpenGL) {
    r.bottomRows<2>() *= -1;
    t.tail<2>() *= -1;
  }
  Eigen::Matrix4d out = Eigen::Matrix4d::Identity();
  out.topLeftCorner<3, 3>() = r;
  out.topRightCorner<3, 1>() = t;
  return out;
}

PoseReading pose_reading(const JsonFields& file, const char* convention, const char* direction) {
  const std::string axes = file.text("convention", convention),
                    way = file.text("direction", direction);
  if (axes != "opencv" && axes != "opengl")
    file.fail("convention", "'" + axes + "' is neither opencv nor opengl");
  if (way != "world_to_camera" && way != "camera_to_world")
    file.fail("direction", "'" + way + "' is neither world_to_camera nor camera_to_world");
  return {way == "camera_to_world" ? PoseDirection::kWorldFromCam : PoseDirection::kCamFromWorld,
          axes == "opengl" ? CameraAxes::kOpenGL : CameraAxes::kOpenCV};
}

Lens brown_lens(int width, int height, double fx, double fy, double cx, double cy,
                const std::array<double, 4>& k, const std::array<double, 2>& p,
                const std::string& where) {
  Lens lens{LensModel::kPinhole, width, height, {fx, fy, cx, cy}};
  if (k[2] != 0 || k[3] != 0) {
    lens.model = LensModel::kBrown;
    lens.params.insert(lens.params.end(), {k[0], k[1], k[2], k[3], p[0], p[1]});
  } else if (k[0] != 0 || k[1] != 0 || p[0] != 0 || p[1] != 0) {
    lens.model = LensModel::kOpenCV;
    lens.params.insert(lens.params.end(), {k[0], k[1], p[0], p[1]});
  }
  lens.check(where);
  return lens;
}

namespace {

constexpr double kMillimetre = 0.001;

template <class T>
void scale_depth(const data::Array& array, double unit, data::ImageF& depth) {
  for (size_t i = 0; i < depth.pixels.size(); ++i) {
    const double z = static_cast<double>(array.as<T>()[i]) * unit;
    depth.pixels[i] = std::isfinite(z) && z > 0 && z < 1e30 ? static_cast<float>(z) : 0.0f;
  }
}

}  // namespace

data::ImageInfo depth_info(const fs::path& path) {
  if (path.extension() == ".npy") {
    const data::NpyInfo array = data::npy_info(path);
    const auto& s = array.shape;
    const bool flat = s.size() == 2 || (s.size() == 3 && s[2] == 1);
    if (!flat || s[0] < 1 || s[1] < 1 || s[0] > 65536 || s[1] > 65536)
      throw Error(ExitCode::kData, "a depth array has the shape height x width", path.string(),
                  "write one value a pixel, or pass a capture without it");
    if (array.dtype == data::DType::kUInt8 || array.dtype == data::DType::kBool)
      throw Error(ExitCode::kData, "a depth array holds floats or integers of 16 bits and more",
                  path.string(), "write it as float32 or uint16");
    return {static_cast<int>(s[0]), static_cast<int>(s[1]), 1,
            static_cast<int>(8 * data::dtype_size(array.dtype))};
  }
  const data::ImageInfo info = data::image_info(path);
  if (info.bits != 16 || info.channels != 1)
    throw Error(ExitCode::kData,
                "a depth picture is grey with 16 bits, this one has " +
                    std::to_string(info.channels) + " x " + std::to_string(info.bits),
                path.string(), "write depth as a 16-bit grey PNG, or as .npy");
  return info;
}

data::ImageF read_depth(const fs::path& path, double unit) {
  const data::ImageInfo info = depth_info(path);
  data::ImageF depth(info.height, info.width, 1);
  if (path.extension() == ".npy") {
    const data::Array array = data::read_npy(path);
    if (array.count() != static_cast<int64_t>(depth.pixels.size()))
      throw Error(ExitCode::kData, "changed while it was read", path.string(), "load it again");
    const bool floats =
        array.dtype == data::DType::kFloat32 || array.dtype == data::DType::kFloat64;
    if (unit == 0) unit = floats ? 1 : kMillimetre;
    switch (array.dtype) {
      case data::DType::kFloat32:
        scale_depth<float>(array, unit, depth);
        break;
      case data::DType::kFloat64:
        scale_depth<double>(array, unit, depth);
        break;
      case data::DType::kInt32:
        scale_depth<int32_t>(array, unit, depth);
        break;
      case data::DType::kInt64:
        scale_depth<int64_t>(array, unit, depth);
        break;
      default:  // the only other one that depth_info lets pass
        scale_depth<uint16_t>(array, unit, depth);
    }
    return depth;
  }
  if (unit == 0) unit = kMillimetre;
  const data::Image16 image = data::read_image16(path);
  if (image.pixels.size() != depth.pixels.size())
    throw Error(ExitCode::kData, "changed while it was read", path.string(), "load it again");
  for (size_t i = 0; i < depth.pixels.size(); ++i)
    depth.pixels[i] = static_cast<float>(image.pixels[i] * unit);
  return depth;
}

Points read_point_file(const fs::path& path, const Eigen::Matrix4d& target_from_file) {
  const PlyFile ply(path);
  const int at[3] = {ply.require("x"), ply.require("y"), ply.require("z")};
  int color[3] = {ply.find("red"), ply.find("green"), ply.find("blue")};
  const bool colored = color[0] >= 0 && color[1] >= 0 && color[2] >= 0;
  Points points;
  points.positions.resize(static_cast<size_t>(ply.count()));
  points.colors.resize(static_cast<size_t>(ply.count()),
                       Eigen::Matrix<uint8_t, 3, 1>::Constant(128));
  const Eigen::Matrix3d r = target_from_file.topLeftCorner<3, 3>();
  const Eigen::Vector3d t = target_from_file.topRightCorner<3, 1>();
  ply.read([&](int64_t first, int64_t count, const PlyRows& rows) {
    for (int64_t i = 0; i < count; ++i) {
      const auto out = static_cast<size_t>(first + i);
      const Eigen::Vector3d p(rows.number(i, at[0]), rows.number(i, at[1]), rows.number(i, at[2]));
      points.positions[out] = (r * p + t).cast<float>();
      if (!colored) continue;
      for (int c = 0; c < 3; ++c) {
        const double v = rows.number(i, color[c]);
        const PlyType type = ply.properties()[static_cast<size_t>(color[c])].type;
        const double bytes = type == PlyType::kFloat32 || type == PlyType::kFloat64 ? v * 255 : v;
        points.colors[out][c] =
            bytes > 0 ? static_cast<uint8_t>(std::lround(std::min(bytes, 255.0))) : uint8_t{0};
      }
    }
  });
  return points;
}

namespace {

// Whether points stand where cameras do: not in geographic coordinates, for example, while these are
// in the model's own.
bool in_frame_of_cameras(const Points& points, const std::vector<PhotoSource>& photos) {
  Eigen::Vector3d mean = Eigen::Vector3d::Zero();
  std::vector<Eigen::Vector3d> centres;
  for (const PhotoSource& p : photos) {
    Camera c;
    c.cam_from_world = p.cam_from_world;
    centres.push_back(c.centre());
    mean += centres.back() / static_cast<double>(photos.size());
  }
  double spread = 0;
  for (const Eigen::Vector3d& c : centres) spread = std::max(spread, (c - mean).norm());
  if (!(spread > 0)) return true;
  std::vector<double> distances;
  for (const Eigen::Vector3f& p : points.positions)
    if (p.allFinite()) distances.push_back((p.cast<double>() - mean).norm());
  if (distances.empty()) return true;
  return numeric::upper_median(std::move(distances)) < 100 * spread;
}

}  // namespace

void read_points_beside(const fs::path& root, const fs::path& model, CaptureSource& source,
                        const Eigen::Matrix4d& target_from_file) {
  fs::path found = model;
  found.replace_extension(".ply");
  if (!fs::is_regular_file(found)) {
    found.clear();
    for (const char* usual : {"points.ply", "sparse.ply", "sparse_pc.ply", "points3D.ply",
                              "point_cloud.ply", "pointcloud.ply"})
      if (found.empty() && fs::is_regular_file(root / usual)) found = root / usual;
  }
  if (found.empty()) {
    std::vector<fs::path> clouds;
    for (const auto& entry : fs::directory_iterator(root))
      if (entry.path().extension() == ".ply" && entry.is_regular_file() &&
          PlyFile(entry.path()).find("f_dc_0") < 0)
        clouds.push_back(entry.path());
    if (clouds.size() > 1)
      source.notes.push_back(std::to_string(clouds.size()) +
                             " .ply files are there and none is named points.ply: none was taken");
    if (clouds.size() != 1) return;
    found = clouds[0];
  }
  Points points = read_point_file(found, target_from_file);
  if (!in_frame_of_cameras(points, source.photos)) {
    source.notes.push_back("the points of " + found.filename().string() +
                           " are in another frame than the cameras and were left out");
    return;
  }
  source.notes.push_back("points are taken from " + found.filename().string());
  source.points = std::move(points);
  source.files.push_back(found);
}

}  // namespace covary::scene
