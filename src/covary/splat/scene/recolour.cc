#include "covary/splat/scene/recolour.h"

#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/compute/sh/sh.h"

namespace covary::scene {
namespace {

constexpr double kDisplayGamma = 2.2;
// Rec. 601: weights of display values.
const Eigen::RowVector3d kLuma(0.299, 0.587, 0.114);

at::Tensor tensor_of(const double* values, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  std::copy(values, values + t.numel(), t.data_ptr<double>());
  return t;
}

}  // namespace

ColourMap colour_map_of(const Recolour& r) {
  const double light = std::pow(2, r.exposure / kDisplayGamma);
  const Eigen::Vector3d gain =
      light * r.tint.cwiseProduct(r.neutral.cwiseInverse() * r.neutral.mean())
                  .cwiseProduct(Eigen::Vector3d(1 + r.temperature, 1, 1 - r.temperature));
  const Eigen::Matrix3d grey = Eigen::Vector3d::Ones() * kLuma;
  ColourMap m;
  m.matrix =
      r.contrast * (grey + r.saturation * (Eigen::Matrix3d::Identity() - grey)) * gain.asDiagonal();
  m.offset.setConstant(0.5 - 0.5 * r.contrast + r.brightness);
  return m;
}

Cloud recoloured(const Cloud& cloud, const ColourMap& map) {
  Cloud out = cloud;
  const Eigen::Matrix3d transposed = map.matrix.transpose();  // in memory: the matrix, row by row
  const at::Tensor matrix = tensor_of(transposed.data(), {3, 3});
  const Eigen::Vector3d shift =
      (0.5 * map.matrix * Eigen::Vector3d::Ones() + map.offset - 0.5 * Eigen::Vector3d::Ones()) /
      compute::kShC0;
  const auto mapped = [&](const at::Tensor& t) {
    return t.detach().to(at::kDouble).matmul(matrix.t());
  };
  out.sh0 = (mapped(cloud.sh0) + tensor_of(shift.data(), {3})).to(cloud.sh0.scalar_type());
  out.shN = mapped(cloud.shN).to(cloud.shN.scalar_type());
  return out;
}

Cloud recoloured(const Cloud& cloud, const Recolour& change) {
  Cloud out = recoloured(cloud, colour_map_of(change));
  if (change.opacity != 1) {
    constexpr double kMostOpacity = 1 - 1e-6;  // whose logit is finite
    const at::Tensor o = cloud.opacities.detach().to(at::kDouble).sigmoid() * change.opacity;
    out.opacities = o.clamp(1e-30, kMostOpacity).logit().to(cloud.opacities.scalar_type());
  }
  return out;
}

}  // namespace covary::scene
