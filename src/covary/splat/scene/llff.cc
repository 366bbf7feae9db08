// LLFF's poses_bounds.npy: a row of 17 numbers a photo, the photos in order of their names. A row is
// a 3 x 5 matrix row by row and two distances (nearest and farthest, not used). The matrix holds the
// camera's axes in the world as columns, down, right and back; its place; and height, width and focal
// length in pixels. The principal point is the centre.
//
// precomputed.json is that after LLFF's loader has recentred the poses: "poses" N x 3 x 5 with the
// axes right, up and back, "bds" N x 2, and "i_test", the photos held out.
//
// Sources: the README of LLFF, "Using your own poses without running COLMAP"; the axes of
// precomputed.json were found from matches between the photos of such a capture.
#include <algorithm>
#include <cmath>
#include <set>

#include "covary/core/base/error.h"
#include "covary/core/data/archive.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {
namespace {

using nlohmann::json;
namespace fs = std::filesystem;

constexpr const char* kHint = "write the file again, one pose a photo";

// The folder of the photos; of images_4/ and images_8/ alone the larger photos.
fs::path folder_of_photos(const fs::path& root, const CaptureOptions& options,
                          CaptureSource& source) {
  fs::path folder = find_photo_folder(root, options.downscale, source);
  if (source.downscaled_folder || !photos_in(folder).empty()) return folder;
  for (int n = 2; n <= 64; ++n) {
    const std::string name = "images_" + std::to_string(n);
    if (!fs::is_directory(root / name) || photos_in(root / name).empty()) continue;
    source.notes.push_back("images/ holds no photos: " + name + "/ takes its place");
    return source.photo_folder = root / name;
  }
  return folder;
}

// Names that photos in images* folders of the right count have, and this folder lacks.
std::vector<std::string> names_missing(const fs::path& root, const fs::path& folder, size_t count) {
  std::set<std::string> here;
  for (const fs::path& p : photos_in(folder)) here.insert(p.stem().string());
  std::vector<std::string> missing;
  for (const auto& entry : fs::directory_iterator(root)) {
    if (!entry.is_directory() || !entry.path().filename().string().starts_with("images")) continue;
    const std::vector<fs::path> others = photos_in(entry.path());
    if (others.size() != count || !missing.empty()) continue;
    for (const fs::path& p : others)
      if (!here.contains(p.stem().string())) missing.push_back(p.filename().string());
  }
  return missing;
}

// 3 x 5 matrices, row by row, one a photo.
CaptureSource with_poses(const fs::path& root, const fs::path& model,
                         const std::vector<double>& rows, size_t stride, bool down_right_back,
                         const CaptureOptions& options) {
  CaptureSource source;
  source.files.push_back(model);
  const fs::path folder = folder_of_photos(root, options, source);
  const std::vector<fs::path> photos = photos_in(folder);
  const size_t count = rows.size() / stride;
  if (photos.size() != count) {
    const std::vector<std::string> missing = names_missing(root, folder, count);
    throw Error(ExitCode::kData,
                "there are " + std::to_string(count) + " poses, but " +
                    std::to_string(photos.size()) + " photos in " + folder.string() +
                    (missing.empty() ? "" : " (missing: " + list_some(missing) + ")"),
                model.string(),
                "poses belong to the photos in order of their names: put back those "
                "that are missing, take out those that were added");
  }
  for (size_t i = 0; i < count; ++i) {
    const double* v = rows.data() + i * stride;
    PhotoSource photo;
    photo.name = photos[i].filename().string();
    photo.path = photos[i];
    photo.where = model.string() + ": poses[" + std::to_string(i) + "]";
    Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 4; ++c) pose(r, c) = v[5 * r + c];
    if (down_right_back) {
      const Eigen::Vector4d down = pose.col(0);
      pose.col(0) = pose.col(1);
      pose.col(1) = -down;
    }
    photo.cam_from_world =
        cam_from_world(pose, PoseDirection::kWorldFromCam, CameraAxes::kOpenGL, photo.where);
    const double height = v[4], width = v[9], focal = v[14];
    if (!(width >= 1 && width <= 65536 && height >= 1 && height <= 65536))
      throw Error(ExitCode::kData, "its height and width are no sizes of 1 to 65536 px",
                  photo.where, kHint);
    const int w = static_cast<int>(std::lround(width)), h = static_cast<int>(std::lround(height));
    photo.lens = {LensModel::kSimplePinhole, w, h, {focal, w / 2.0, h / 2.0}};
    photo.lens.check(photo.where);
    source.photos.push_back(std::move(photo));
  }
  return source;
}

}  // namespace

CaptureSource read_llff_capture(const fs::path& root, const fs::path& model,
                                const CaptureOptions& options) {
  const data::Array array = data::read_npy(model);
  const bool floats = array.dtype == data::DType::kFloat32 || array.dtype == data::DType::kFloat64;
  if (array.shape.size() != 2 || array.shape[0] < 1 || array.shape[1] != 17 || !floats)
    throw Error(ExitCode::kData, "LLFF's poses are an array of N x 17 floats", model.string(),
                kHint);
  std::vector<double> rows(static_cast<size_t>(array.count()));
  for (size_t i = 0; i < rows.size(); ++i)
    rows[i] = array.dtype == data::DType::kFloat64 ? array.as<double>()[i] : array.as<float>()[i];
  return with_poses(root, model, rows, 17, true, options);
}

CaptureSource read_precomputed_capture(const fs::path& root, const fs::path& model,
                                       const CaptureOptions& options) {
  const json document = parse_json_file(model);
  const JsonFields file(document, model.string());
  const json& poses = file.list("poses");
  std::vector<double> rows;
  for (size_t i = 0; i < poses.size(); ++i) {
    const std::string key = "poses[" + std::to_string(i) + "]";
    if (!poses[i].is_array() || poses[i].size() != 3) file.fail(key, "is no 3 x 5 matrix");
    for (const json& row : poses[i]) {
      const std::vector<double> v = file.numbers(row, key, 5);
      rows.insert(rows.end(), v.begin(), v.end());
    }
  }
  CaptureSource source = with_poses(root, model, rows, 15, false, options);
  const json* test = file.find("i_test");
  if (!test) return source;
  const json list = test->is_array() ? *test : json::array({*test});
  for (const json& i : list) {
    if (!i.is_number_integer() || i.get<int64_t>() < 0 ||
        i.get<int64_t>() >= static_cast<int64_t>(source.photos.size()))
      file.fail("i_test", "holds what is no number of a photo");
    source.photos[i.get<size_t>()].test = true;
    source.own_split = true;
  }
  return source;
}

}  // namespace covary::scene
