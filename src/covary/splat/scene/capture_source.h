// What a reader of one kind of capture hands to load_capture: photos by path with lens and pose,
// points, and how they are split. Nothing is decoded yet. Within scene only; a new kind of capture
// is a file that makes one of these.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture.h"

namespace covary::scene {

struct PhotoSource {
  std::string name;
  std::filesystem::path path, mask;  // mask may be empty
  Lens lens;  // at the size that the model states; width 0: the photo's size, field_of_view set
  double field_of_view_x = 0;  // rad; for models that state no focal length
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();
  bool test = false;  // where the capture has its own split
  std::string where;  // file and field of the camera, for errors
};

struct CaptureSource {
  std::vector<PhotoSource> photos;  // in any order
  Points points;                    // capture coordinates; not finite ones included
  bool own_split = false;
  bool white_background = false;             // of `auto`
  bool downscaled_folder = false;            // the photos are of images_N: no further shrinking
  std::filesystem::path photo_folder;        // where masks/ is looked for beside
  std::vector<std::filesystem::path> files;  // of the model, for run records
  std::vector<std::string> notes;
};

// The folder that holds the photos of a capture: images/, else the capture's folder itself. With
// downscale > 1 images_N/ beside it when there (sets downscaled_folder and a note).
std::filesystem::path find_photo_folder(const std::filesystem::path& root, int64_t downscale,
                                        CaptureSource& source);

// A photo by the name that the model spells: as it is, by its last part, or with another extension;
// empty when absent.
std::filesystem::path find_photo(const std::filesystem::path& folder, const std::string& name);

// "a, b, c and 7 more"
std::string list_some(const std::vector<std::string>& names);

// COLMAP: the model folder for a capture, empty when there is none. Several: the one with most
// images, with a note.
std::filesystem::path find_colmap_model(const std::filesystem::path& root,
                                        std::vector<std::string>& notes);
CaptureSource read_colmap_capture(const std::filesystem::path& root,
                                  const std::filesystem::path& model,
                                  const CaptureOptions& options);

// transforms.json of nerfstudio and instant-ngp.
CaptureSource read_transforms_capture(const std::filesystem::path& root,
                                      const std::filesystem::path& file,
                                      const CaptureOptions& options);
// NeRF-synthetic: transforms_train.json and transforms_test.json.
CaptureSource read_synthetic_capture(const std::filesystem::path& root);

}  // namespace covary::scene
