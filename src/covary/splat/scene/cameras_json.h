// cameras.json of a run folder: every camera of a capture, in scene coordinates, with the way back
// to the capture's frame.
//
//   write_cameras("run/cameras.json", cameras_of(capture));
//   CameraFile f = read_cameras("run/cameras.json");        // f.cameras[0].camera
//
// {"schema": "covary-cameras/1", "scene_from_capture": [[4x4]], "background": [r,g,b],
// "extent": 3.2,
//  "cameras": [{"name", "split": "train"|"test", "projection": "pinhole"|"orthographic"|"fisheye",
//  "width", "height",
//               "fx", "fy", "cx", "cy", "cam_from_world": [[4x4]]}]}
// Numbers are written so that reading gives the same doubles. Errors: Error(kData) naming file,
// camera and field.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <nlohmann/json_fwd.hpp>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture.h"

namespace covary::scene {

struct NamedCamera {
  std::string name;
  std::string split;  // "train", "test", or empty
  Camera camera;
};

struct CameraFile {
  std::vector<NamedCamera> cameras;
  Eigen::Matrix4d scene_from_capture = Eigen::Matrix4d::Identity();
  Eigen::Vector3f background = {0, 0, 0};
  double extent = 1;
};

nlohmann::json matrix_to_json(const Eigen::Matrix4d& m);  // rows of 4 numbers
CameraFile cameras_of(const Capture& capture);
nlohmann::json cameras_to_json(const CameraFile& file);
void write_cameras(const std::filesystem::path& path, const CameraFile& file);  // atomic
CameraFile read_cameras(const std::filesystem::path& path);
// The same of a document in memory; `where` stands for the file in errors. One camera: an object of its list.
CameraFile cameras_from_json(const nlohmann::json& document, const std::string& where);
Camera camera_from_json(const nlohmann::json& object, const std::string& where);

// Every view of the capture seen from the camera of its name in the file, at the photo's size. `where`
// stands for the file in errors: Error(kData) for a view without a camera, a name with two, a camera
// of another shape than the photo. Both are in one frame.
void take_cameras(Capture& capture, const CameraFile& file, const std::string& where);

}  // namespace covary::scene
