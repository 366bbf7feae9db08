// Record3D's folder "EXR + RGB": a JSON named metadata or metadata.json, and rgb/0.jpg, rgb/1.jpg, ...
//
//   poses  N x [qx, qy, qz, qw, tx, ty, tz], world from camera, OpenGL axes, the world's y up, metres
//   K      nine numbers of the intrinsics, column by column
//   perFrameIntrinsicCoeffs  N x [fx, fy, cx, cy], which go before K where they are there
//   w, h   size of the pictures that the intrinsics belong to
//
// Depth is written as OpenEXR, which is not read. Source: Record3D's documentation of its exports.
#include <cmath>

#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/splat/scene/capture_source.h"
#include "covary/splat/scene/json_fields.h"

namespace covary::scene {

namespace fs = std::filesystem;
using nlohmann::json;

CaptureSource read_record3d_capture(const fs::path& root, const fs::path& model,
                                    const CaptureOptions&) {
  const json document = parse_json_file(model);
  const JsonFields file(document, model.string());
  CaptureSource source;
  source.files.push_back(model);
  const fs::path folder = fs::is_directory(root / "rgb") ? root / "rgb" : root / "images";
  if (!fs::is_directory(folder))
    throw Error(ExitCode::kData, "there is no folder of photos, rgb/", root.string(),
                "export 'EXR + RGB' from Record3D, which writes it beside the metadata");
  source.photo_folder = folder;
  const int width = file.size("w"), height = file.size("h");
  const json& poses = file.list("poses");
  const json* each = file.find("perFrameIntrinsicCoeffs");
  if (each && (!each->is_array() || each->size() != poses.size()))
    file.fail("perFrameIntrinsicCoeffs", "is no list of as many as there are poses");
  std::vector<double> k(4);
  if (!each) {
    const std::vector<double> columns = file.numbers("K", 9);
    // Written row by row by some: then the centre is in the third column.
    const bool rows = columns[2] != 0 || columns[5] != 0;
    k = {columns[0], columns[4], columns[rows ? 2 : 6], columns[rows ? 5 : 7]};
  }
  std::vector<std::string> missing;
  for (size_t i = 0; i < poses.size(); ++i) {
    const std::string number = std::to_string(i), key = "poses[" + number + "]";
    const std::vector<double> v = file.numbers(poses[i], key, 7);
    const Eigen::Quaterniond q(v[3], v[0], v[1], v[2]);
    if (!(q.norm() > 1e-6 && q.norm() < 1e6)) file.fail(key, "is no rotation");
    Eigen::Matrix4d pose = Eigen::Matrix4d::Identity();
    pose.topLeftCorner<3, 3>() = q.normalized().toRotationMatrix();
    pose.topRightCorner<3, 1>() = Eigen::Vector3d(v[4], v[5], v[6]);
    if (each) k = file.numbers((*each)[i], "perFrameIntrinsicCoeffs[" + number + "]", 4);
    PhotoSource photo;
    photo.where = file.where(key);
    photo.cam_from_world =
        cam_from_world(pose, PoseDirection::kWorldFromCam, CameraAxes::kOpenGL, photo.where);
    photo.lens = {LensModel::kPinhole, width, height, k};
    photo.lens.check(each ? file.where("perFrameIntrinsicCoeffs[" + number + "]")
                          : file.where("K"));
    photo.path = find_photo(folder, number);
    if (photo.path.empty()) {
      missing.push_back(folder.filename().string() + "/" + number + ".jpg");
      continue;
    }
    photo.name = photo.path.filename().string();
    source.photos.push_back(std::move(photo));
  }
  note_missing(source, missing, folder, model);
  if (fs::is_directory(root / "depth")) source.notes.push_back("depth/ (OpenEXR) is not read");
  return source;
}

}  // namespace covary::scene
