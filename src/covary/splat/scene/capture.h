// A capture: photos with cameras, and what else is known of the scene.
//
//   Capture c = load_capture("data/fox", {.downscale = 4, .test_every = 8});
//   for (int64_t i : c.test) show(c.views[i].image);
//
// load_capture tells the kind of a folder, or of a file in it, by content; docs/captures.md describes
// each. In order of preference, where a folder holds several (the others are said):
//
//   COLMAP            sparse/0 and the like, .bin or .txt
//   nerfstudio, instant-ngp   transforms.json, with masks and depth
//   NeRF-synthetic    transforms_train.json
//   cameras.json      NumPy arrays described by JSON, or the cameras of a run
//   LLFF              poses_bounds.npy; precomputed.json
//   OpenSfM           reconstruction.json          OpenMVG    sfm_data.json
//   Polycam           keyframes/                   Record3D   metadata(.json) and rgb/
//   Metashape         the XML of exported cameras  RealityCapture   the CSV of camera parameters
//   MVSNet            cams/NAME_cam.txt
//
// "sample:NAME,key=value" is a registered generator. Photos are undistorted on loading and kept as 8
// bit. Where they are more than options.photo_cache, only their headers are read on loading: a view's
// pictures are then decoded when they are asked for, and some of them kept (photo_cache.h):
//
//   const std::shared_ptr<const View> held = c.view(i);    // works for both
//   show(held->image);                                     // as long as it is held
//
// Errors: Error(kData) naming file and field, with a hint: no folder, no cameras, no photo that
// matches, a lens that is not read, a photo, mask or depth of another shape, damaged files. What can
// be lived with is a note: photos that are missing, points that are not finite, no points.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "covary/core/data/image.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/capture_options.h"

namespace covary::scene {

class PhotoCache;

// Which pictures a view has beside its photo.
struct ViewParts {
  bool alpha = false, mask = false, depth = false, normal = false;
  int64_t bytes(int width, int height) const;  // of the photo and these, decoded
};

struct View {
  std::string name;  // file name as the model spells it; views are sorted by it
  Camera camera;     // scene coordinates (after normalisation)
  // H x W x 3. A photo with alpha is composited on the background already, unless that is random:
  // then these are its straight (not premultiplied) colours.
  data::Image8 image;
  data::Image8
      alpha;  // H x W x 1 when the photo had alpha (or a mask, by mask_mode empty), else empty
  data::Image8 mask;    // H x W x 1: 255 = use, 0 = masked; empty = all used
  data::ImageF depth;   // H x W x 1 camera z in scene units, 0 = unknown; may be empty
  data::ImageF normal;  // H x W x 3 camera axes, toward the camera; may be empty
  std::string path;     // of the photo, for messages; empty for generated views
  std::optional<double> log2_exposure =
      {};  // that the photo's EXIF states (data/exif.h); empty: none
  // Of Capture::points, ascending: those that were found in this photo, where the model says so
  // (COLMAP's tracks, OpenMVG's observations).
  std::vector<uint32_t> seen_points;
};

struct Points {
  std::vector<Eigen::Vector3f> positions;  // scene coordinates
  std::vector<Eigen::Matrix<uint8_t, 3, 1>> colors;
};

struct Capture {
  std::string name;  // of the folder or generator
  // Without pictures where `photos` is set: then view() has them.
  std::vector<View> views;
  std::vector<int64_t> train, test;  // indices into views
  Points points;                     // sparse points; may be empty
  Eigen::Matrix4d scene_from_capture =
      Eigen::Matrix4d::Identity();         // similarity; exports go back by its inverse
  Eigen::Vector3f background = {0, 0, 0};  // in [0,1]
  bool random_background = false;
  double extent = 1;  // 1.1 * largest distance of a training camera from their mean, scene
                      // units; 1 when all stand at one place
  std::vector<std::string> notes;  // what was skipped, chosen, assumed; said on loading
  std::vector<std::pair<std::string, std::string>>
      files;                           // name, SHA-256 of the model files, for run records
  std::shared_ptr<PhotoCache> photos;  // decodes by need; null: all pictures are in `views`

  // The view with its pictures and the camera that `views` says. The pictures stay while it is held,
  // and what is held is memory: let go of one before the next. Error(kData) naming the file when it
  // cannot be decoded now, though its header was good on loading.
  std::shared_ptr<const View> view(int64_t i) const;
  // Its picture alone, also while another thread moves the cameras.
  std::shared_ptr<const data::Image8> image(int64_t i) const;
  ViewParts parts(int64_t i) const;
  int64_t picture_bytes() const;  // of all views, decoded
  // The views that view() will be asked for, nearest first; the first `ahead` are decoded meanwhile.
  // Nothing to do where all are in memory.
  void expect(const std::vector<int64_t>& order, size_t ahead) const;
};

// Decodes all that is not in memory yet and keeps it.
void hold_all(Capture& capture);

Capture load_capture(const std::string& where, const CaptureOptions& options);
// Whether it is a sample, a folder with cameras of a kind that load_capture reads, or a file of a type that may hold some.
bool has_cameras(const std::string& where);

// Generators of "sample:NAME,key=value,...": registered by the rooms above.
struct SampleSource {
  std::string name, help;  // "studio", one line with the parameters
  std::function<Capture(const std::map<std::string, std::string>& parameters,
                        const CaptureOptions&)>
      make;
};
void register_sample(SampleSource source);
const std::vector<SampleSource>& samples();

// Rotates the mean camera up to +z and the points' widest horizontal direction to x, moves the
// point nearest to all optical axes to 0, scales the median camera distance to 1. Without a common
// up the frame is not turned; cameras at one place are scaled by the median distance of the points,
// else not at all.
Eigen::Matrix4d normalising_similarity(const std::vector<Camera>& cameras, const Points& points);
Camera transformed(const Camera& camera,
                   const Eigen::Matrix4d& new_from_old);  // similarity; scale moves to the pose

}  // namespace covary::scene
