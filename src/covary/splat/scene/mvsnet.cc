// MVSNet's cameras: for photo NAME.jpg a text NAME_cam.txt with the word "extrinsic" and 4 x 4
// numbers (camera from world, OpenCV axes; some writers put world from camera there, which nothing in
// the file tells: cameras.json can say so, see camera_arrays.cc), the word "intrinsic" and 3 x 3 numbers, and a line of
// depth bounds, which may be absent and is not used. Source: the README of MVSNet, "File Formats".
//
// The intrinsics' picture size is not stated, and the photos at hand may have another. It is found
// by the principal point, which is near the centre of its picture:
//   * within a quarter of the photo's centre on both axes: the intrinsics are the photo's;
//   * else, where twice the point is a whole number of pixels with the photo's aspect: that size;
//   * else, where the photo is within 5 % of n times (or 1/n of) twice the point, n whole: the
//     photo's size over n (times n);
//   * else an error: such a guess would move every focal length.
#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/mvsnet.h"
#include "covary/splat/scene/text_lines.h"

namespace covary::scene {

namespace fs = std::filesystem;

namespace {

constexpr const char* kHint = "the file is damaged: write the cameras again";
constexpr const char* kSuffix = "_cam.txt";

struct Size {
  int width = 0, height = 0;
};

Size size_of_intrinsics(const MvsnetCamera& camera, int width, int height,
                        const std::string& where) {
  const double cx2 = 2 * camera.cx, cy2 = 2 * camera.cy;
  const double sx = width / cx2, sy = height / cy2;  // of the photo to what the point says
  const auto near = [](double value, double to, double share) {
    return std::abs(value / to - 1) <= share;
  };
  const bool possible = cx2 >= 1 && cy2 >= 1 && cx2 <= 65536 && cy2 <= 65536;
  if (possible && sx > 0.8 && sx < 1.25 && sy > 0.8 && sy < 1.25) return {width, height};
  const int w = possible ? static_cast<int>(std::lround(cx2)) : 0,
            h = possible ? static_cast<int>(std::lround(cy2)) : 0;
  if (possible && std::abs(cx2 - w) < 1e-3 && std::abs(cy2 - h) < 1e-3 && near(sx, sy, 0.01))
    return {w, h};
  for (int n = 2; possible && n <= 16; ++n) {
    if (near(sx, n, 0.05) && near(sy, n, 0.05)) return {width / n, height / n};
    if (near(sx, 1.0 / n, 0.05) && near(sy, 1.0 / n, 0.05)) return {width * n, height * n};
  }
  throw Error(ExitCode::kData,
              "the photo is " + std::to_string(width) + " x " + std::to_string(height) +
                  " px, but the intrinsics are of another size, which the file does not state",
              where,
              "take the photos at the size that the cameras were made for, or a multiple of "
              "it");
}

}  // namespace

MvsnetCamera parse_mvsnet_camera(std::string_view text, const std::string& where) {
  Lines in(text, where, kHint);
  const auto words = [&](const char* what) {
    while (!in.has_word())
      if (!in.next())
        throw Error(ExitCode::kData, std::string("the ") + what + " is missing", where, kHint);
  };
  const auto heading = [&](const char* name) {
    words(name);
    if (in.word(name) != name) in.fail(std::string("here is no '") + name + "'");
  };
  const auto number = [&](const char* what) {
    words(what);
    const double v = in.number<double>(what);
    if (!std::isfinite(v)) in.fail(std::string("the ") + what + " is not finite");
    return v;
  };
  MvsnetCamera camera;
  if (!in.next()) throw Error(ExitCode::kData, "the file is empty", where, kHint);
  heading("extrinsic");
  for (int i = 0; i < 16; ++i) camera.cam_from_world(i / 4, i % 4) = number("extrinsic");
  heading("intrinsic");
  double k[9];
  for (double& v : k) v = number("intrinsic");
  if (!(k[0] > 0 && k[4] > 0))
    throw Error(ExitCode::kData, "the focal length is not positive", where + ": intrinsic", kHint);
  if (std::abs(k[1]) > 1e-3 * k[0] || k[3] != 0 || k[6] != 0 || k[7] != 0 || k[8] != 1)
    throw Error(ExitCode::kData, "is no matrix fx 0 cx, 0 fy cy, 0 0 1", where + ": intrinsic",
                kHint);
  camera.fx = k[0];
  camera.fy = k[4];
  camera.cx = k[2];
  camera.cy = k[5];
  return camera;
}

Lens mvsnet_lens(const MvsnetCamera& camera, int photo_width, int photo_height,
                 const std::string& where) {
  const Size size = size_of_intrinsics(camera, photo_width, photo_height, where);
  Lens lens{
      LensModel::kPinhole, size.width, size.height, {camera.fx, camera.fy, camera.cx, camera.cy}};
  lens.check(where);
  return lens;
}

CaptureSource read_mvsnet_capture(const fs::path& given_root, const fs::path& model,
                                  const CaptureOptions& options) {
  CaptureSource source;
  // The photos are beside the folder of the cameras when that itself was named.
  std::error_code ignored;
  const bool named_itself = fs::equivalent(given_root, model, ignored) &&
                            !fs::is_directory(given_root / "images") && photos_in(model).empty();
  const fs::path root = named_itself ? fs::absolute(model / "..").lexically_normal() : given_root;
  fs::path folder = find_photo_folder(root, options.downscale, source);
  if (!source.downscaled_folder && fs::is_directory(root / "blended_images"))
    folder = source.photo_folder = root / "blended_images";
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(model))
    if (entry.path().filename().string().ends_with(kSuffix)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  std::vector<std::string> missing;
  size_t scaled = 0;
  Size example;
  for (const fs::path& file : files) {
    const MvsnetCamera camera = parse_mvsnet_camera(read_file(file), file.string());
    source.files.push_back(file);
    const std::string name = file.filename().string();
    PhotoSource photo;
    photo.name = name.substr(0, name.size() - std::string(kSuffix).size());
    photo.path = find_photo(folder, photo.name);
    if (photo.path.empty()) {
      missing.push_back(photo.name);
      continue;
    }
    photo.name = photo.path.filename().string();
    photo.where = file.string() + ": extrinsic";
    photo.cam_from_world = cam_from_world(camera.cam_from_world, PoseDirection::kCamFromWorld,
                                          CameraAxes::kOpenCV, photo.where);
    // Photos of images_N/ are N times smaller than those that the cameras know.
    const data::ImageInfo info = data::image_info(photo.path);
    const int divide = source.downscaled_folder ? static_cast<int>(options.downscale) : 1;
    photo.lens = mvsnet_lens(camera, info.width * divide, info.height * divide,
                             file.string() + ": intrinsic");
    if (photo.lens.width != info.width * divide) {
      ++scaled;
      example = {photo.lens.width, photo.lens.height};
    }
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  source.reading = PoseReading{PoseDirection::kCamFromWorld, CameraAxes::kOpenCV};
  if (scaled > 0)
    source.notes.push_back("the size of the intrinsics is not stated: by their principal points " +
                           std::to_string(scaled) + " are of pictures of " +
                           std::to_string(example.width) + " x " + std::to_string(example.height) +
                           " px");
  else
    source.notes.push_back(
        "the size of the intrinsics is not stated: they are taken as the "
        "photos'");
  return source;
}

}  // namespace covary::scene
