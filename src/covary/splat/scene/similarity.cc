#include "covary/splat/scene/similarity.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/sh/op.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/convex.h"

namespace covary::scene {
namespace {

constexpr int64_t kGrain = 8192;  // rows

at::Tensor copy_of(const at::Tensor& t) {
  return t.detach().to(at::kFloat).clone(at::MemoryFormat::Contiguous);
}

// Normals among the columns, turned in place of the old ones.
void turn_normals(Cloud& cloud, const Eigen::Matrix3d& rotation) {
  at::Tensor turn = at::empty({3, 3}, at::kDouble);  // its transpose, for rows
  Eigen::Map<Eigen::Matrix3d>(turn.data_ptr<double>()) = rotation;
  const auto turned_rows = [&](const at::Tensor& t) {
    return t.detach().to(at::kDouble).matmul(turn).to(t.scalar_type());
  };
  if (const auto n = cloud.columns.find("normal"); n != cloud.columns.end() &&
                                                   n->second.dim() == 2 && n->second.size(1) == 3 &&
                                                   n->second.is_floating_point())
    n->second = turned_rows(n->second);
  const auto x = cloud.columns.find("nx"), y = cloud.columns.find("ny"),
             z = cloud.columns.find("nz"), none = cloud.columns.end();
  const auto some = x != none ? x : y != none ? y : z;
  if (some == none || !some->second.is_floating_point()) return;
  std::vector<at::Tensor> parts;
  for (const auto& part : {x, y, z}) {
    parts.push_back(part == none ? at::zeros_like(some->second) : part->second);
    if (parts.back().dim() != 1 || parts.back().scalar_type() != some->second.scalar_type()) return;
  }
  const at::Tensor rows = turned_rows(at::stack(parts, 1));
  cloud.columns["nx"] = rows.select(1, 0).contiguous();
  cloud.columns["ny"] = rows.select(1, 1).contiguous();
  cloud.columns["nz"] = rows.select(1, 2).contiguous();
}

// The sign that a half turn gives to each SH coefficient: bands stay, functions change their sign or not.
std::vector<float> signs_of_bands(int degree, const Eigen::Vector3d& diagonal) {
  const int k = (degree + 1) * (degree + 1);
  std::vector<double> here(static_cast<size_t>(k)), there(here);
  const Eigen::Vector3d d = Eigen::Vector3d(0.48, 0.36, 0.8).normalized(),
                        turned = diagonal.cwiseProduct(d);
  compute::sh_basis(degree, d.data(), here.data());
  compute::sh_basis(degree, turned.data(), there.data());
  std::vector<float> signs;
  for (size_t i = 0; i < here.size(); ++i) signs.push_back(here[i] * there[i] < 0 ? -1.f : 1.f);
  return signs;
}

Cloud flipped(const Cloud& cloud, const Eigen::Vector3d& diagonal) {
  Cloud out = cloud;
  const at::Tensor signs = at::empty({3}, at::kFloat);
  for (int k = 0; k < 3; ++k) signs.data_ptr<float>()[k] = static_cast<float>(diagonal[k]);
  // R Rq S Rq' R' with a diagonal R is (R Rq R) S (R Rq R)': the vector part changes its signs alone.
  const at::Tensor quat_signs = at::ones({4}, at::kFloat);
  quat_signs.narrow(0, 1, 3).copy_(signs);
  out.means = cloud.means.detach().to(at::kFloat) * signs;
  out.quats = cloud.quats.detach().to(at::kFloat) * quat_signs;
  const int degree = cloud.sh_degree();
  if (degree > 0) {
    const std::vector<float> all = signs_of_bands(degree, diagonal);
    const at::Tensor bands = at::empty({static_cast<int64_t>(all.size()) - 1, 1}, at::kFloat);
    std::copy(all.begin() + 1, all.end(), bands.data_ptr<float>());
    out.shN = cloud.shN.detach().to(at::kFloat) * bands;
  }
  // The frame of each Gaussian is turned as well, and with it the points of a convex in that frame.
  if (const int64_t points = cloud.footprint == kConvex ? convex_points(cloud) : 0; points > 0)
    for (int64_t k = 0; k < 3 * points; ++k) {
      at::Tensor& column = out.columns.at("hull_" + std::to_string(k));
      if (diagonal[k % 3] < 0) column = column.neg();
    }
  turn_normals(out, diagonal.asDiagonal());
  return out;
}

}  // namespace

Cloud transformed(const Cloud& cloud, const Eigen::Matrix4d& new_from_old) {
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

  Cloud out = cloud;
  out.means = copy_of(cloud.means);
  out.quats = copy_of(cloud.quats);
  float* mean = out.means.data_ptr<float>();
  float* quat = out.quats.data_ptr<float>();
  parallel_for(cloud.size(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
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
  });
  out.scales = cloud.scales.detach() + std::log(scale);
  if (cloud.shN.defined() && cloud.shN.size(1) > 0) {
    at::Tensor matrix = at::empty({3, 3}, at::kDouble);
    Eigen::Map<Eigen::Matrix<double, 3, 3, Eigen::RowMajor>>(matrix.data_ptr<double>()) = rotation;
    const at::Tensor sh = at::cat({cloud.sh0.detach(), cloud.shN.detach()}, 1);
    out.shN = compute::rotate_sh(sh, matrix.to(sh.scalar_type()))
                  .narrow(1, 1, cloud.shN.size(1))
                  .contiguous();
  }
  turn_normals(out, rotation);
  if (const auto size = out.columns.find("lod_size");
      size != out.columns.end() && size->second.is_floating_point())
    size->second = (size->second.detach().to(at::kDouble) * scale).to(size->second.scalar_type());
  return out;
}

Cloud turned(const Cloud& cloud, const Eigen::Matrix3d& rotation) {
  if (rotation.isIdentity(0)) return cloud;
  if (rotation.isDiagonal(0)) return flipped(cloud, rotation.diagonal());
  Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = rotation;
  return transformed(cloud, m);
}

}  // namespace covary::scene
