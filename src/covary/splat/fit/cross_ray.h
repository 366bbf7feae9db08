// Where the worst parts of several views meet in space: boxes of which too little is known.
//
//   const ErrorWindow a = worst_window(errors_a, h, w, 40, 20), b = worst_window(errors_b, h, w, 40, 20);
//   const Meeting m = meeting_of(camera_a, a, camera_b, b, {.extent = extent});
//   if (m.box) ...                                  // Gaussians inside are too few
//
// The rays through the same corner of both windows pass each other somewhere; the box holds those four places.
// Two windows need not show the same thing: what cannot be one is refused (see Refusal), unless the guards
// are off, as in the release.
// Source: Du et al. 2024 (MVGS), cross-ray densification.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <Eigen/Core>

#include "covary/splat/scene/camera.h"

namespace covary::fit {

// A rectangle of pixels, [left, right) x [top, bottom), and its mean error.
struct ErrorWindow {
  int64_t left = 0, top = 0, right = 0, bottom = 0;  // px
  double error = 0;
};

// Of the windows that tile a picture of errors (H x W, row-major), cut at its right and lower border, the one with the
// largest mean; the first of equals.
ErrorWindow worst_window(const float* errors, int64_t height, int64_t width, int64_t window_width,
                         int64_t window_height);

// Where two rays, from a along p and from b along q (unit), are nearest to each other. None when |p x q| < 1e-6.
struct Approach {
  double along_a = 0, along_b = 0;  // from the origins, world units; negative: behind
  Eigen::Vector3d middle;           // of the two nearest points
  double gap = 0;                   // between them
};
std::optional<Approach> closest_approach(const Eigen::Vector3d& a, const Eigen::Vector3d& p,
                                         const Eigen::Vector3d& b, const Eigen::Vector3d& q);

struct Box {
  Eigen::Vector3d low, high;  // world
  bool holds(const Eigen::Vector3d& point) const {
    return (point.array() > low.array()).all() && (point.array() < high.array()).all();
  }
};

enum class Refusal { kNone, kParallel, kBehind, kApart, kLarge, kUnseen };

struct MeetingOptions {
  bool guarded = true;     // false: parallel rays alone are refused
  double extent = 1;       // of the scene, world units
  double most_gap = 0.1;   // between the rays, of their mean depth
  double most_size = 0.5;  // the box's diagonal, extent
};

struct Meeting {
  std::optional<Box> box;
  Refusal refusal = Refusal::kNone;  // why there is none
};

// Symmetric in the two views. Rays go through pixel corners; windows lie within their pictures.
Meeting meeting_of(const scene::Camera& camera_a, const ErrorWindow& a,
                   const scene::Camera& camera_b, const ErrorWindow& b,
                   const MeetingOptions& options);

// Whether two of these points, seen from the origin, are more than 60 degrees apart: their unit vectors differ by more
// than 1.
bool look_from_afar(const std::vector<Eigen::Vector3d>& points, const Eigen::Vector3d& origin);

}  // namespace covary::fit
