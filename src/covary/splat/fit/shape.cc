#include "covary/splat/fit/shape.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"

namespace covary::fit {
namespace {

constexpr int64_t kGrain = 8192;         // rows a share
constexpr double kNeutral = 2;           // b of the Gaussian
constexpr double kLeast = 1, kMost = 8;  // b as drawn

float share_of(float raw, double strength) {
  return 1 / (1 + std::exp(-static_cast<float>(strength) * raw));
}

// scales [N,3] times phi(raw [N]).
at::Tensor scaled(const at::Tensor& scales, const at::Tensor& raw, double strength) {
  return compute::differentiable(
      "shaped_scales", {scales, raw},
      [strength](const compute::Tensors& in) {
        at::Tensor out = at::empty_like(in[0]);
        const float* s = in[0].const_data_ptr<float>();
        const float* r = in[1].const_data_ptr<float>();
        float* to = out.data_ptr<float>();
        parallel_for(in[1].numel(), kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const float phi = 2 * share_of(r[i], strength);
            for (int64_t k = 3 * i; k < 3 * i + 3; ++k) to[k] = s[k] * phi;
          }
        });
        return compute::Tensors{out};
      },
      [strength](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor g = gradients[0].contiguous();
        at::Tensor v_scales = at::empty_like(saved.inputs[0]),
                   v_raw = at::empty_like(saved.inputs[1]);
        const float* s = saved.inputs[0].const_data_ptr<float>();
        const float* r = saved.inputs[1].const_data_ptr<float>();
        const float* v = g.const_data_ptr<float>();
        float* to_scales = v_scales.data_ptr<float>();
        float* to_raw = v_raw.data_ptr<float>();
        parallel_for(v_raw.numel(), kGrain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) {
            const float share = share_of(r[i], strength);
            float by_phi = 0;
            for (int64_t k = 3 * i; k < 3 * i + 3; ++k) {
              to_scales[k] = v[k] * 2 * share;
              by_phi += v[k] * s[k];
            }
            to_raw[i] = by_phi * 2 * static_cast<float>(strength) * share * (1 - share);
          }
        });
        return compute::Tensors{v_scales, v_raw};
      })[0];
}

}  // namespace

void add_shape(nn::RowTable& table, const GesOptions& options, const scene::Cloud& start,
               const nn::Schedule& rate) {
  at::Tensor raw = at::zeros({start.size()}, at::kFloat);
  if (const auto column = start.columns.find(kShape);
      options.kernel == "gef" && start.footprint == "generalized" && column != start.columns.end())
    raw = column->second.to(at::kFloat) - kNeutral;
  table.add(kShape, raw, rate);
}

void shaped(const at::Tensor& raw, const GesOptions& options, render::Primitives& primitives) {
  if (options.kernel == "fast") {
    primitives.scales = scaled(primitives.scales, raw, options.strength);
  } else {
    primitives.extras = (raw + kNeutral).unsqueeze(1);
    primitives.footprint = "generalized";
  }
}

void with_shape(const at::Tensor& raw, const GesOptions& options, scene::Cloud& cloud) {
  if (options.kernel == "fast") {
    const at::Tensor phi = 2 * (raw.to(at::kDouble) * options.strength).sigmoid();
    cloud.scales = (cloud.scales.to(at::kDouble) + phi.log().unsqueeze(1)).to(at::kFloat);
  } else {
    cloud.columns[kShape] = (raw + kNeutral).clamp(kLeast, kMost);
    cloud.footprint = "generalized";
  }
}

bool shape_reset_due(const GesOptions& options, int64_t step, int64_t steps) {
  if (step >= options.reset_stop_of(steps)) return false;
  // A tenth of the steps: whenever another tenth is done, since a clock may change their number.
  if (!options.shape_reset_every && steps < 10000)
    return 10 * step / steps != 10 * (step - 1) / steps;
  return step % options.reset_every_of(steps) == 0;
}

int64_t prune_shapes(nn::RowTable& table, const GesOptions& options, int64_t step, int64_t steps) {
  constexpr int64_t kEvery = 100, kStart = 500;
  if (options.kernel != "fast" || options.shape_prune == 0 || step % kEvery != 0 ||
      step <= std::min(kStart, steps / 10))
    return 0;
  const at::Tensor raw = table.parameter(kShape).detach();
  const at::Tensor keep = 2 * (raw * options.strength).sigmoid() >= options.shape_prune;
  const int64_t gone = raw.numel() - keep.sum().item<int64_t>();
  // Something must be left to fit.
  if (gone == 0 || gone == raw.numel()) return 0;
  table.drop(keep);
  return gone;
}

void reset_shape(nn::RowTable& table) {
  table.entry(kShape).value.detach().zero_();
  table.zero_moments(kShape);
}

}  // namespace covary::fit
