#include "covary/splat/fit/frame.h"

#include <cmath>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/compute/sh/op.h"

namespace covary::fit {

scene::Cloud transformed(const scene::Cloud& cloud, const Eigen::Matrix4d& new_from_old) {
  if (new_from_old.isIdentity(0)) return cloud;
  const Eigen::Matrix3d a = new_from_old.topLeftCorner<3, 3>();
  const double scale = std::cbrt(a.determinant());
  const Eigen::Matrix3d rotation = a / scale;
  if (!(scale > 0) || !std::isfinite(scale) ||
      !(rotation * rotation.transpose()).isIdentity(1e-6) ||
      !new_from_old.row(3).isApprox(Eigen::RowVector4d(0, 0, 0, 1)))
    throw Error(ExitCode::kFailed, "is no similarity", "new_from_old",
                "only turns, moves and one factor in all directions keep Gaussians what they are");
  const Eigen::Vector3d shift = new_from_old.topRightCorner<3, 1>();
  const Eigen::Quaterniond turn(rotation);

  scene::Cloud out = cloud;
  const int64_t n = cloud.size();
  out.means = cloud.means.detach().to(at::kFloat).clone(at::MemoryFormat::Contiguous);
  out.quats = cloud.quats.detach().to(at::kFloat).clone(at::MemoryFormat::Contiguous);
  float* mean = out.means.data_ptr<float>();
  float* quat = out.quats.data_ptr<float>();
  for (int64_t i = 0; i < n; ++i) {
    const Eigen::Vector3d x(mean[3 * i], mean[3 * i + 1], mean[3 * i + 2]);
    const Eigen::Vector3d y = a * x + shift;
    for (int k = 0; k < 3; ++k) mean[3 * i + k] = static_cast<float>(y[k]);
    const Eigen::Quaterniond q =
        turn * Eigen::Quaterniond(quat[4 * i], quat[4 * i + 1], quat[4 * i + 2], quat[4 * i + 3]);
    quat[4 * i] = static_cast<float>(q.w());
    quat[4 * i + 1] = static_cast<float>(q.x());
    quat[4 * i + 2] = static_cast<float>(q.y());
    quat[4 * i + 3] = static_cast<float>(q.z());
  }
  out.scales = cloud.scales.detach() + std::log(scale);
  if (cloud.shN.defined() && cloud.shN.size(1) > 0) {
    at::Tensor matrix = at::empty({3, 3}, at::kDouble);
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(matrix.data_ptr<double>()) = rotation;
    const at::Tensor sh = at::cat({cloud.sh0.detach(), cloud.shN.detach()}, 1);
    out.shN = compute::rotate_sh(sh, matrix.to(sh.scalar_type()))
                  .narrow(1, 1, cloud.shN.size(1))
                  .contiguous();
  }
  return out;
}

}  // namespace covary::fit
