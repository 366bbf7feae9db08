#include "covary/splat/scene/pose_check.h"

#include <algorithm>
#include <cmath>

#include <Eigen/Geometry>
#include <Eigen/LU>

#include "covary/core/geometry/rigid.h"

namespace covary::scene {
namespace {

using Eigen::Matrix3d;
using Eigen::Matrix4d;
using Eigen::Vector3d;

constexpr int kLongSide = 320, kPatch = 11, kMargin = 8;
constexpr size_t kMostCorners = 300, kMostPairs = 8;
constexpr double kNear = 1.5;  // px

// A small grey picture with the camera that took it.
struct Small {
  int width = 0, height = 0;
  std::vector<float> grey;
  Camera camera;
  float at(int x, int y) const { return grey[static_cast<size_t>(y) * width + x]; }
};

struct Corner {
  int x = 0, y = 0;
  float strength = 0;
  std::array<float, kPatch * kPatch> patch{};  // mean 0, norm 1
};

Small shrunk(const data::Image8& photo, const Camera& camera) {
  const double factor =
      std::min(1.0, static_cast<double>(kLongSide) / std::max(photo.width, photo.height));
  Small out;
  out.width = std::max(1, static_cast<int>(std::lround(photo.width * factor)));
  out.height = std::max(1, static_cast<int>(std::lround(photo.height * factor)));
  out.camera = camera.scaled(out.width, out.height);
  const data::Image8 small = factor < 1 ? data::resize_area(photo, out.width, out.height) : photo;
  out.grey.resize(static_cast<size_t>(out.width) * out.height);
  for (size_t i = 0; i < out.grey.size(); ++i) {
    const uint8_t* p = small.pixels.data() + i * static_cast<size_t>(small.channels);
    out.grey[i] = small.channels >= 3 ? 0.3f * p[0] + 0.6f * p[1] + 0.1f * p[2] : p[0];
  }
  return out;
}

// Smaller eigenvalue of the sums of products of gradients over 5 x 5 pixels.
std::vector<float> corner_strengths(const Small& s) {
  std::vector<float> out(s.grey.size(), 0.0f);
  for (int y = kMargin; y < s.height - kMargin; ++y)
    for (int x = kMargin; x < s.width - kMargin; ++x) {
      float xx = 0, xy = 0, yy = 0;
      for (int v = y - 2; v <= y + 2; ++v)
        for (int u = x - 2; u <= x + 2; ++u) {
          const float gx = s.at(u + 1, v) - s.at(u - 1, v), gy = s.at(u, v + 1) - s.at(u, v - 1);
          xx += gx * gx;
          xy += gx * gy;
          yy += gy * gy;
        }
      const float half = (xx - yy) / 2;
      out[static_cast<size_t>(y) * s.width + x] = (xx + yy) / 2 - std::sqrt(half * half + xy * xy);
    }
  return out;
}

std::vector<Corner> corners_of(const Small& s) {
  const std::vector<float> strengths = corner_strengths(s);
  const auto at = [&](int x, int y) { return strengths[static_cast<size_t>(y) * s.width + x]; };
  std::vector<Corner> corners;
  for (int y = kMargin; y < s.height - kMargin; ++y)
    for (int x = kMargin; x < s.width - kMargin; ++x) {
      const float here = at(x, y);
      bool largest = here > 100;  // flat ground has none
      for (int v = y - 3; v <= y + 3 && largest; ++v)
        for (int u = x - 3; u <= x + 3; ++u)
          largest = largest && (at(u, v) < here || (u == x && v == y) ||
                                (at(u, v) == here && (v > y || (v == y && u > x))));
      if (largest) corners.push_back({x, y, here, {}});
    }
  std::stable_sort(corners.begin(), corners.end(),
                   [](const Corner& a, const Corner& b) { return a.strength > b.strength; });
  if (corners.size() > kMostCorners) corners.resize(kMostCorners);
  for (Corner& c : corners) {
    float mean = 0, norm = 0;
    for (size_t i = 0; i < c.patch.size(); ++i) {
      const int n = static_cast<int>(i);
      c.patch[i] = s.at(c.x + n % kPatch - kPatch / 2, c.y + n / kPatch - kPatch / 2);
      mean += c.patch[i] / static_cast<float>(c.patch.size());
    }
    for (float& v : c.patch) {
      v -= mean;
      norm += v * v;
    }
    for (float& v : c.patch) v /= std::sqrt(norm) + 1e-6f;
  }
  return corners;
}

// For each corner of a its best partner in b, -1 where it has none or two that are alike.
std::vector<int> best_partners(const std::vector<Corner>& a, const std::vector<Corner>& b) {
  constexpr float kLeast = 0.75f, kClearly = 0.8f;
  std::vector<int> out(a.size(), -1);
  for (size_t i = 0; i < a.size(); ++i) {
    float best = -1, second = -1;
    for (size_t j = 0; j < b.size(); ++j) {
      float likeness = 0;
      for (size_t k = 0; k < a[i].patch.size(); ++k) likeness += a[i].patch[k] * b[j].patch[k];
      if (likeness > best) {
        second = best;
        best = likeness;
        out[i] = static_cast<int>(j);
      } else {
        second = std::max(second, likeness);
      }
    }
    if (best < kLeast || 1 - best > kClearly * (1 - second)) out[i] = -1;
  }
  return out;
}

// The pose had its file been read otherwise.
Matrix4d as_other(const Matrix4d& read, PoseReading as_read, size_t other) {
  const Eigen::DiagonalMatrix<double, 4> turn(1, -1, -1, 1);
  Matrix4d file = as_read.axes == CameraAxes::kOpenGL ? Matrix4d(turn * read) : read;
  if (as_read.direction == PoseDirection::kWorldFromCam) file = file.inverse().eval();
  if (other >= 2) file = file.inverse().eval();
  return other % 2 == 1 ? Matrix4d(turn * file) : file;
}

Matrix3d intrinsics_inverse(const Camera& c) {
  Matrix3d k;
  k << c.fx, 0, c.cx, 0, c.fy, c.cy, 0, 0, 1;
  return k.inverse();
}

}  // namespace

PoseCheck check_poses(const PhotoOf& photo, const std::vector<Camera>& cameras,
                      PoseReading as_read) {
  PoseCheck out;
  out.as_read = as_read;
  if (cameras.size() < 2) return out;
  const size_t pairs = std::min(kMostPairs, cameras.size() - 1);
  for (size_t pair = 0; pair < pairs; ++pair) {
    const size_t first = pair * (cameras.size() - 1) / pairs;
    const Small a = shrunk(*photo(first), cameras[first]),
                b = shrunk(*photo(first + 1), cameras[first + 1]);
    const std::vector<Corner> ca = corners_of(a), cb = corners_of(b);
    const std::vector<int> forth = best_partners(ca, cb), back = best_partners(cb, ca);
    Matrix3d lines[4];
    bool apart = true;
    for (size_t r = 0; r < 4; ++r) {
      const Matrix4d b_from_a = as_other(b.camera.cam_from_world, as_read, r) *
                                as_other(a.camera.cam_from_world, as_read, r).inverse();
      const Vector3d t = b_from_a.topRightCorner<3, 1>();
      apart = apart && t.norm() > 1e-9;
      lines[r] = intrinsics_inverse(b.camera).transpose() * geometry::skew(t.normalized()) *
                 b_from_a.topLeftCorner<3, 3>() * intrinsics_inverse(a.camera);
    }
    if (!apart) continue;
    for (size_t i = 0; i < ca.size(); ++i) {
      const int j = forth[i];
      if (j < 0 || back[static_cast<size_t>(j)] != static_cast<int>(i)) continue;
      const Corner &p = ca[i], &q = cb[static_cast<size_t>(j)];
      ++out.matches;
      for (size_t r = 0; r < 4; ++r) {
        const Vector3d line = lines[r] * Vector3d(p.x + 0.5, p.y + 0.5, 1);
        const double off =
            std::abs(line.dot(Vector3d(q.x + 0.5, q.y + 0.5, 1))) / line.head<2>().norm();
        out.agree[r] += off < kNear;
      }
    }
  }
  return out;
}

size_t PoseCheck::agree_as_read() const {
  const size_t inverted = as_read.direction == PoseDirection::kWorldFromCam ? 2 : 0;
  return agree[inverted + (as_read.axes == CameraAxes::kOpenGL ? 1 : 0)];
}

std::string PoseCheck::doubt() const {
  constexpr size_t kFewest = 40;
  constexpr const char* kNames[] = {
      "world_to_camera in opencv axes", "world_to_camera in opengl axes",
      "camera_to_world in opencv axes", "camera_to_world in opengl axes"};
  const auto best =
      static_cast<size_t>(std::max_element(agree.begin(), agree.end()) - agree.begin());
  if (matches < kFewest || agree[best] * 5 < matches * 2 || agree[best] < 2 * agree_as_read())
    return "";
  return "the photos disagree with the poses: of " + std::to_string(matches) +
         " matches between neighbours " + std::to_string(agree_as_read()) +
         " agree with them as they were read, " + std::to_string(agree[best]) + " if they are " +
         kNames[best] + " (docs/captures.md says how to tell)";
}

}  // namespace covary::scene
