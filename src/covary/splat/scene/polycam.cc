// Polycam's raw data ("developer mode"): keyframes/ with a folder of pictures and one of cameras,
// both corrected by Polycam's own bundle adjustment (corrected_images/, corrected_cameras/) or as
// ARKit tracked them (images/, cameras/), and depth/ in millimetres, 16-bit PNG. A camera is a JSON
// with fx, fy, cx, cy, width, height and t_00 .. t_23, world from camera row by row, OpenGL axes, the
// world's y up, metres. The same stem names a picture, its camera and its depth.
// Source: Polycam's "polyform" notes on the raw data.
#include <algorithm>

#include "covary/core/base/error.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {

namespace fs = std::filesystem;

CaptureSource read_polycam_capture(const fs::path&, const fs::path& model, const CaptureOptions&) {
  CaptureSource source;
  const bool corrected = fs::is_directory(model / "corrected_cameras");
  const fs::path folder = model / (corrected ? "corrected_images" : "images"),
                 cameras = model / (corrected ? "corrected_cameras" : "cameras");
  if (!corrected)
    source.notes.push_back(
        "corrected_cameras/ is not there: the poses are those that the phone "
        "tracked");
  if (!fs::is_directory(folder))
    throw Error(ExitCode::kData, "there is no such folder of photos", folder.string(),
                "export the raw data from Polycam again");
  source.photo_folder = folder;
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(cameras))
    if (entry.path().extension() == ".json") files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  if (files.empty())
    throw Error(ExitCode::kData, "the folder holds no cameras", cameras.string(),
                "export the raw data from Polycam again");
  std::vector<std::string> missing;
  for (const fs::path& path : files) {
    const nlohmann::json document = parse_json_file(path);
    const JsonFields camera(document, path.string());
    source.files.push_back(path);
    Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
    for (int r = 0; r < 3; ++r)
      for (int c = 0; c < 4; ++c)
        pose(r, c) = camera.number("t_" + std::to_string(r) + std::to_string(c));
    PhotoSource photo;
    photo.where = camera.where("t_00");
    photo.cam_from_world =
        cam_from_world(pose, PoseDirection::kWorldFromCam, CameraAxes::kOpenGL, photo.where);
    photo.lens = {
        LensModel::kPinhole,
        camera.size("width"),
        camera.size("height"),
        {camera.number("fx"), camera.number("fy"), camera.number("cx"), camera.number("cy")}};
    photo.lens.check(camera.where("fx"));
    const std::string stem = path.stem().string();
    photo.path = find_photo(folder, stem);
    if (photo.path.empty()) {
      missing.push_back(stem + ".jpg");
      continue;
    }
    photo.name = photo.path.filename().string();
    const fs::path depth = model / "depth" / (stem + ".png");
    if (fs::is_regular_file(depth)) photo.depth = depth;
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, cameras);
  return source;
}

}  // namespace covary::scene
