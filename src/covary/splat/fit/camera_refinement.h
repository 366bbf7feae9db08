// Cameras fitted together with the scene: a small motion of each training camera, a small change of each lens.
//
//   CameraRefinement cameras(capture, options.refine, {.steps = 7000});
//   render::Views views = cameras.views(3, width, height);   // of view 3, differentiable
//   ... loss.backward() ...
//   cameras.update(step, capture);                           // moved, and written into the capture's views
//
// Photos whose given cameras have one size, one projection and the same intrinsics to the last bit share a lens.
//
// Cameras and scene can turn, drift and grow together, which changes no photo. How far they did is the similarity that takes the
// given training cameras nearest to the refined ones; held-out cameras, which are never moved for themselves, go with it, look
// through the refined lens where a training photo shares theirs, and what leaves the trainer goes back by its inverse. So
// the capture's views hold, at all times, the cameras that belong to the scene as it is; what was given is kept here.
#pragma once

#include <cstdint>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/splat/fit/camera_delta.h"
#include "covary/splat/fit/photo_rows.h"
#include "covary/splat/fit/refine_options.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

// How far cameras went from what was given, apart from the motion common to all.
struct CameraChange {
  double turned_deg = 0;    // of the axes, mean over the training cameras, degrees
  double shifted = 0;       // of the centres, likewise, extents
  double focal_change = 0;  // largest |f / given - 1| of a lens
  nlohmann::json to_json() const;
};

class CameraRefinement {
 public:
  CameraRefinement(const scene::Capture& capture, const RefineOptions& options, int64_t steps,
                   int64_t views_drawn);  // in all steps

  void reset(scene::Capture& capture);  // the given cameras
  // The camera of a training view, on a picture of this size; float.
  render::Views views(int64_t view, int width, int height);
  // After backward: the cameras that this step saw move, and stand in the capture.
  void update(int64_t step, scene::Capture& capture);
  void retime(int64_t steps);                    // rates fall over so many steps now
  void write_to(scene::Capture& capture) const;  // all of them
  Eigen::Matrix4d refined_from_given()
      const;  // the common motion of all; the identity while poses stay

  CameraChange change() const;
  int64_t lenses() const { return lenses_; }

  void save(nn::NamedTensors& arrays, nlohmann::json& document) const;
  void restore(const nn::NamedTensors& arrays, const nlohmann::json& document);  // Error(kData)

 private:
  scene::Camera refined(size_t view) const;

  RefineOptions options_;
  std::vector<scene::Camera> given_;  // of every view
  std::vector<PoseFrame> frames_;     // likewise
  std::vector<int64_t> pose_of_;      // row of each view; -1: not a training view
  std::vector<int64_t> lens_of_;      // row of each view; -1: no training view shares it
  int64_t lenses_ = 0;
  PhotoRows poses_, changes_;
};

}  // namespace covary::fit
