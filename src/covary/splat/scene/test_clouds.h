// Clouds for tests of formats, and for the study of them.
#pragma once

#include <cmath>
#include <functional>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/error_of.h"
#include "covary/core/base/random.h"
#include "covary/splat/scene/cloud.h"

namespace covary::scene::testing_clouds {

// As trained scenes are: places within +-2.2, standard deviations exp(-7) .. exp(-1), SH below 0.9.
inline Cloud random_cloud(int64_t n, int degree, uint64_t seed = 1) {
  const auto uniform = [&](uint64_t stream, at::IntArrayRef shape, double low, double high) {
    at::Tensor t = at::empty(shape, at::kFloat);
    const Random random(seed, stream);
    for (int64_t i = 0; i < t.numel(); ++i)
      t.data_ptr<float>()[i] =
          static_cast<float>(low + (high - low) * random.uniform(static_cast<uint64_t>(i)));
    return t;
  };
  Cloud c;
  c.means = uniform(1, {n, 3}, -2.2, 2.2);
  c.quats = uniform(2, {n, 4}, -1, 1);
  c.scales = uniform(3, {n, 3}, -7, -1);
  c.opacities = uniform(4, {n}, -5, 5);
  c.sh0 = uniform(5, {n, 1, 3}, -1.7, 1.7);
  c.shN = uniform(6, {n, (degree + 1) * (degree + 1) - 1, 3}, -0.9, 0.9);
  return c;
}

inline at::Tensor unit(const at::Tensor& quats) { return quats / quats.norm(2, {1}, true); }

// Largest difference of a component of two rotations, over the sign that both quaternions share.
inline double rotation_gap(const Cloud& a, const Cloud& b) {
  const at::Tensor p = unit(a.quats.to(at::kDouble)), q = unit(b.quats.to(at::kDouble));
  const at::Tensor plus = std::get<0>((p - q).abs().max(1)),
                   minus = std::get<0>((p + q).abs().max(1));
  return at::minimum(plus, minus).max().item<double>();
}

inline double gap(const at::Tensor& a, const at::Tensor& b) {
  return a.numel() == 0 ? 0 : (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Covariances [N,3,3], double: what two clouds have in common whose quaternions differ.
inline at::Tensor covariances(const Cloud& c) {
  const at::Tensor q = unit(c.quats.to(at::kDouble)), w = q.select(1, 0), x = q.select(1, 1),
                   y = q.select(1, 2), z = q.select(1, 3);
  const at::Tensor r =
      at::stack({1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
                 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
                 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)},
                1)
          .view({-1, 3, 3});
  const at::Tensor m = r * c.scales.to(at::kDouble).exp().unsqueeze(1);
  return m.matmul(m.transpose(1, 2));
}

}  // namespace covary::scene::testing_clouds
