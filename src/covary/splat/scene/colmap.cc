#include "covary/splat/scene/colmap.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <unordered_map>

#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/text_lines.h"

namespace covary::scene {
namespace {

namespace fs = std::filesystem;

constexpr const char* kHint = "the model is damaged or incomplete: export it from COLMAP again";

// COLMAP's numbers of its models, in order; those that we read have the same names as ours.
constexpr const char* kModelNames[] = {"SIMPLE_PINHOLE",
                                       "PINHOLE",
                                       "SIMPLE_RADIAL",
                                       "RADIAL",
                                       "OPENCV",
                                       "OPENCV_FISHEYE",
                                       "FULL_OPENCV",
                                       "FOV",
                                       "SIMPLE_RADIAL_FISHEYE",
                                       "RADIAL_FISHEYE",
                                       "THIN_PRISM_FISHEYE",
                                       "RAD_TAN_THIN_PRISM_FISHEYE"};

// Little-endian values from a buffer; running past its end is an error that names the record.
class Bytes {
 public:
  Bytes(std::string_view bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  template <class T>
  T get() {
    T v;
    if (bytes_.size() - at_ < sizeof v) truncated();
    std::memcpy(&v, bytes_.data() + at_, sizeof v);
    at_ += sizeof v;
    return v;
  }
  // A count of records of at least `least` bytes each.
  uint64_t count(size_t least, const char* what) {
    const auto n = get<uint64_t>();
    if (n > (bytes_.size() - at_) / least)
      throw Error(ExitCode::kData,
                  "the header says " + std::to_string(n) + " " + what + ", but only " +
                      std::to_string(bytes_.size() - at_) + " bytes follow",
                  where_ + ": " + record_, kHint);
    return n;
  }
  std::string text() {
    const size_t end = bytes_.find('\0', at_);
    if (end == std::string_view::npos) truncated();
    std::string s(bytes_.substr(at_, end - at_));
    at_ = end + 1;
    return s;
  }
  void skip(uint64_t n) {
    if (n > bytes_.size() - at_) truncated();
    at_ += n;
  }
  void record(std::string name) { record_ = std::move(name); }

 private:
  [[noreturn]] void truncated() {
    throw Error(ExitCode::kData, "the file ends too early",
                record_.empty() ? where_ : where_ + ": " + record_, kHint);
  }
  std::string_view bytes_;
  std::string where_, record_ = "header";
  size_t at_ = 0;
};

Eigen::Matrix4d pose(const double q[4], const double t[3], const std::string& where) {
  const Eigen::Quaterniond r(q[0], q[1], q[2], q[3]);
  const double norm = r.norm();
  if (!(norm > 1e-6 && norm < 1e6) || !std::isfinite(t[0]) || !std::isfinite(t[1]) ||
      !std::isfinite(t[2]))
    throw Error(ExitCode::kData, "the pose is not finite", where, kHint);
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = r.normalized().toRotationMatrix();
  m.topRightCorner<3, 1>() = Eigen::Vector3d(t[0], t[1], t[2]);
  return m;
}

LensModel model_named(const std::string& name, const std::string& where) {
  try {
    return lens_model(name);
  } catch (const Error& e) {
    throw Error(e.code(), e.message(), where, e.hint());
  }
}

void add_camera(std::map<uint32_t, Lens>& cameras, uint32_t id, uint64_t width, uint64_t height,
                Lens lens, const std::string& where) {
  lens.width = static_cast<int>(std::min<uint64_t>(width, 1u << 30));
  lens.height = static_cast<int>(std::min<uint64_t>(height, 1u << 30));
  lens.check(where);
  if (!cameras.emplace(id, std::move(lens)).second)
    throw Error(ExitCode::kData, "the camera is there twice", where, kHint);
}

void check_numbered(uint64_t points, const std::string& where) {
  if (points > std::numeric_limits<uint32_t>::max())
    throw Error(ExitCode::kData, "holds more points than can be numbered", where, kHint);
}

// The file of a model in the form that is there: .bin first.
fs::path file_of(const fs::path& folder, const char* name) {
  for (const char* extension : {".bin", ".txt"})
    if (fs::is_regular_file(folder / (std::string(name) + extension)))
      return folder / (std::string(name) + extension);
  return {};
}

}  // namespace

std::map<uint32_t, Lens> parse_colmap_cameras_bin(std::string_view bytes,
                                                  const std::string& where) {
  Bytes in(bytes, where);
  std::map<uint32_t, Lens> cameras;
  const uint64_t n = in.count(48, "cameras");
  for (uint64_t i = 0; i < n; ++i) {
    in.record("camera " + std::to_string(i));
    const auto id = in.get<uint32_t>();
    const std::string place = where + ": camera " + std::to_string(id);
    const auto model = in.get<int32_t>();
    const auto width = in.get<uint64_t>(), height = in.get<uint64_t>();
    Lens lens;
    const bool known = model >= 0 && model < static_cast<int32_t>(std::size(kModelNames));
    lens.model = model_named(known ? kModelNames[model] : "number " + std::to_string(model),
                             place + ": model");
    lens.params.resize(lens_param_count(lens.model));
    for (double& p : lens.params) p = in.get<double>();
    add_camera(cameras, id, width, height, std::move(lens), place);
  }
  return cameras;
}

std::map<uint32_t, Lens> parse_colmap_cameras_txt(std::string_view text, const std::string& where) {
  Lines in(text, where, kHint);
  std::map<uint32_t, Lens> cameras;
  while (in.next()) {
    const auto id = in.number<uint32_t>("camera id");
    const std::string place = where + ": camera " + std::to_string(id);
    Lens lens;
    lens.model = model_named(std::string(in.word("camera model")), place + ": model");
    const auto width = in.number<uint64_t>("width"), height = in.number<uint64_t>("height");
    while (in.has_word()) {
      lens.params.push_back(in.number<double>("parameter"));
      if (lens.params.size() > 16) in.fail("too many parameters");
    }
    add_camera(cameras, id, width, height, std::move(lens), place);
  }
  return cameras;
}

std::vector<ColmapImage> parse_colmap_images_bin(std::string_view bytes, const std::string& where,
                                                 bool tracks) {
  Bytes in(bytes, where);
  const uint64_t n = in.count(73, "images");
  std::vector<ColmapImage> images;
  images.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    in.record("image " + std::to_string(i));
    ColmapImage image;
    image.id = in.get<uint32_t>();
    double q[4], t[3];
    for (double& v : q) v = in.get<double>();
    for (double& v : t) v = in.get<double>();
    image.camera = in.get<uint32_t>();
    image.name = in.text();
    in.record("image " + image.name);
    image.cam_from_world = pose(q, t, where + ": image " + image.name);
    const uint64_t points = in.count(24, "keypoints");
    if (!tracks) {
      in.skip(points * 24);
    } else {
      image.keypoints.reserve(points);
      image.point_ids.reserve(points);
      for (uint64_t k = 0; k < points; ++k) {
        const double x = in.get<double>(), y = in.get<double>();
        image.keypoints.emplace_back(x, y);
        image.point_ids.push_back(in.get<int64_t>());
      }
    }
    images.push_back(std::move(image));
  }
  return images;
}

std::vector<ColmapImage> parse_colmap_images_txt(std::string_view text, const std::string& where,
                                                 bool tracks) {
  Lines in(text, where, kHint);
  std::vector<ColmapImage> images;
  while (in.next()) {
    ColmapImage image;
    image.id = in.number<uint32_t>("image id");
    double q[4], t[3];
    for (double& v : q) v = in.number<double>("rotation");
    for (double& v : t) v = in.number<double>("translation");
    image.camera = in.number<uint32_t>("camera id");
    image.name = in.rest("name");
    image.cam_from_world = pose(q, t, in.place());
    if (in.raw() && tracks)
      while (in.has_word()) {
        const double x = in.number<double>("keypoint"), y = in.number<double>("keypoint");
        image.keypoints.emplace_back(x, y);
        image.point_ids.push_back(in.number<int64_t>("point id"));
      }
    images.push_back(std::move(image));
  }
  return images;
}

std::vector<ColmapPoint> parse_colmap_points_bin(std::string_view bytes, const std::string& where,
                                                 std::vector<ColmapSighting>* sightings) {
  Bytes in(bytes, where);
  const uint64_t n = in.count(51, "points");
  if (sightings) check_numbered(n, where);
  std::vector<ColmapPoint> points;
  points.reserve(n);
  for (uint64_t i = 0; i < n; ++i) {
    in.record("point " + std::to_string(i));
    ColmapPoint p;
    p.id = in.get<uint64_t>();
    for (int c = 0; c < 3; ++c) p.position[c] = in.get<double>();
    for (int c = 0; c < 3; ++c) p.color[c] = in.get<uint8_t>();
    p.error = in.get<double>();
    const uint64_t entries = in.count(8, "track entries");
    if (!sightings) {
      in.skip(entries * 8);
    } else {
      for (uint64_t k = 0; k < entries; ++k) {
        sightings->push_back({in.get<uint32_t>(), static_cast<uint32_t>(i)});
        in.skip(4);  // which of the image's keypoints it is
      }
    }
    points.push_back(p);
  }
  return points;
}

std::vector<ColmapPoint> parse_colmap_points_txt(std::string_view text, const std::string& where,
                                                 std::vector<ColmapSighting>* sightings) {
  Lines in(text, where, kHint);
  std::vector<ColmapPoint> points;
  while (in.next()) {
    ColmapPoint p;
    p.id = in.number<uint64_t>("point id");
    for (int c = 0; c < 3; ++c) p.position[c] = in.number<double>("position");
    for (int c = 0; c < 3; ++c)
      p.color[c] = static_cast<uint8_t>(std::clamp(in.number<int>("colour"), 0, 255));
    if (in.has_word()) p.error = in.number<double>("error");
    while (sightings && in.has_word()) {
      sightings->push_back(
          {in.number<uint32_t>("image id of the track"), static_cast<uint32_t>(points.size())});
      in.number<uint32_t>("keypoint of the track");
    }
    points.push_back(p);
    if (sightings) check_numbered(points.size(), where);
  }
  return points;
}

bool is_colmap_model(const fs::path& folder) {
  return !file_of(folder, "cameras").empty() && !file_of(folder, "images").empty();
}

ColmapModel read_colmap(const fs::path& folder, ColmapReading reading) {
  const fs::path cameras = file_of(folder, "cameras"), images = file_of(folder, "images"),
                 points = file_of(folder, "points3D");
  if (cameras.empty() || images.empty())
    throw Error(ExitCode::kData, "there is no COLMAP model here", folder.string(),
                "a model folder holds cameras, images and points3D, as .bin or .txt");
  ColmapModel model;
  const auto load = [&](const fs::path& path, auto&& bin, auto&& txt) {
    model.files.push_back(path);
    const std::string bytes = read_file(path);
    return path.extension() == ".bin" ? bin(bytes, path.string()) : txt(bytes, path.string());
  };
  model.cameras = load(cameras, parse_colmap_cameras_bin, parse_colmap_cameras_txt);
  model.images = load(
      images,
      [&](std::string_view b, const std::string& w) {
        return parse_colmap_images_bin(b, w, reading.tracks);
      },
      [&](std::string_view b, const std::string& w) {
        return parse_colmap_images_txt(b, w, reading.tracks);
      });
  if (!points.empty())
    model.points = load(
        points,
        [&](std::string_view b, const std::string& w) {
          return parse_colmap_points_bin(b, w, reading.sightings ? &model.sightings : nullptr);
        },
        [&](std::string_view b, const std::string& w) {
          return parse_colmap_points_txt(b, w, reading.sightings ? &model.sightings : nullptr);
        });
  for (const ColmapImage& i : model.images)
    if (!model.cameras.contains(i.camera))
      throw Error(
          ExitCode::kData,
          "camera " + std::to_string(i.camera) + " is not in " + cameras.filename().string(),
          images.string() + ": image " + i.name, kHint);
  return model;
}

uint64_t colmap_image_count(const fs::path& folder) {
  const fs::path images = file_of(folder, "images");
  if (images.extension() != ".bin")
    return parse_colmap_images_txt(read_file(images), images.string(), false).size();
  uint64_t n = 0;
  std::ifstream(images, std::ios::binary).read(reinterpret_cast<char*>(&n), sizeof n);
  return n;
}

fs::path find_colmap_model(const fs::path& root, std::vector<std::string>& notes) {
  if (is_colmap_model(root)) return root;
  for (const fs::path& sparse : {root / "sparse", root / "colmap" / "sparse"}) {
    if (!fs::is_directory(sparse)) continue;
    if (is_colmap_model(sparse)) return sparse;
    std::vector<fs::path> models;
    for (const auto& entry : fs::directory_iterator(sparse))
      if (entry.is_directory() && is_colmap_model(entry.path())) models.push_back(entry.path());
    std::sort(models.begin(), models.end());
    fs::path best;
    uint64_t most = 0;
    std::string counts;
    for (const fs::path& m : models) {
      const uint64_t n = colmap_image_count(m);
      counts += (counts.empty() ? "" : ", ") + m.filename().string() + " has " + std::to_string(n);
      if (best.empty() || n > most) {
        best = m;
        most = n;
      }
    }
    if (models.size() > 1)
      notes.push_back("the reconstruction is in " + std::to_string(models.size()) +
                      " pieces: took sparse/" + best.filename().string() +
                      ", which has the most images (" + counts + ")");
    if (!best.empty()) return best;
  }
  return {};
}

CaptureSource read_colmap_capture(const fs::path& root, const fs::path& model_folder,
                                  const CaptureOptions& options) {
  const ColmapModel model = read_colmap(model_folder, {.sightings = true});
  CaptureSource source;
  source.files = model.files;
  // The photos are beside the model when that folder itself was named.
  fs::path base = root;
  for (int up = 0;
       up < 3 && !fs::is_directory(base / "images") && fs::equivalent(root, model_folder); ++up) {
    if (!base.has_filename()) base = base.parent_path();
    base = fs::absolute(base).parent_path();
  }
  if (!fs::is_directory(base / "images")) base = root;
  const fs::path folder = find_photo_folder(base, options.downscale, source);
  std::vector<std::string> missing;
  constexpr size_t kMissing = std::numeric_limits<size_t>::max();
  std::unordered_map<uint32_t, size_t> photo_of;  // by the image's id
  for (const ColmapImage& image : model.images) {
    PhotoSource photo;
    photo.name = image.name;
    photo.path = find_photo(folder, image.name);
    photo_of[image.id] = photo.path.empty() ? kMissing : source.photos.size();
    if (photo.path.empty()) {
      missing.push_back(image.name);
      continue;
    }
    photo.lens = model.cameras.at(image.camera);
    photo.cam_from_world = image.cam_from_world;
    photo.where = model.files[0].string() + ": camera " + std::to_string(image.camera);
    source.photos.push_back(std::move(photo));
  }
  if (model.images.empty())
    throw Error(ExitCode::kData, "the model has no images", model.files[1].string(),
                "run COLMAP's mapper, or check its log");
  if (source.photos.empty())
    throw Error(ExitCode::kData, "no photo matches the model, which names " + list_some(missing),
                folder.string(),
                "put the photos under images/ with the names that the model spells");
  if (!missing.empty())
    source.notes.push_back(
        std::to_string(missing.size()) +
        " photos of the model are missing and were skipped: " + list_some(missing));
  for (const ColmapPoint& p : model.points) {
    source.points.positions.push_back(p.position.cast<float>());
    source.points.colors.push_back(p.color);
  }
  size_t of_nothing = 0;
  for (const ColmapSighting& s : model.sightings) {
    const auto found = photo_of.find(s.image);
    of_nothing += found == photo_of.end();
    if (found == photo_of.end() || found->second == kMissing) continue;
    std::vector<uint32_t>& seen = source.photos[found->second].seen_points;
    if (seen.empty() || seen.back() != s.point) seen.push_back(s.point);  // once a photo
  }
  if (of_nothing > 0)
    source.notes.push_back(std::to_string(of_nothing) +
                           " entries of tracks name images that the model does not hold");
  return source;
}

}  // namespace covary::scene
