#include "covary/splat/fit/cross_ray.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Geometry>

namespace covary::fit {

using Eigen::Vector3d;

ErrorWindow worst_window(const float* errors, int64_t height, int64_t width, int64_t window_width,
                         int64_t window_height) {
  ErrorWindow worst{.error = -1};
  for (int64_t top = 0; top < height; top += window_height) {
    const int64_t bottom = std::min(height, top + window_height);
    for (int64_t left = 0; left < width; left += window_width) {
      const int64_t right = std::min(width, left + window_width);
      double sum = 0;
      for (int64_t y = top; y < bottom; ++y) {
        for (int64_t x = left; x < right; ++x) sum += errors[y * width + x];
      }
      const double mean = sum / static_cast<double>((bottom - top) * (right - left));
      if (mean > worst.error) worst = {left, top, right, bottom, mean};
    }
  }
  return worst;
}

std::optional<Approach> closest_approach(const Vector3d& a, const Vector3d& p, const Vector3d& b,
                                         const Vector3d& q) {
  const Vector3d n = p.cross(q);
  const double squared = n.squaredNorm();
  if (!(squared >= 1e-12)) return std::nullopt;
  Approach out;
  out.along_a = (b - a).cross(q).dot(n) / squared;
  out.along_b = (b - a).cross(p).dot(n) / squared;
  const Vector3d on_a = a + out.along_a * p, on_b = b + out.along_b * q;
  out.middle = 0.5 * (on_a + on_b);
  out.gap = (on_a - on_b).norm();
  return out;
}

namespace {

bool sees(const scene::Camera& camera, const Vector3d& point) {
  const Vector3d inside = camera.cam_from_world.topLeftCorner<3, 3>() * point +
                          camera.cam_from_world.topRightCorner<3, 1>();
  if (!(inside.z() > 0)) return false;
  const Eigen::Vector2d at = camera.project(point);
  return at.x() >= 0 && at.y() >= 0 && at.x() <= camera.width && at.y() <= camera.height;
}

}  // namespace

Meeting meeting_of(const scene::Camera& camera_a, const ErrorWindow& a,
                   const scene::Camera& camera_b, const ErrorWindow& b,
                   const MeetingOptions& options) {
  const auto corner = [](const ErrorWindow& w, int k) {
    return std::pair(static_cast<double>(k & 1 ? w.right : w.left),
                     static_cast<double>(k & 2 ? w.bottom : w.top));
  };
  const Vector3d from_a = camera_a.centre(), from_b = camera_b.centre();
  Box box{Vector3d::Constant(INFINITY), Vector3d::Constant(-INFINITY)};
  for (int k = 0; k < 4; ++k) {
    const auto [xa, ya] = corner(a, k);
    const auto [xb, yb] = corner(b, k);
    const auto near = closest_approach(from_a, camera_a.ray(xa, ya), from_b, camera_b.ray(xb, yb));
    if (!near) return {.box = std::nullopt, .refusal = Refusal::kParallel};
    if (options.guarded) {
      if (!(near->along_a > 0) || !(near->along_b > 0))
        return {.box = std::nullopt, .refusal = Refusal::kBehind};
      if (near->gap > options.most_gap * 0.5 * (near->along_a + near->along_b))
        return {.box = std::nullopt, .refusal = Refusal::kApart};
    }
    box.low = box.low.cwiseMin(near->middle);
    box.high = box.high.cwiseMax(near->middle);
  }
  if (options.guarded) {
    if ((box.high - box.low).norm() > options.most_size * options.extent)
      return {.box = std::nullopt, .refusal = Refusal::kLarge};
    const Vector3d middle = 0.5 * (box.low + box.high);
    if (!sees(camera_a, middle) || !sees(camera_b, middle))
      return {.box = std::nullopt, .refusal = Refusal::kUnseen};
  }
  return {.box = box, .refusal = Refusal::kNone};
}

bool look_from_afar(const std::vector<Vector3d>& points, const Vector3d& origin) {
  for (size_t i = 0; i < points.size(); ++i) {
    for (size_t j = i + 1; j < points.size(); ++j) {
      const Vector3d a = points[i] - origin, b = points[j] - origin;
      if (a.norm() > 0 && b.norm() > 0 && (a.normalized() - b.normalized()).norm() > 1) return true;
    }
  }
  return false;
}

}  // namespace covary::fit
