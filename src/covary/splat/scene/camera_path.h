// Smooth ways of a camera through a scene.
//
//   CameraPath path(cameras_of_a_capture);
//   std::vector<Camera> frames = path.spline(120);    // through the cameras, at even speed
//
// Frames take size, lens and projection of the first camera given. A path through cameras follows their order when
// neighbours in it are near each other (video), otherwise the shortest way found (photos in any order). Positions are a
// Catmull-Rom spline, rotations are smoothed between cameras; the speed is even along the way.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/splat/scene/camera.h"

namespace covary::scene {

class CameraPath {
 public:
  // Error(kData) when there are no cameras.
  explicit CameraPath(std::vector<Camera> cameras);

  // Through at most 24 of the cameras, from the first to the last.
  std::vector<Camera> spline(int64_t frames) const;

  // Once around the point that the cameras look at, at their mean distance and height; the last frame does not repeat
  // the first.
  std::vector<Camera> orbit(int64_t frames) const;

  // Twice around the mean camera on a small spiral, looking at the mean focus: for captures that face one way.
  std::vector<Camera> spiral(int64_t frames) const;

  // By name; Error(kUsage) for another word.
  std::vector<Camera> by_name(const std::string& name, int64_t frames) const;

  // What the cameras look at: the point nearest to all optical axes; in front of the mean camera where these are parallel.
  Eigen::Vector3d focus() const { return focus_; }
  Eigen::Vector3d up() const { return up_; }

 private:
  std::vector<Camera> cameras_;
  Eigen::Vector3d focus_, up_, mean_;
};

// A camera at `position` that sees `target` in the middle, with `up` upward; size and lens as `like`.
Camera looking_at(const Camera& like, const Eigen::Vector3d& position,
                  const Eigen::Vector3d& target, const Eigen::Vector3d& up);

// A camera for a scene without any: 3/4 view of a ball, 60 degrees wide.
Camera camera_of_ball(const Eigen::Vector3d& centre, double radius, const Eigen::Vector3d& up,
                      int width, int height);

}  // namespace covary::scene
