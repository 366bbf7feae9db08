#include "covary/splat/fit/camera_delta.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/compute/autograd.h"
#include "covary/core/geometry/rigid.h"
#include "covary/core/numeric/median.h"

namespace covary::fit {
namespace {

using RowMajor4 = Eigen::Matrix<double, 4, 4, Eigen::RowMajor>;

// How exp(w + dw) = exp(J dw) exp(w) turns.
Eigen::Matrix3d left_jacobian(const Eigen::Vector3d& w) {
  const double angle2 = w.squaredNorm(), angle = std::sqrt(angle2);
  const double a = angle < 1e-3 ? 0.5 - angle2 / 24 : (1 - std::cos(angle)) / angle2;
  const double b =
      angle < 1e-3 ? 1.0 / 6 - angle2 / 120 : (angle - std::sin(angle)) / (angle2 * angle);
  const Eigen::Matrix3d k = geometry::skew(w);
  return Eigen::Matrix3d::Identity() + a * k + b * k * k;
}

Eigen::Vector3d pivot_of(const PoseFrame& frame) { return {0, 0, frame.depth}; }

}  // namespace

double depth_of_interest(const scene::Camera& camera, const scene::Points& points, double extent) {
  constexpr size_t kLeast = 10;
  std::vector<double> depths;
  for (const Eigen::Vector3f& p : points.positions) {
    const Eigen::Vector3d at = (camera.cam_from_world * p.cast<double>().homogeneous()).head<3>();
    if (!(at.z() > 0) || !at.allFinite()) continue;
    const Eigen::Vector2d px = camera.project(p.cast<double>());
    if (px.x() >= 0 && px.x() < camera.width && px.y() >= 0 && px.y() < camera.height)
      depths.push_back(at.z());
  }
  if (depths.size() < kLeast) return extent;
  return numeric::upper_median(std::move(depths));
}

Eigen::Matrix4d moved_pose(const double* delta, const PoseFrame& frame) {
  const Eigen::Vector3d v(delta[0], delta[1], delta[2]), w(delta[3], delta[4], delta[5]);
  const Eigen::Matrix3d turn = geometry::so3_exp(w);
  const Eigen::Vector3d c = pivot_of(frame);
  return geometry::rigid(turn, c - turn * c + frame.extent * v) * frame.cam_from_world;
}

at::Tensor moved_pose(const at::Tensor& delta, const PoseFrame& frame, at::ScalarType type) {
  return compute::differentiable(
      "moved_pose", {delta},
      [&](const compute::Tensors& in) {
        at::Tensor out = at::empty({1, 4, 4}, at::kDouble);
        Eigen::Map<RowMajor4>(out.data_ptr<double>()) =
            moved_pose(in[0].const_data_ptr<double>(), frame);
        return compute::Tensors{out.to(type)};
      },
      [frame](const compute::Saved& saved, const compute::Tensors& gradients) {
        const double* delta = saved.inputs[0].const_data_ptr<double>();
        const at::Tensor whole = gradients[0].to(at::kDouble).contiguous();
        const Eigen::Map<const RowMajor4> g(whole.const_data_ptr<double>());
        // A column a of exp(w) [R | t - c] turns by dw x a.
        const Eigen::Vector3d w(delta[3], delta[4], delta[5]);
        Eigen::Matrix<double, 3, 4> turned = frame.cam_from_world.topRows<3>();
        turned.col(3) -= pivot_of(frame);
        turned = geometry::so3_exp(w) * turned;
        Eigen::Vector3d torque = Eigen::Vector3d::Zero();
        for (int k = 0; k < 4; ++k) {
          const Eigen::Vector3d column = turned.col(k), pull = g.col(k).head<3>();
          torque += column.cross(pull);
        }
        at::Tensor out = at::empty({6}, at::kDouble);
        Eigen::Map<Eigen::Matrix<double, 6, 1>> d(out.data_ptr<double>());
        d.head<3>() = frame.extent * g.col(3).head<3>();
        d.tail<3>() = left_jacobian(w).transpose() * torque;
        return compute::Tensors{out};
      })[0];
}

at::Tensor changed_intrinsics(const at::Tensor& change, const scene::Camera& camera,
                              at::ScalarType type) {
  return compute::differentiable(
      "changed_intrinsics", {change},
      [&](const compute::Tensors& in) {
        const double* d = in[0].const_data_ptr<double>();
        const at::Tensor out =
            at::tensor({camera.fx * std::exp(d[0]), camera.fy * std::exp(d[1]),
                        camera.cx + camera.width * d[2], camera.cy + camera.height * d[3]},
                       at::kDouble);
        return compute::Tensors{out.to(type).unsqueeze(0)};
      },
      [camera](const compute::Saved& saved, const compute::Tensors& gradients) {
        const double* d = saved.inputs[0].const_data_ptr<double>();
        const at::Tensor g = gradients[0].to(at::kDouble).reshape({4});
        return compute::Tensors{
            g * at::tensor({camera.fx * std::exp(d[0]), camera.fy * std::exp(d[1]),
                            static_cast<double>(camera.width), static_cast<double>(camera.height)},
                           at::kDouble)};
      })[0];
}

scene::Camera with_changed_intrinsics(const scene::Camera& camera, const double* change) {
  scene::Camera out = camera;
  out.fx *= std::exp(change[0]);
  out.fy *= std::exp(change[1]);
  out.cx += camera.width * change[2];
  out.cy += camera.height * change[3];
  return out;
}

}  // namespace covary::fit
