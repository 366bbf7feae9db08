#include "covary/splat/scene/camera.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <Eigen/LU>

#include "covary/core/base/error.h"

namespace covary::scene {
namespace {

using Eigen::Vector2d;
using Eigen::Vector3d;

struct Model {
  const char* name;
  LensModel model;
  size_t params;
};
constexpr Model kModels[] = {
    {"SIMPLE_PINHOLE", LensModel::kSimplePinhole, 3},
    {"PINHOLE", LensModel::kPinhole, 4},
    {"SIMPLE_RADIAL", LensModel::kSimpleRadial, 4},
    {"RADIAL", LensModel::kRadial, 5},
    {"OPENCV", LensModel::kOpenCV, 8},
    {"OPENCV_FISHEYE", LensModel::kOpenCVFisheye, 8},
    {"FULL_OPENCV", LensModel::kFullOpenCV, 12},
    {"BROWN", LensModel::kBrown, 10},
};

bool one_focal(LensModel m) {
  return m == LensModel::kSimplePinhole || m == LensModel::kSimpleRadial || m == LensModel::kRadial;
}

struct Intrinsics {
  double fx, fy, cx, cy;
  const double* k;  // distortion coefficients
};

Intrinsics intrinsics(const Lens& lens) {
  const double* p = lens.params.data();
  if (one_focal(lens.model)) return {p[0], p[0], p[1], p[2], p + 3};
  return {p[0], p[1], p[2], p[3], p + 4};
}

// The ideal point moved along its ray by `radial`, and by the tangential terms.
Vector2d bend_brown(const Vector2d& p, double radial, double p1, double p2) {
  const double x = p.x(), y = p.y(), r2 = p.squaredNorm();
  return {x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x),
          y * radial + 2 * p2 * x * y + p1 * (r2 + 2 * y * y)};
}

// Normalised ideal to normalised distorted.
Vector2d bend(LensModel model, const double* k, const Vector2d& p) {
  const double r2 = p.squaredNorm();
  switch (model) {
    case LensModel::kSimplePinhole:
    case LensModel::kPinhole:
      return p;
    case LensModel::kSimpleRadial:
      return p * (1 + k[0] * r2);
    case LensModel::kRadial:
      return p * (1 + r2 * (k[0] + k[1] * r2));
    case LensModel::kOpenCV:
      return bend_brown(p, 1 + r2 * (k[0] + k[1] * r2), k[2], k[3]);
    case LensModel::kFullOpenCV:
      return bend_brown(
          p,
          (1 + r2 * (k[0] + r2 * (k[1] + r2 * k[4]))) / (1 + r2 * (k[5] + r2 * (k[6] + r2 * k[7]))),
          k[2], k[3]);
    case LensModel::kBrown:
      return bend_brown(p, 1 + r2 * (k[0] + r2 * (k[1] + r2 * (k[2] + r2 * k[3]))), k[4], k[5]);
    case LensModel::kOpenCVFisheye: {
      const double r = std::sqrt(r2);
      if (r < 1e-12) return p;
      const double t = std::atan(r), t2 = t * t;
      return p * (t * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3])))) / r);
    }
  }
  return p;
}

Vector2d straighten(LensModel model, const double* k, const Vector2d& q) {
  if (model == LensModel::kOpenCVFisheye) {
    // The angle is found first: its tangent grows without bound towards 90 degrees, where Newton on
    // the plane fails.
    const double r = q.norm();
    if (r < 1e-12) return q;
    const double most = 89 * M_PI / 180;
    double t = std::min(r, most);
    for (int i = 0; i < 50; ++i) {
      const double t2 = t * t;
      const double f = t * (1 + t2 * (k[0] + t2 * (k[1] + t2 * (k[2] + t2 * k[3])))) - r;
      const double d = 1 + t2 * (3 * k[0] + t2 * (5 * k[1] + t2 * (7 * k[2] + t2 * 9 * k[3])));
      if (!(std::abs(d) > 1e-9)) break;
      const double step = f / d;
      t = std::clamp(t - step, 0.0, most);
      if (std::abs(step) < 1e-13) break;
    }
    return q * (std::tan(t) / r);
  }
  // Newton with a halved step where the full one leads away.
  Vector2d p = q;
  Vector2d fault = bend(model, k, p) - q;
  for (int i = 0; i < 50 && fault.norm() > 1e-14; ++i) {
    const double h = 1e-6 * (1 + p.norm());
    Eigen::Matrix2d j;
    j.col(0) = (bend(model, k, p + Vector2d(h, 0)) - bend(model, k, p - Vector2d(h, 0))) / (2 * h);
    j.col(1) = (bend(model, k, p + Vector2d(0, h)) - bend(model, k, p - Vector2d(0, h))) / (2 * h);
    const double det = j.determinant();
    if (!(std::abs(det) > 1e-12)) break;
    const Vector2d step = j.inverse() * fault;
    double share = 1;
    Vector2d next = p - step, next_fault = bend(model, k, next) - q;
    while (share > 1e-4 && !(next_fault.norm() < fault.norm())) {
      share /= 2;
      next = p - share * step;
      next_fault = bend(model, k, next) - q;
    }
    if (!(next_fault.norm() < fault.norm())) break;
    p = next;
    fault = next_fault;
  }
  return p;
}

}  // namespace

Vector3d Camera::centre() const {
  return -cam_from_world.topLeftCorner<3, 3>().transpose() * cam_from_world.topRightCorner<3, 1>();
}

Vector3d Camera::forward() const {
  return cam_from_world.block<1, 3>(2, 0).transpose().normalized();
}

Vector2d Camera::project(const Vector3d& world_point) const {
  const Vector3d p =
      cam_from_world.topLeftCorner<3, 3>() * world_point + cam_from_world.topRightCorner<3, 1>();
  Vector2d n = p.head<2>();
  if (projection == Projection::kPinhole) n /= p.z();
  if (projection == Projection::kFisheye) {
    const double r = n.norm();
    n *= r > 1e-12 ? std::atan2(r, p.z()) / r : 1 / p.z();
  }
  return {fx * n.x() + cx, fy * n.y() + cy};
}

Vector3d Camera::ray(double x, double y) const {
  Vector3d d((x - cx) / fx, (y - cy) / fy, 1);
  if (projection == Projection::kOrthographic) d.head<2>().setZero();
  if (projection == Projection::kFisheye) {
    const double t = d.head<2>().norm();
    if (t > 1e-12) d = Vector3d(d.x() * std::sin(t) / t, d.y() * std::sin(t) / t, std::cos(t));
  }
  return (cam_from_world.topLeftCorner<3, 3>().transpose() * d).normalized();
}

Camera Camera::scaled(int new_width, int new_height) const {
  Camera c = *this;
  const double sx = static_cast<double>(new_width) / width,
               sy = static_cast<double>(new_height) / height;
  c.width = new_width;
  c.height = new_height;
  c.fx *= sx;
  c.cx *= sx;
  c.fy *= sy;
  c.cy *= sy;
  return c;
}

void Lens::check(const std::string& where) const {
  for (const Model& m : kModels)
    if (m.model == model && m.params != params.size())
      throw Error(ExitCode::kData,
                  std::string(m.name) + " takes " + std::to_string(m.params) + " parameters, got " +
                      std::to_string(params.size()),
                  where);
  if (width < 1 || height < 1 || width > (1 << 16) || height > (1 << 16))
    throw Error(ExitCode::kData,
                "the camera's size is " + std::to_string(width) + " x " + std::to_string(height),
                where, "sizes of 1 to 65536 px are read");
  for (const double p : params)
    if (!std::isfinite(p))
      throw Error(ExitCode::kData, "a parameter of the camera is not finite", where);
  const Intrinsics i = intrinsics(*this);
  if (!(i.fx > 0 && i.fy > 0))
    throw Error(ExitCode::kData, "the focal length is not positive", where);
}

bool Lens::distorted() const {
  if (model == LensModel::kOpenCVFisheye) return true;
  const size_t first = one_focal(model) ? 3 : 4;
  for (size_t i = first; i < params.size(); ++i)
    if (params[i] != 0) return true;
  return false;
}

Vector2d Lens::distort(const Vector2d& ideal) const {
  const Intrinsics i = intrinsics(*this);
  const Vector2d d = bend(model, i.k, ideal);
  return {i.fx * d.x() + i.cx, i.fy * d.y() + i.cy};
}

Vector2d Lens::undistort(const Vector2d& px) const {
  const Intrinsics i = intrinsics(*this);
  return straighten(model, i.k, {(px.x() - i.cx) / i.fx, (px.y() - i.cy) / i.fy});
}

Lens Lens::scaled(int new_width, int new_height) const {
  Lens out = *this;
  const double sx = static_cast<double>(new_width) / width,
               sy = static_cast<double>(new_height) / height;
  out.width = new_width;
  out.height = new_height;
  if (one_focal(model)) {
    // One focal length cannot hold two ratios: the mean, which differs from each by less than the
    // aspects do.
    out.params[0] *= (sx + sy) / 2;
    out.params[1] *= sx;
    out.params[2] *= sy;
  } else {
    out.params[0] *= sx;
    out.params[1] *= sy;
    out.params[2] *= sx;
    out.params[3] *= sy;
  }
  return out;
}

Camera Lens::optimal_pinhole() const {
  const Intrinsics in = intrinsics(*this);
  Camera c;
  c.width = width;
  c.height = height;
  c.fx = in.fx;
  c.fy = in.fy;
  c.cx = in.cx;
  c.cy = in.cy;
  if (!distorted()) return c;
  // The largest upright rectangle of ideal coordinates between the images of the four edges. Pixel
  // centres stand at +0.5, and a bilinear sample is whole up to half a pixel from the border.
  const double right_px = width - 0.5, bottom_px = height - 0.5;
  double left = -std::numeric_limits<double>::infinity(), right = -left, top = left, bottom = right;
  constexpr int kProbes = 256;
  for (int i = 0; i <= kProbes; ++i) {
    const double x = 0.5 + (right_px - 0.5) * i / kProbes,
                 y = 0.5 + (bottom_px - 0.5) * i / kProbes;
    left = std::max(left, undistort({0.5, y}).x());
    right = std::min(right, undistort({right_px, y}).x());
    top = std::max(top, undistort({x, 0.5}).y());
    bottom = std::min(bottom, undistort({x, bottom_px}).y());
  }
  // A fisheye of 180 degrees would ask for an endless plane: at most twice the view of a pinhole
  // with the same focal length.
  left = std::max(left, -2 * in.cx / in.fx);
  top = std::max(top, -2 * in.cy / in.fy);
  right = std::min(right, 2 * (width - in.cx) / in.fx);
  bottom = std::min(bottom, 2 * (height - in.cy) / in.fy);
  // Where edges curve both ways the rectangle's own border can still leave the photo: shrink until
  // it does not.
  const auto inside = [&] {
    for (int i = 0; i <= kProbes; ++i) {
      const double x = left + (right - left) * i / kProbes, y = top + (bottom - top) * i / kProbes;
      for (const Vector2d& p :
           {Vector2d(left, y), Vector2d(right, y), Vector2d(x, top), Vector2d(x, bottom)}) {
        const Vector2d q = distort(p);
        if (!(q.x() > 0.49 && q.y() > 0.49 && q.x() < width - 0.49 && q.y() < height - 0.49))
          return false;
      }
    }
    return true;
  };
  for (int tries = 0; !inside(); ++tries) {
    if (tries == 200 || !(left < right && top < bottom))
      throw Error(ExitCode::kData,
                  "the lens distortion folds the picture over: no valid part is left", "distortion",
                  "check the distortion coefficients");
    const double mx = (left + right) / 2, my = (top + bottom) / 2;
    left = mx + (left - mx) * 0.99;
    right = mx + (right - mx) * 0.99;
    top = my + (top - my) * 0.99;
    bottom = my + (bottom - my) * 0.99;
  }
  c.fx = width > 1 ? (width - 1) / (right - left) : in.fx;
  c.fy = height > 1 ? (height - 1) / (bottom - top) : in.fy;
  c.cx = 0.5 - left * c.fx;
  c.cy = 0.5 - top * c.fy;
  return c;
}

LensModel lens_model(const std::string& colmap_name) {
  std::string names;
  for (const Model& m : kModels) {
    if (colmap_name == m.name) return m.model;
    names += std::string(names.empty() ? "" : ", ") + m.name;
  }
  throw Error(ExitCode::kData, "the camera model '" + colmap_name + "' is not read", "model",
              "undistort the photos first, or use one of " + names);
}

std::string lens_model_name(LensModel model) {
  for (const Model& m : kModels)
    if (m.model == model) return m.name;
  return "";
}

size_t lens_param_count(LensModel model) {
  for (const Model& m : kModels)
    if (m.model == model) return m.params;
  return 0;
}

}  // namespace covary::scene
