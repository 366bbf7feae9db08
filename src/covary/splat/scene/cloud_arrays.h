// A cloud as plain arrays, for readers and writers of formats and what goes row by row. Within scene only.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// SH coefficients above degree 0, of a channel.
constexpr int64_t rest_of_degree(int64_t degree) { return (degree + 1) * (degree + 1) - 1; }

// To be filled by a reader; the tensors hold what memory held.
struct NewCloud {
  NewCloud(int64_t count, int degree) : n(count), rest(rest_of_degree(degree)) {
    cloud.means = at::empty({n, 3}, at::kFloat);
    cloud.quats = at::empty({n, 4}, at::kFloat);
    cloud.scales = at::empty({n, 3}, at::kFloat);
    cloud.opacities = at::empty({n}, at::kFloat);
    cloud.sh0 = at::empty({n, 1, 3}, at::kFloat);
    cloud.shN = at::empty({n, rest, 3}, at::kFloat);
    means = cloud.means.data_ptr<float>();
    quats = cloud.quats.data_ptr<float>();
    scales = cloud.scales.data_ptr<float>();
    opacities = cloud.opacities.data_ptr<float>();
    sh0 = cloud.sh0.data_ptr<float>();
    shN = cloud.shN.data_ptr<float>();
  }

  Cloud cloud;
  int64_t n, rest;
  float *means, *quats, *scales, *opacities, *sh0, *shN;  // shapes as in Cloud
};

// What a writer reads: contiguous floats on the CPU.
class CloudValues {
 public:
  explicit CloudValues(const Cloud& cloud) : n(cloud.size()), rest(cloud.shN.size(1)) {
    means = of(cloud.means);
    quats = of(cloud.quats);
    scales = of(cloud.scales);
    opacities = of(cloud.opacities);
    sh0 = of(cloud.sh0);
    shN = of(cloud.shN);
  }

  int64_t n, rest;
  const float *means, *quats, *scales, *opacities, *sh0, *shN;

 private:
  const float* of(const at::Tensor& t) {
    hold_.push_back(t.detach().to(at::kCPU, at::kFloat).contiguous());
    return hold_.back().const_data_ptr<float>();
  }
  std::vector<at::Tensor> hold_;
};

// Of a quaternion wxyz of any norm; 0: not turned.
template <class T>
Eigen::Matrix3d rotation_of(const T* quat) {
  return Eigen::Quaterniond(quat[0], quat[1], quat[2], quat[3]).normalized().toRotationMatrix();
}

// A row's covariance, by its quaternion and the logs of its deviations.
inline Eigen::Matrix3d covariance_of(const float* quat, const float* log_scale) {
  const Eigen::Matrix3d r = rotation_of(quat);
  const Eigen::Vector3d s(std::exp(log_scale[0]), std::exp(log_scale[1]), std::exp(log_scale[2]));
  return r * s.array().square().matrix().asDiagonal() * r.transpose();
}

// A row's colour without its direction, as displayed.
inline Eigen::Vector3d display_colour(const float* sh0) {
  return (Eigen::Map<const Eigen::Vector3f>(sh0).cast<double>() * compute::kShC0).array() + 0.5;
}

}  // namespace covary::scene
