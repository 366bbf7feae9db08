#include "covary/core/geometry/rigid.h"

#include <Eigen/Geometry>
#include <Eigen/SVD>
#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"

namespace covary::geometry {
namespace {

// sin(a)/a, (1 - cos a)/a^2 and (a - sin a)/a^3; series below, where the quotients would lose
// digits.
struct Sinc {
  double first, second, third;
};
Sinc sinc(double angle) {
  const double a2 = angle * angle;
  if (angle < 1e-2) {
    return {1 - a2 / 6 * (1 - a2 / 20), 0.5 - a2 / 24 * (1 - a2 / 30),
            1.0 / 6 - a2 / 120 * (1 - a2 / 42)};
  }
  const double s = std::sin(angle), half = std::sin(angle / 2);
  return {s / angle, 2 * half * half / a2, (angle - s) / (a2 * angle)};
}

}  // namespace

Eigen::Vector4d quat_normalized(const Eigen::Vector4d& q) {
  const double norm = q.stableNorm();
  if (!(norm > 0) || !std::isfinite(norm)) {
    throw Error(ExitCode::kFailed, "a quaternion of norm 0 or not finite turns nothing",
                "quaternion");
  }
  return q / norm;
}

Eigen::Vector4d quat_conjugate(const Eigen::Vector4d& q) { return {q[0], -q[1], -q[2], -q[3]}; }

Eigen::Vector4d quat_product(const Eigen::Vector4d& a, const Eigen::Vector4d& b) {
  return {a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
          a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
          a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
          a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0]};
}

Eigen::Vector3d quat_rotate(const Eigen::Vector4d& q, const Eigen::Vector3d& v) {
  const Eigen::Vector4d u = quat_normalized(q);
  const Eigen::Vector3d axis = u.tail<3>(), t = 2 * axis.cross(v);
  return v + u[0] * t + axis.cross(t);
}

Eigen::Matrix3d quat_to_matrix(const Eigen::Vector4d& q) {
  const Eigen::Vector4d u = quat_normalized(q);
  return Eigen::Quaterniond(u[0], u[1], u[2], u[3]).toRotationMatrix();
}

Eigen::Vector4d quat_from_matrix(const Eigen::Matrix3d& rotation) {
  const Eigen::Quaterniond q(rotation);
  const Eigen::Vector4d u = quat_normalized({q.w(), q.x(), q.y(), q.z()});
  return u[0] < 0 ? Eigen::Vector4d(-u) : u;
}

Eigen::Vector4d quat_slerp(const Eigen::Vector4d& a, const Eigen::Vector4d& b, double t) {
  const Eigen::Vector4d p = quat_normalized(a);
  Eigen::Vector4d q = quat_normalized(b);
  if (p.dot(q) < 0) q = -q;
  // The angle from the chord is exact for small angles, where acos of the dot product is not.
  const double angle = 2 * std::atan2((p - q).norm(), (p + q).norm());
  if (angle < 1e-9) return quat_normalized((1 - t) * p + t * q);
  return quat_normalized((std::sin((1 - t) * angle) * p + std::sin(t * angle) * q) /
                         std::sin(angle));
}

Eigen::Matrix4d look_at(const Eigen::Vector3d& eye, const Eigen::Vector3d& target,
                        const Eigen::Vector3d& up) {
  const double distance = (target - eye).norm();
  if (!(distance > 0) || !std::isfinite(distance)) {
    throw Error(ExitCode::kFailed, "a camera cannot look at its own centre", "look_at");
  }
  const Eigen::Vector3d forward = (target - eye) / distance;
  Eigen::Vector3d right = forward.cross(up);
  if (!(right.norm() > 1e-9 * up.norm())) {
    Eigen::Index smallest = 0;
    forward.cwiseAbs().minCoeff(&smallest);
    right = forward.cross(Eigen::Vector3d(Eigen::Vector3d::Unit(smallest)));
  }
  right.normalize();
  Eigen::Matrix3d rotation;
  rotation.row(0) = right;
  rotation.row(1) = forward.cross(right);
  rotation.row(2) = forward;
  return rigid(rotation, -rotation * eye);
}

Eigen::Matrix3d skew(const Eigen::Vector3d& v) {
  Eigen::Matrix3d m;
  m << 0, -v[2], v[1], v[2], 0, -v[0], -v[1], v[0], 0;
  return m;
}

Eigen::Matrix3d so3_exp(const Eigen::Vector3d& rotation_vector) {
  const Sinc c = sinc(rotation_vector.norm());
  const Eigen::Matrix3d k = skew(rotation_vector);
  return Eigen::Matrix3d::Identity() + c.first * k + c.second * k * k;
}

Eigen::Vector3d so3_log(const Eigen::Matrix3d& rotation) {
  // By the quaternion: accurate near 0 and near pi alike.
  const Eigen::Vector4d q = quat_from_matrix(rotation);
  const Eigen::Vector3d axis = q.tail<3>();
  const double sine = axis.norm();
  if (sine < 1e-12) return 2 * axis;
  return 2 * std::atan2(sine, q[0]) / sine * axis;
}

Eigen::Matrix4d se3_exp(const Vector6d& twist) {
  const Eigen::Vector3d rho = twist.head<3>(), phi = twist.tail<3>();
  const Sinc c = sinc(phi.norm());
  const Eigen::Matrix3d k = skew(phi);
  const Eigen::Matrix3d left = Eigen::Matrix3d::Identity() + c.second * k + c.third * k * k;
  return rigid(so3_exp(phi), left * rho);
}

Vector6d se3_log(const Eigen::Matrix4d& motion) {
  const Eigen::Vector3d phi = so3_log(motion.topLeftCorner<3, 3>());
  const double angle = phi.norm();
  const Eigen::Matrix3d k = skew(phi);
  // The inverse of the left Jacobian: I - K/2 + b K^2.
  const double b = angle < 1e-2 ? 1.0 / 12 + angle * angle / 720
                                : (1 - angle / 2 / std::tan(angle / 2)) / (angle * angle);
  Vector6d twist;
  twist.head<3>() =
      (Eigen::Matrix3d::Identity() - 0.5 * k + b * k * k) * motion.topRightCorner<3, 1>();
  twist.tail<3>() = phi;
  return twist;
}

Eigen::Matrix4d rigid(const Eigen::Matrix3d& rotation, const Eigen::Vector3d& translation) {
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = rotation;
  m.topRightCorner<3, 1>() = translation;
  return m;
}

Eigen::Matrix4d rigid_inverse(const Eigen::Matrix4d& motion) {
  const Eigen::Matrix3d back = motion.topLeftCorner<3, 3>().transpose();
  return rigid(back, -back * motion.topRightCorner<3, 1>());
}

Eigen::Matrix4d fit_similarity(const std::vector<Eigen::Vector3d>& from,
                               const std::vector<Eigen::Vector3d>& to, bool with_scale) {
  if (from.size() != to.size() || from.size() < 3) {
    throw Error(ExitCode::kFailed,
                "a similarity needs three or more pairs of points, not " +
                    std::to_string(from.size()) + " and " + std::to_string(to.size()),
                "fit_similarity");
  }
  const double n = static_cast<double>(from.size());
  Eigen::Vector3d mean_from = Eigen::Vector3d::Zero(), mean_to = Eigen::Vector3d::Zero();
  for (size_t i = 0; i < from.size(); ++i) {
    mean_from += from[i] / n;
    mean_to += to[i] / n;
  }
  Eigen::Matrix3d cross = Eigen::Matrix3d::Zero();
  double variance = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    cross += (to[i] - mean_to) * (from[i] - mean_from).transpose() / n;
    variance += (from[i] - mean_from).squaredNorm() / n;
  }
  const Eigen::JacobiSVD<Eigen::Matrix3d> svd(cross, Eigen::ComputeFullU | Eigen::ComputeFullV);
  const Eigen::Vector3d singular = svd.singularValues();
  if (!(singular[1] > 1e-12 * singular[0]) || !(variance > 0)) {
    throw Error(ExitCode::kFailed, "the points lie on one line or in one place", "fit_similarity",
                "give points that spread over a plane or more");
  }
  const double sign = (svd.matrixU() * svd.matrixV().transpose()).determinant() < 0 ? -1 : 1;
  const Eigen::Vector3d signs(1, 1, sign);
  const Eigen::Matrix3d rotation = svd.matrixU() * signs.asDiagonal() * svd.matrixV().transpose();
  const double scale = with_scale ? singular.dot(signs) / variance : 1;
  return rigid(scale * rotation, mean_to - scale * rotation * mean_from);
}

double similarity_scale(const Eigen::Matrix4d& similarity) {
  return std::cbrt(similarity.topLeftCorner<3, 3>().determinant());
}

Eigen::Matrix3d similarity_rotation(const Eigen::Matrix4d& similarity) {
  return similarity.topLeftCorner<3, 3>() / similarity_scale(similarity);
}

Eigen::Vector3d apply(const Eigen::Matrix4d& target_from_source, const Eigen::Vector3d& point) {
  return target_from_source.topLeftCorner<3, 3>() * point +
         target_from_source.topRightCorner<3, 1>();
}

}  // namespace covary::geometry
