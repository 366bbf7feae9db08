// What a reader of one kind of capture hands to load_capture: photos by path with lens and pose,
// points, depth, and how they are split. Nothing is decoded yet. Within scene only; a new kind of
// capture is a file that makes one of these and a line in capture_kinds.cc.
#pragma once

#include <array>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "covary/core/base/names.h"
#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture.h"

namespace covary::scene {

class JsonFields;

// Axes of a camera: x right in both; y down and z forward (OpenCV), or y up and z back (OpenGL).
enum class CameraAxes { kOpenCV, kOpenGL };
enum class PoseDirection { kWorldFromCam, kCamFromWorld };
struct PoseReading {
  PoseDirection direction = PoseDirection::kCamFromWorld;
  CameraAxes axes = CameraAxes::kOpenCV;
};

struct PhotoSource {
  std::string name;
  std::filesystem::path path, mask;  // mask may be empty
  Lens lens;  // at the size that the model states; width 0: the photo's size, field_of_view set
  double field_of_view_x = 0;   // rad; for models that state no focal length
  std::filesystem::path depth;  // 16-bit PNG or .npy of camera z; may be empty
  double depth_unit = 0;        // metres a unit of that file; 0: 0.001 of integers, 1 of floats
  double depth_scale = 1;       // capture units a metre
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();
  std::vector<uint32_t> seen_points;  // of CaptureSource::points, ascending, where they are known
  bool test = false;                  // where the capture has its own split
  std::string where;                  // file and field of the camera, for errors
};

struct CaptureSource {
  std::vector<PhotoSource> photos;  // in any order
  Points points;                    // capture coordinates; not finite ones included
  bool own_split = false;
  bool white_background = false;   // of `auto`
  bool downscaled_folder = false;  // the photos are of images_N: no further shrinking
  // How poses were read, where the file does not settle it: they are then held against the photos.
  std::optional<PoseReading> reading;
  std::filesystem::path photo_folder;        // where masks/ is looked for beside
  std::vector<std::filesystem::path> files;  // of the model, for run records
  std::vector<std::string> notes;
};

// The capture in a folder, or of a file that holds cameras, or of both where options.cameras names
// the file: the kind is told by content. Error(kData) when there is none.
CaptureSource read_source(const std::filesystem::path& given, const CaptureOptions& options);

// ---- Photos

// The folder that holds the photos of a capture: images/, else the capture's folder itself. With
// downscale > 1 images_N/ beside it when there (sets downscaled_folder and a note).
std::filesystem::path find_photo_folder(const std::filesystem::path& root, int64_t downscale,
                                        CaptureSource& source);

// A photo by the name that the model spells: as it is, by its last part, or with another extension;
// empty when absent.
std::filesystem::path find_photo(const std::filesystem::path& folder, const std::string& name);

// Photos of a folder for models that spell no folders (Metashape's labels, RealityCapture's names): in
// the folder itself, else the only one of that name in the folders below, which are listed when the
// first is asked for. masks/, depth/ and images_N/ are passed over.
class PhotosBelow {
 public:
  explicit PhotosBelow(std::filesystem::path folder) : folder_(std::move(folder)) {}
  // Empty when absent. Error(kData) naming both when two are called so.
  std::filesystem::path find(const std::string& name, const std::string& where);

 private:
  void list(const std::filesystem::path& folder, int depth);

  std::filesystem::path folder_;
  bool listed_ = false;
  std::multimap<std::string, std::filesystem::path> by_name_;  // file names, and stems
};

// Every PNG and JPEG of a folder by its extension, sorted by name byte by byte; no subfolders.
std::vector<std::filesystem::path> photos_in(const std::filesystem::path& folder);

// A note that names the photos of `file` that are not in the folder; Error(kData) when none is.
void note_missing(CaptureSource& source, const std::vector<std::string>& missing,
                  const std::filesystem::path& folder, const std::filesystem::path& file);

// ---- Poses

// A pose of a file as cam_from_world in OpenCV axes. A uniform scale of the rotation (as some
// exporters leave) is taken out, and so is rounding. Error(kData, where) when it is no rotation:
// mirrored, singular, skewed by more than 1 %, not finite.
Eigen::Matrix4d cam_from_world(const Eigen::Matrix4d& pose, PoseDirection direction,
                               CameraAxes axes, const std::string& where);

// "convention" (opencv, opengl) and "direction" (world_to_camera, camera_to_world) of a JSON; where it
// says nothing, these. Error(kData) for other words.
PoseReading pose_reading(const JsonFields& file, const char* convention, const char* direction);

// ---- Lenses

// The lens of the Brown model with coefficients k1..k4 and OpenCV's p1, p2: kPinhole, kOpenCV or
// kBrown, the least that holds them. Checked.
Lens brown_lens(int width, int height, double fx, double fy, double cx, double cy,
                const std::array<double, 4>& k, const std::array<double, 2>& p,
                const std::string& where);

// ---- Depth and points

// H x W x 1, times unit; what is not positive or not finite becomes 0. A unit of 0 is 0.001 for PNG
// and integers, 1 for floats. Error(kData): neither a 16-bit grey PNG nor a .npy of H x W.
data::ImageF read_depth(const std::filesystem::path& path, double unit);
// Its size, from the header alone; errors likewise.
data::ImageInfo depth_info(const std::filesystem::path& path);

// Vertices of a .ply with their colours (grey where it has none), turned by target_from_file.
Points read_point_file(const std::filesystem::path& path, const Eigen::Matrix4d& target_from_file);

// The points beside a model that names none: MODEL.ply, else one .ply with the usual names of sparse
// points, else the only .ply that holds no splats. Points that are in another frame than the cameras
// (a hundred times farther off than these are apart) are left out with a note.
void read_points_beside(const std::filesystem::path& root, const std::filesystem::path& model,
                        CaptureSource& source,
                        const Eigen::Matrix4d& target_from_file = Eigen::Matrix4d::Identity());

// ---- The kinds, a file each. `root` is the folder of the photos, `model` what capture_kinds.cc
// found.

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

// LLFF: poses_bounds.npy; and precomputed.json, its like after recentring.
CaptureSource read_llff_capture(const std::filesystem::path& root,
                                const std::filesystem::path& model, const CaptureOptions& options);
CaptureSource read_precomputed_capture(const std::filesystem::path& root,
                                       const std::filesystem::path& model,
                                       const CaptureOptions& options);
// MVSNet: a folder of NAME_cam.txt.
CaptureSource read_mvsnet_capture(const std::filesystem::path& root,
                                  const std::filesystem::path& model,
                                  const CaptureOptions& options);
// OpenSfM: reconstruction.json. OpenMVG: sfm_data.json.
CaptureSource read_opensfm_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options);
CaptureSource read_openmvg_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options);
// Agisoft Metashape: the XML of "Export Cameras".
CaptureSource read_metashape_capture(const std::filesystem::path& root,
                                     const std::filesystem::path& model,
                                     const CaptureOptions& options);
// RealityCapture (RealityScan): the CSV of "Internal/External camera parameters".
CaptureSource read_reality_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options);
// Polycam: a folder of keyframes. Record3D: metadata with rgb/.
CaptureSource read_polycam_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options);
CaptureSource read_record3d_capture(const std::filesystem::path& root,
                                    const std::filesystem::path& model,
                                    const CaptureOptions& options);
// cameras.json: arrays of NumPy described by JSON, or the cameras of a run folder.
CaptureSource read_arrays_capture(const std::filesystem::path& root,
                                  const std::filesystem::path& model,
                                  const CaptureOptions& options);
CaptureSource read_cameras_capture(const std::filesystem::path& root,
                                   const std::filesystem::path& model,
                                   const CaptureOptions& options);

}  // namespace covary::scene
