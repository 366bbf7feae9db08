#include "covary/splat/scene/camera_path.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numbers>
#include <utility>

#include "covary/core/base/error.h"

namespace covary::scene {
namespace {

using Eigen::Matrix3d;
using Eigen::Quaterniond;
using Eigen::Vector3d;

constexpr size_t kMaxKnots = 24;

Vector3d centre_of(const Camera& c) {
  return -c.cam_from_world.topLeftCorner<3, 3>().transpose() *
         c.cam_from_world.topRightCorner<3, 1>();
}

Quaterniond rotation_of(const Camera& c) {  // world_from_cam
  return Quaterniond(Matrix3d(c.cam_from_world.topLeftCorner<3, 3>().transpose())).normalized();
}

Camera placed(const Camera& like, const Vector3d& centre, const Quaterniond& world_from_cam) {
  Camera c = like;
  const Matrix3d r = world_from_cam.conjugate().toRotationMatrix();
  c.cam_from_world.setIdentity();
  c.cam_from_world.topLeftCorner<3, 3>() = r;
  c.cam_from_world.topRightCorner<3, 1>() = -r * centre;
  return c;
}

double length_of(const std::vector<Vector3d>& points, const std::vector<size_t>& order) {
  double sum = 0;
  for (size_t i = 1; i < order.size(); ++i) sum += (points[order[i]] - points[order[i - 1]]).norm();
  return sum;
}

// A short open way through all points: nearest neighbour, then 2-opt.
std::vector<size_t> short_way(const std::vector<Vector3d>& points) {
  const size_t n = points.size();
  std::vector<size_t> order = {0};
  std::vector<bool> used(n);
  used[0] = true;
  while (order.size() < n) {
    size_t best = n;
    for (size_t j = 0; j < n; ++j)
      if (!used[j] && (best == n || (points[j] - points[order.back()]).squaredNorm() <
                                        (points[best] - points[order.back()]).squaredNorm()))
        best = j;
    used[best] = true;
    order.push_back(best);
  }
  const auto gap = [&](size_t i, size_t j) { return (points[order[i]] - points[order[j]]).norm(); };
  bool better = true;
  for (int sweep = 0; better && sweep < 50; ++sweep) {
    better = false;
    for (size_t i = 0; i + 1 < n; ++i)
      for (size_t j = i + 1; j < n; ++j) {  // turn round i+1 .. j
        const double now = gap(i, i + 1) + (j + 1 < n ? gap(j, j + 1) : 0);
        const double turned = gap(i, j) + (j + 1 < n ? gap(i + 1, j + 1) : 0);
        if (turned < now - 1e-12) {
          std::reverse(order.begin() + static_cast<std::ptrdiff_t>(i) + 1,
                       order.begin() + static_cast<std::ptrdiff_t>(j) + 1);
          better = true;
        }
      }
  }
  return order;
}

Vector3d catmull_rom(const Vector3d& a, const Vector3d& b, const Vector3d& c, const Vector3d& d,
                     double t) {
  return 0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t * t +
                (3 * b - a - 3 * c + d) * t * t * t);
}

}  // namespace

Camera looking_at(const Camera& like, const Vector3d& position, const Vector3d& target,
                  const Vector3d& up) {
  Vector3d z = target - position;
  z = z.norm() > 0 ? z.normalized() : Vector3d(0, 0, 1);
  Vector3d x = z.cross(up);  // right = forward x up
  if (x.norm() < 1e-9) x = z.unitOrthogonal();
  x.normalize();
  Matrix3d r;  // columns: right, down, forward in world coordinates
  r << x, z.cross(x), z;
  return placed(like, position, Quaterniond(r));
}

Camera camera_of_ball(const Vector3d& centre, double radius, const Vector3d& up, int width,
                      int height) {
  Camera c;
  c.width = width;
  c.height = height;
  c.fx = c.fy = 0.5 * std::min(width, height) / std::tan(std::numbers::pi / 6);
  c.cx = 0.5 * width;
  c.cy = 0.5 * height;
  const Vector3d side = up.unitOrthogonal();
  const double distance = radius > 0 ? 2.2 * radius : 1;
  return looking_at(c, centre + distance * (0.87 * side + 0.5 * up).normalized(), centre, up);
}

CameraPath::CameraPath(std::vector<Camera> cameras) : cameras_(std::move(cameras)) {
  if (cameras_.empty())
    throw Error(ExitCode::kData, "there are no cameras to make a path of", "cameras",
                "name a capture or a cameras.json that holds some");
  mean_.setZero();
  Vector3d up = Vector3d::Zero(), forward = Vector3d::Zero(), b = Vector3d::Zero();
  Matrix3d a = Matrix3d::Zero();
  for (const Camera& c : cameras_) {
    const Matrix3d r = c.cam_from_world.topLeftCorner<3, 3>();
    const Vector3d z = r.row(2).normalized(), o = centre_of(c);
    mean_ += o / static_cast<double>(cameras_.size());
    up -= r.row(1).transpose().normalized();
    forward += z;
    const Matrix3d across = Matrix3d::Identity() - z * z.transpose();
    a += across;
    b += across * o;
  }
  up_ = up.norm() > 1e-6 ? up.normalized() : Vector3d(0, 0, 1);
  forward = forward.norm() > 1e-6 ? forward.normalized()
                                  : Vector3d(cameras_[0].cam_from_world.row(2).head<3>());
  const Eigen::SelfAdjointEigenSolver<Matrix3d> eigen(a);
  const bool parallel = eigen.eigenvalues()[0] < 1e-3 * static_cast<double>(cameras_.size());
  double spread = 0;
  for (const Camera& c : cameras_) spread = std::max(spread, (centre_of(c) - mean_).norm());
  focus_ = parallel ? Vector3d(mean_ + forward * std::max(3 * spread, 1.0))
                    : Vector3d(a.ldlt().solve(b));
  if (!focus_.allFinite()) focus_ = mean_ + forward;
}

std::vector<Camera> CameraPath::spline(int64_t frames) const {
  std::vector<Vector3d> points;
  for (const Camera& c : cameras_) points.push_back(centre_of(c));
  std::vector<size_t> order(cameras_.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  if (order.size() > 2) {
    const std::vector<size_t> tour = short_way(points);
    if (length_of(points, order) > 2 * length_of(points, tour)) order = tour;
  }
  std::vector<size_t> knots;
  const size_t count = std::min(order.size(), kMaxKnots);
  for (size_t i = 0; i < count; ++i)
    knots.push_back(
        order[count == 1 ? 0 : (i * (order.size() - 1) + (count - 1) / 2) / (count - 1)]);
  if (count == 1) return std::vector<Camera>(static_cast<size_t>(frames), cameras_[0]);

  std::vector<Quaterniond> turns;
  for (const size_t k : knots) {
    Quaterniond q = rotation_of(cameras_[k]);
    if (!turns.empty() && q.dot(turns.back()) < 0) q.coeffs() = -q.coeffs();
    turns.push_back(q);
  }
  // One neighbour's share on each side takes the kinks out of the rotation.
  std::vector<Quaterniond> smooth = turns;
  for (size_t i = 1; i + 1 < turns.size(); ++i)
    smooth[i].coeffs() =
        (0.5 * turns[i].coeffs() + 0.25 * turns[i - 1].coeffs() + 0.25 * turns[i + 1].coeffs())
            .normalized();

  const auto at = [&](double u) {  // u in [0, count - 1]
    const size_t i = std::min(static_cast<size_t>(std::max(u, 0.0)), count - 2);
    const double t = u - static_cast<double>(i);
    const auto p = [&](std::ptrdiff_t k) {
      return points[knots[static_cast<size_t>(
          std::clamp<std::ptrdiff_t>(k, 0, static_cast<std::ptrdiff_t>(count) - 1))]];
    };
    const auto k = static_cast<std::ptrdiff_t>(i);
    const double ease = t * t * (3 - 2 * t);
    return std::pair(catmull_rom(p(k - 1), p(k), p(k + 1), p(k + 2), t),
                     smooth[i].slerp(ease, smooth[i + 1]));
  };

  // Even speed: the way's length at fine steps, inverted. Turning counts as well, so that a turn on the spot takes time.
  constexpr int kFine = 64;
  std::vector<double> length = {0};
  auto last = at(0);
  const double scale = std::max((mean_ - focus_).norm(), 1e-9);
  for (size_t s = 1; s <= (count - 1) * kFine; ++s) {
    const auto here = at(static_cast<double>(s) / kFine);
    length.push_back(length.back() + (here.first - last.first).norm() / scale +
                     0.5 * here.second.angularDistance(last.second));
    last = here;
  }
  std::vector<Camera> out;
  for (int64_t f = 0; f < frames; ++f) {
    const double want =
        frames == 1 ? 0 : length.back() * static_cast<double>(f) / static_cast<double>(frames - 1);
    const size_t s = std::min<size_t>(
        static_cast<size_t>(std::upper_bound(length.begin(), length.end(), want) - length.begin()),
        length.size() - 1);
    const double before = length[s - 1], gap = length[s] - before;
    const double u =
        (static_cast<double>(s - 1) + (gap > 0 ? std::min((want - before) / gap, 1.0) : 0)) / kFine;
    const auto here = at(u);
    out.push_back(placed(cameras_[knots[0]], here.first, here.second));
  }
  return out;
}

std::vector<Camera> CameraPath::orbit(int64_t frames) const {
  double height = 0, radius = 0;
  for (const Camera& c : cameras_) {
    const Vector3d d = centre_of(c) - focus_;
    height += d.dot(up_) / static_cast<double>(cameras_.size());
    radius += (d - d.dot(up_) * up_).norm() / static_cast<double>(cameras_.size());
  }
  Vector3d x = centre_of(cameras_[0]) - focus_;
  x -= x.dot(up_) * up_;
  x = x.norm() > 1e-9 ? x.normalized() : up_.unitOrthogonal();
  const Vector3d y = up_.cross(x);
  std::vector<Camera> out;
  for (int64_t f = 0; f < frames; ++f) {
    const double angle =
        2 * std::numbers::pi * static_cast<double>(f) / static_cast<double>(frames);
    const Vector3d position =
        focus_ + height * up_ + radius * (std::cos(angle) * x + std::sin(angle) * y);
    out.push_back(looking_at(cameras_[0], position, focus_, up_));
  }
  return out;
}

std::vector<Camera> CameraPath::spiral(int64_t frames) const {
  const Camera base = looking_at(cameras_[0], mean_, focus_, up_);
  const Matrix3d r = base.cam_from_world.topLeftCorner<3, 3>();
  Vector3d radii = Vector3d::Zero();
  std::vector<double> along[3];
  for (const Camera& c : cameras_) {
    const Vector3d d = r * (centre_of(c) - mean_);
    for (int k = 0; k < 3; ++k) along[k].push_back(std::abs(d[k]));
  }
  for (int k = 0; k < 3; ++k) {
    std::sort(along[k].begin(), along[k].end());
    radii[k] = 0.6 * along[k][along[k].size() * 4 / 5];
  }
  if (radii.norm() == 0) radii.setConstant(0.05 * (focus_ - mean_).norm());
  std::vector<Camera> out;
  for (int64_t f = 0; f < frames; ++f) {
    const double angle =
        4 * std::numbers::pi * static_cast<double>(f) / static_cast<double>(frames);
    const Vector3d offset(radii[0] * std::cos(angle), radii[1] * std::sin(angle),
                          0.5 * radii[2] * std::sin(0.5 * angle));
    out.push_back(looking_at(cameras_[0], mean_ + r.transpose() * offset, focus_, up_));
  }
  return out;
}

std::vector<Camera> CameraPath::by_name(const std::string& name, int64_t frames) const {
  if (name == "spline") return spline(frames);
  if (name == "orbit") return orbit(frames);
  if (name == "spiral") return spiral(frames);
  throw Error(ExitCode::kUsage, "'" + name + "' is no path", "--path",
              "write spline, spiral or orbit");
}

}  // namespace covary::scene
