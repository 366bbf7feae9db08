#include "covary/splat/fit/sampling_filter.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"

namespace covary::fit {
namespace {

constexpr int64_t kGrain = 4096;   // rows a share
constexpr double kVariance = 0.2;  // of the filter, in samples
constexpr double kMargin = 0.15;   // beside the picture, of its size
constexpr double kNearest = 0.01;  // camera z, as the renderer's

constexpr double kUnseen = std::numeric_limits<double>::infinity();

// World units a pixel at the point, or infinity when the camera does not see it.
double sample_at(const scene::Camera& camera, const Eigen::Vector3d& point) {
  const Eigen::Vector3d p = (camera.cam_from_world * point.homogeneous()).eval().head<3>();
  if (!(p.z() > kNearest)) return kUnseen;
  const Eigen::Vector2d px = camera.project(point);
  const double x = px.x() / camera.width - 0.5, y = px.y() / camera.height - 0.5;
  if (!(std::abs(x) <= 0.5 + kMargin && std::abs(y) <= 0.5 + kMargin)) return kUnseen;
  const double focal = std::max(camera.fx, camera.fy);
  return camera.projection == scene::Projection::kOrthographic ? 1 / focal : p.z() / focal;
}

// Of one row: s' and o' from s, o and w^2.
template <class T>
void widened(const T* s, T o, T variance, T* wide, T& opacity) {
  T ratio = 1;
  for (int k = 0; k < 3; ++k) {
    wide[k] = std::sqrt(s[k] * s[k] + variance);
    ratio *= s[k] / wide[k];
  }
  opacity = o * ratio;
}

}  // namespace

at::Tensor sampling_filter(const at::Tensor& means, const std::vector<scene::Camera>& cameras) {
  const int64_t n = means.size(0);
  at::Tensor out = at::empty({n}, at::kFloat);
  const at::Tensor whole = means.detach().contiguous();
  const float* p = whole.const_data_ptr<float>();
  float* w = out.data_ptr<float>();
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Eigen::Vector3d point(p[3 * i], p[3 * i + 1], p[3 * i + 2]);
      double finest = kUnseen;
      for (const scene::Camera& camera : cameras)
        finest = std::min(finest, sample_at(camera, point));
      w[i] = static_cast<float>(std::sqrt(kVariance) * finest);
    }
  });
  float most = 0;
  for (int64_t i = 0; i < n; ++i)
    if (std::isfinite(w[i])) most = std::max(most, w[i]);
  for (int64_t i = 0; i < n; ++i)
    if (!std::isfinite(w[i])) w[i] = most;
  return out;
}

void update_sampling_filter(nn::RowTable& table, const std::vector<scene::Camera>& cameras) {
  const at::Tensor w = sampling_filter(table.parameter("means"), cameras);
  const auto names = table.statistic_names();
  if (std::find(names.begin(), names.end(), kSamplingFilter) == names.end())
    table.add_statistic(kSamplingFilter, w);
  else
    table.statistic(kSamplingFilter) = w;
}

void filtered(const at::Tensor& w, render::Primitives& primitives) {
  const auto both = compute::differentiable(
      "sampling_filter", {primitives.scales, primitives.opacities, w},
      [](const compute::Tensors& in) {
        const at::Tensor scales = in[0].contiguous(), opacities = in[1].contiguous();
        at::Tensor wide = at::empty_like(scales), less = at::empty_like(opacities);
        const float *s = scales.const_data_ptr<float>(), *o = opacities.const_data_ptr<float>(),
                    *by = in[2].const_data_ptr<float>();
        float *to_s = wide.data_ptr<float>(), *to_o = less.data_ptr<float>();
        parallel_for(less.numel(), kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            widened(s + 3 * i, o[i], by[i] * by[i], to_s + 3 * i, to_o[i]);
        });
        return compute::Tensors{wide, less};
      },
      [](const compute::Saved& saved, const compute::Tensors& gradients) {
        // d s'_k / d s_k = s_k / s'_k;  d o' / d s_k = o' (1 / s_k - s_k / s'_k^2)
        const at::Tensor scales = saved.inputs[0].contiguous();
        const at::Tensor v_wide = gradients[0].contiguous(), v_less = gradients[1].contiguous();
        at::Tensor v_scales = at::empty_like(scales),
                   v_opacities = at::empty_like(saved.outputs[1]);
        const float *s = scales.const_data_ptr<float>(),
                    *wide = saved.outputs[0].const_data_ptr<float>(),
                    *less = saved.outputs[1].const_data_ptr<float>(),
                    *g = v_wide.const_data_ptr<float>(), *h = v_less.const_data_ptr<float>();
        float *to_s = v_scales.data_ptr<float>(), *to_o = v_opacities.data_ptr<float>();
        parallel_for(v_opacities.numel(), kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            float ratio = 1;
            for (int64_t k = 3 * i; k < 3 * i + 3; ++k) {
              const float share = s[k] / wide[k];
              ratio *= share;
              to_s[k] = g[k] * share + h[i] * less[i] * (1 / s[k] - share / wide[k]);
            }
            to_o[i] = h[i] * ratio;
          }
        });
        return compute::Tensors{v_scales, v_opacities, at::Tensor()};
      });
  primitives.scales = both[0];
  primitives.opacities = both[1];
}

void with_filter(const at::Tensor& w, scene::Cloud& cloud) {
  const at::Tensor variance = w.to(at::kDouble).square().unsqueeze(1);
  const at::Tensor s = cloud.scales.to(at::kDouble).exp();
  const at::Tensor wide = (s.square() + variance).sqrt();
  const at::Tensor less = cloud.opacities.to(at::kDouble).sigmoid() * (s / wide).prod(1);
  // The logit of 1 - 2^-53 at most: a Gaussian that is opaque stays so where w is 0.
  cloud.opacities =
      at::where(w > 0, less.logit(1e-16), cloud.opacities.to(at::kDouble)).to(at::kFloat);
  cloud.scales = wide.log().to(at::kFloat);
}

}  // namespace covary::fit
