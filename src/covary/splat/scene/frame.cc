// The common frame of scenes: normalising_similarity and transformed of capture.h.
#include <algorithm>
#include <cmath>

#include <Eigen/Dense>

#include "covary/core/numeric/median.h"
#include "covary/splat/scene/capture.h"

namespace covary::scene {
namespace {

using Eigen::Matrix3d;
using Eigen::Matrix4d;
using Eigen::Vector3d;

double median(std::vector<double> v) { return v.empty() ? 0 : numeric::upper_median(std::move(v)); }

Vector3d median(const std::vector<Vector3d>& points) {
  Vector3d m;
  for (int c = 0; c < 3; ++c) {
    std::vector<double> v;
    for (const Vector3d& p : points) v.push_back(p[c]);
    m[c] = median(std::move(v));
  }
  return m;
}

// The rotation that takes the unit vector a to +z by the shortest way.
Matrix3d up_rotation(const Vector3d& a) {
  return Eigen::Quaterniond::FromTwoVectors(a, Vector3d::UnitZ()).toRotationMatrix();
}

}  // namespace

Matrix4d normalising_similarity(const std::vector<Camera>& cameras, const Points& points) {
  if (cameras.empty()) return Matrix4d::Identity();
  // Up is against the cameras' y. Cameras that roll all ways have no common up: then the frame is
  // not turned.
  Vector3d up = Vector3d::Zero();
  std::vector<Vector3d> centres, forwards;
  for (const Camera& c : cameras) {
    up -= c.cam_from_world.block<1, 3>(1, 0).transpose();
    centres.push_back(c.centre());
    forwards.push_back(c.forward());
  }
  up /= static_cast<double>(cameras.size());
  Matrix3d turn = Matrix3d::Identity();
  if (up.norm() > 0.1) {
    turn = up_rotation(up.normalized());
    // About the vertical, the points' widest direction becomes x.
    Eigen::Vector2d mean = Eigen::Vector2d::Zero();
    Eigen::Matrix2d spread = Eigen::Matrix2d::Zero();
    for (const auto& p : points.positions) mean += (turn * p.cast<double>()).head<2>();
    if (points.positions.size() > 2) {
      mean /= static_cast<double>(points.positions.size());
      for (const auto& p : points.positions) {
        const Eigen::Vector2d d = (turn * p.cast<double>()).head<2>() - mean;
        spread += d * d.transpose();
      }
      Eigen::Vector2d wide =
          Eigen::SelfAdjointEigenSolver<Eigen::Matrix2d>(spread).eigenvectors().col(1);
      if (!wide.allFinite()) wide = Eigen::Vector2d::UnitX();
      if (wide.x() < 0 || (wide.x() == 0 && wide.y() < 0)) wide = -wide;
      turn =
          Eigen::AngleAxisd(-std::atan2(wide.y(), wide.x()), Vector3d::UnitZ()).toRotationMatrix() *
          turn;
    }
  }
  // The point nearest to all optical axes, in the least-squares sense; a weak pull to the middle of
  // the cameras decides where the axes are parallel. Then the median of the axes' own nearest
  // points, which outliers move less.
  const Vector3d middle = median(centres);
  Matrix3d a = 1e-6 * static_cast<double>(cameras.size()) * Matrix3d::Identity();
  Vector3d b = a * middle;
  for (size_t i = 0; i < centres.size(); ++i) {
    const Matrix3d across = Matrix3d::Identity() - forwards[i] * forwards[i].transpose();
    a += across;
    b += across * centres[i];
  }
  const Vector3d focus = a.ldlt().solve(b);
  std::vector<Vector3d> nearest;
  for (size_t i = 0; i < centres.size(); ++i)
    nearest.push_back(centres[i] +
                      forwards[i] * std::max(0.0, forwards[i].dot(focus - centres[i])));
  Vector3d origin = median(nearest);
  if (!origin.allFinite()) origin = middle;
  std::vector<double> distances;
  for (const Vector3d& c : centres) distances.push_back((c - origin).norm());
  double size = median(distances);
  if (!(size > 1e-9)) {
    // Cameras at their own focus: the points give the size.
    distances.clear();
    for (const auto& p : points.positions) distances.push_back((p.cast<double>() - origin).norm());
    size = median(distances);
  }
  const double scale = size > 1e-9 && size < 1e9 ? 1 / size : 1;
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = scale * turn;
  m.topRightCorner<3, 1>() = -scale * (turn * origin);
  return m;
}

Camera transformed(const Camera& camera, const Matrix4d& new_from_old) {
  const Matrix3d sr = new_from_old.topLeftCorner<3, 3>();
  const double scale = std::cbrt(sr.determinant());
  const Matrix3d r = camera.cam_from_world.topLeftCorner<3, 3>() * (sr / scale).transpose();
  Camera c = camera;
  c.cam_from_world.topLeftCorner<3, 3>() = r;
  c.cam_from_world.topRightCorner<3, 1>() = scale * camera.cam_from_world.topRightCorner<3, 1>() -
                                            r * new_from_old.topRightCorner<3, 1>();
  if (camera.projection == Projection::kOrthographic) {
    c.fx /= scale;
    c.fy /= scale;
  }
  return c;
}

}  // namespace covary::scene
