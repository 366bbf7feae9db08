#include "covary/splat/scene/middle.h"

#include <cmath>

#include <ATen/ATen.h>

namespace covary::scene {
namespace {

at::Tensor medians(const at::Tensor& means) { return std::get<0>(means.median(0)); }

Eigen::Vector3d vector_of(const at::Tensor& t) {
  return {t[0].item<double>(), t[1].item<double>(), t[2].item<double>()};
}

}  // namespace

Eigen::Vector3d middle_of(const at::Tensor& means) {
  if (means.size(0) == 0) return Eigen::Vector3d::Zero();
  return vector_of(medians(means.detach().to(at::kDouble)));
}

Ball middle_ball(const at::Tensor& means, double share) {
  if (means.size(0) == 0) return {};
  const at::Tensor x = means.detach().to(at::kDouble), middle = medians(x);
  const at::Tensor sorted = std::get<0>((x - middle).norm(2, {1}).sort());
  return {vector_of(middle),
          sorted[std::lround(share * static_cast<double>(sorted.size(0) - 1))].item<double>()};
}

}  // namespace covary::scene
