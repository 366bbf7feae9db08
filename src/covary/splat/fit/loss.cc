#include "covary/splat/fit/loss.h"

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/autograd.h"
#include "covary/core/compute/ssim/op.h"

namespace covary::fit {

at::Tensor ordered_mean(const at::Tensor& values) {
  return compute::differentiable(
      "ordered_mean", {values},
      [](const compute::Tensors& in) {
        const at::Tensor x = in[0].contiguous();
        const auto sum_of = [&](const auto* v) {
          return ordered_sum(x.numel(), [&](int64_t i) { return double(v[i]); });
        };
        const double sum = x.scalar_type() == at::kDouble ? sum_of(x.const_data_ptr<double>())
                                                          : sum_of(x.const_data_ptr<float>());
        return compute::Tensors{
            at::full({}, sum / static_cast<double>(std::max<int64_t>(1, x.numel())), x.options())};
      },
      [](const compute::Saved& saved, const compute::Tensors& gradients) {
        const at::Tensor& x = saved.inputs[0];
        const double share = gradients[0].item<double>() / static_cast<double>(x.numel());
        return compute::Tensors{at::full_like(x, share)};
      })[0];
}

std::vector<LossTerm> standard_terms(const TrainOptions& options) {
  std::vector<LossTerm> terms;
  const auto padding = options.loss.ssim_padding == "valid" ? compute::SsimPadding::kValid
                                                            : compute::SsimPadding::kZero;
  terms.push_back({.name = "photometric",
                   .weight = nn::constant(1),
                   .value = [weight = options.loss.ssim_weight, padding](const LossContext& c) {
                     const auto loss =
                         compute::photometric_loss(c.rendered.color.squeeze(0), c.target.image,
                                                   weight, c.target.mask, padding);
                     return TermValue{loss.value, {{"l1", loss.l1}, {"ssim", loss.ssim}}};
                   }});
  if (options.opacity_reg_of() > 0)
    terms.push_back({.name = "opacity",
                     .weight = nn::constant(options.opacity_reg_of()),
                     .value = [](const LossContext& c) {
                       return TermValue{ordered_mean(c.primitives.opacities)};
                     }});
  if (options.scale_reg_of() > 0)
    terms.push_back({.name = "scale",
                     .weight = nn::constant(options.scale_reg_of()),
                     .value = [](const LossContext& c) {
                       return TermValue{ordered_mean(c.primitives.scales)};
                     }});
  return terms;
}

Target make_target(const scene::View& view, const scene::Capture& capture,
                   const std::string& mask_mode, const at::Tensor& background) {
  const int64_t h = view.image.height, w = view.image.width;
  if (view.image.channels != 3)
    throw Error(ExitCode::kData,
                "the picture has " + std::to_string(view.image.channels) + " channels, not 3",
                view.name);
  Target target{.image = {}, .mask = {}, .background = background};
  if (!view.mask.empty() && mask_mode != "off") {
    target.mask = at::empty({h, w}, at::kFloat);
    float* m = target.mask.data_ptr<float>();
    for (int64_t i = 0; i < h * w; ++i) m[i] = view.mask.pixels[static_cast<size_t>(i)] > 127;
  }
  const float* behind = background.const_data_ptr<float>();
  const bool straight = capture.random_background;  // else composited on the capture's own
  const bool same = !straight && behind[0] == capture.background[0] &&
                    behind[1] == capture.background[1] && behind[2] == capture.background[2];
  if (view.alpha.empty() || same) {
    // the photo's own bytes, which outlive the step
    target.image =
        at::from_blob(const_cast<uint8_t*>(view.image.pixels.data()), {h, w, 3}, at::kByte);
    return target;
  }
  target.image = at::empty({h, w, 3}, at::kFloat);
  float* to = target.image.data_ptr<float>();
  parallel_for(h, 32, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin * w; i < end * w; ++i) {
      const auto p = static_cast<size_t>(i);
      const float a = static_cast<float>(view.alpha.pixels[p]) / 255.0f;
      for (size_t k = 0; k < 3; ++k) {
        const float c = static_cast<float>(view.image.pixels[3 * p + k]) / 255.0f;
        to[3 * p + k] = straight
                            ? a * c + (1 - a) * behind[k]
                            : c + (1 - a) * (behind[k] - capture.background[static_cast<int>(k)]);
      }
    }
  });
  return target;
}

}  // namespace covary::fit
