// Rotations, rigid motions and similarities in double: the algebra behind poses, paths and
// alignments.
//
//   Eigen::Matrix4d cam_from_world = look_at({3, 0, 1}, {0, 0, 0}, {0, 0, 1});
//   Vector6d xi = se3_log(cam_from_world);                    // cam_from_world == se3_exp(xi)
//   Eigen::Matrix4d b_from_a = fit_similarity(a, b, true);    // b ~ b_from_a * a, least squares
//
// Quaternions are (w, x, y, z); rotations turn column vectors; transforms are 4 x 4 and named
// target_from_source. Twists are (translation part, rotation vector), in that order; angles in
// radians. Errors: Error(kFailed) where an argument has no answer (a zero quaternion, too few
// points, points on a line). Source: Umeyama 1991 (similarity between two point sets).
#pragma once

#include <Eigen/Core>
#include <vector>

namespace covary::geometry {

using Vector6d = Eigen::Matrix<double, 6, 1>;

// Quaternions: Vector4d (w, x, y, z).
Eigen::Vector4d quat_normalized(const Eigen::Vector4d& q);
Eigen::Vector4d quat_conjugate(const Eigen::Vector4d& q);
Eigen::Vector4d quat_product(const Eigen::Vector4d& a, const Eigen::Vector4d& b);  // b turns first
Eigen::Vector3d quat_rotate(const Eigen::Vector4d& q, const Eigen::Vector3d& v);   // any norm but 0
Eigen::Matrix3d quat_to_matrix(const Eigen::Vector4d& q);                          // any norm but 0
// Unit, w >= 0. The matrix may be off a rotation by rounding.
Eigen::Vector4d quat_from_matrix(const Eigen::Matrix3d& rotation);
// Along the shorter arc at constant speed: a at t = 0, b (or -b) at t = 1; unit.
Eigen::Vector4d quat_slerp(const Eigen::Vector4d& a, const Eigen::Vector4d& b, double t);

// A camera at eye that looks at target, OpenCV axes (x right, y down, z forward), as
// cam_from_world. Where up is parallel to the line of sight another axis takes its place.
Eigen::Matrix4d look_at(const Eigen::Vector3d& eye, const Eigen::Vector3d& target,
                        const Eigen::Vector3d& up);

Eigen::Matrix3d skew(const Eigen::Vector3d& v);  // skew(a) b = a x b

// Rotation vectors; log returns an angle in [0, pi].
Eigen::Matrix3d so3_exp(const Eigen::Vector3d& rotation_vector);
Eigen::Vector3d so3_log(const Eigen::Matrix3d& rotation);

// Rigid motions.
Eigen::Matrix4d se3_exp(const Vector6d& twist);
Vector6d se3_log(const Eigen::Matrix4d& motion);
Eigen::Matrix4d rigid(const Eigen::Matrix3d& rotation, const Eigen::Vector3d& translation);
Eigen::Matrix4d rigid_inverse(const Eigen::Matrix4d& motion);

// The rotation, translation and (with_scale) scale that bring `from` nearest to `to` in least
// squares, never a reflection. Needs three points that are not on one line.
Eigen::Matrix4d fit_similarity(const std::vector<Eigen::Vector3d>& from,
                               const std::vector<Eigen::Vector3d>& to, bool with_scale);

// Parts of a similarity s R | t.
double similarity_scale(const Eigen::Matrix4d& similarity);
Eigen::Matrix3d similarity_rotation(const Eigen::Matrix4d& similarity);

Eigen::Vector3d apply(const Eigen::Matrix4d& target_from_source, const Eigen::Vector3d& point);

}  // namespace covary::geometry
