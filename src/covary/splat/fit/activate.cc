#include "covary/splat/fit/activate.h"

#include <ATen/ATen.h>

#include "covary/core/base/stages.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/activation/activation.h"
#include "covary/core/compute/autograd.h"

namespace covary::fit {
namespace {

constexpr int64_t kGrain = 8192;  // elements a share

using Function = void (*)(const float*, int64_t, float*);

at::Tensor each(const at::Tensor& a, Function f) {
  StageTimer stage("activate");
  stage.add_items(a.numel());
  at::Tensor out = at::empty_like(a);
  const float* from = a.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  parallel_for(a.numel(), kGrain,
               [&](int64_t begin, int64_t end) { f(from + begin, end - begin, to + begin); });
  return out;
}

template <class F>
at::Tensor each(const at::Tensor& a, const at::Tensor& b, F&& f) {
  StageTimer stage("activate");
  stage.add_items(a.numel());
  at::Tensor out = at::empty_like(a);
  const float* x = a.const_data_ptr<float>();
  const at::Tensor whole = b.contiguous();
  const float* y = whole.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  parallel_for(a.numel(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = f(x[i], y[i]);
  });
  return out;
}

at::Tensor exp_of(const at::Tensor& x) {
  return compute::differentiable(
      "exp", {x},
      [](const compute::Tensors& in) {
        return compute::Tensors{each(in[0].contiguous(), compute::exponential)};
      },
      [](const compute::Saved& saved, const compute::Tensors& g) {
        return compute::Tensors{
            each(saved.outputs[0], g[0], [](float y, float d) { return y * d; })};
      })[0];
}

}  // namespace

at::Tensor logistic_of(const at::Tensor& x) {
  return compute::differentiable(
      "logistic", {x},
      [](const compute::Tensors& in) {
        return compute::Tensors{each(in[0].contiguous(), compute::logistic)};
      },
      [](const compute::Saved& saved, const compute::Tensors& g) {
        return compute::Tensors{
            each(saved.outputs[0], g[0], [](float y, float d) { return y * (1 - y) * d; })};
      })[0];
}

render::Primitives activated(const at::Tensor& means, const at::Tensor& quats,
                             const at::Tensor& log_scales, const at::Tensor& logits,
                             const at::Tensor& sh0, const at::Tensor& shN) {
  return {.means = means,
          .quats = quats,
          .scales = exp_of(log_scales),
          .covariances = {},
          .opacities = logistic_of(logits),
          .sh0 = sh0,
          .shN = shN,
          .features = {},
          .extras = {}};
}

render::Primitives activated(const scene::Cloud& cloud) {
  const bool rest = cloud.shN.defined() && cloud.shN.size(1) > 0;
  render::Primitives out = activated(cloud.means, cloud.quats, cloud.scales, cloud.opacities,
                                     cloud.sh0, rest ? cloud.shN : at::Tensor());
  out.extras = render::extras_of(cloud);
  out.footprint = cloud.footprint;
  return out;
}

}  // namespace covary::fit
