#include "covary/core/compute/ssim/op.h"

#include <memory>
#include <string>
#include <type_traits>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/autograd.h"

namespace covary::compute {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::kFailed, what, "photometric loss");
}

// The inputs with a view dimension, checked and contiguous.
struct Views {
  at::Tensor rendered, truth, mask;
};

Views checked(const at::Tensor& rendered, const at::Tensor& truth, const at::Tensor& mask,
              SsimPadding padding) {
  if (!rendered.defined() || !truth.defined()) refuse("needs two images");
  if (rendered.dim() != 3 && rendered.dim() != 4) refuse("images are [H,W,C] or [V,H,W,C]");
  if (truth.sizes() != rendered.sizes()) refuse("the two images have different sizes");
  const auto type = rendered.scalar_type();
  if (type != at::kFloat && type != at::kDouble) refuse("the rendered image is float or double");
  if (truth.scalar_type() != type && truth.scalar_type() != at::kByte) {
    refuse("the truth has the dtype of the rendered image, or uint8");
  }
  if (rendered.numel() == 0) refuse("an image has no pixels");
  Views v{rendered.detach().contiguous(), truth.detach().contiguous(), {}};
  if (rendered.dim() == 3) {
    v.rendered = v.rendered.unsqueeze(0);
    v.truth = v.truth.unsqueeze(0);
  }
  if (padding == SsimPadding::kValid &&
      (v.rendered.size(1) < kSsimTaps || v.rendered.size(2) < kSsimTaps)) {
    refuse("valid padding needs at least 11 x 11 pixels");
  }
  if (!mask.defined()) return v;
  if (mask.dim() != rendered.dim() - 1 || mask.sizes() != rendered.sizes().slice(0, mask.dim())) {
    refuse("the mask has another size than the images");
  }
  if (mask.scalar_type() == at::kBool || mask.scalar_type() == at::kByte) {
    v.mask = mask.detach().ne(0).to(type);
  } else if (mask.scalar_type() == type) {
    v.mask = mask.detach().contiguous();
    if (!v.mask.ge(0).logical_and(v.mask.isfinite()).all().item<bool>()) {
      refuse("mask weights must be finite and not negative");
    }
  } else {
    refuse("the mask is bool, uint8 or of the rendered image's dtype");
  }
  if (v.mask.dim() == 2) v.mask = v.mask.unsqueeze(0);
  return v;
}

template <class T>
PhotometricParts run(const ImagePair<T>& pair, const PhotometricOptions& options, T* gradient) {
  if constexpr (std::is_same_v<T, float>) {
    return photometric(pair, options, gradient);
  } else {
    return photometric_reference(pair, options, gradient);
  }
}

// Means over the views; gradient is undefined or like v.rendered.
template <class T>
PhotometricParts over_views(const Views& v, const PhotometricOptions& options,
                            const at::Tensor& gradient) {
  const int64_t views = v.rendered.size(0), h = v.rendered.size(1), w = v.rendered.size(2);
  const int64_t channels = v.rendered.size(3), image = h * w * channels;
  const bool bytes = v.truth.scalar_type() == at::kByte;
  PhotometricParts mean{0, 0, 0};
  for (int64_t i = 0; i < views; ++i) {
    const ImagePair<T> pair{
        .rendered = v.rendered.data_ptr<T>() + i * image,
        .truth = bytes ? nullptr : v.truth.data_ptr<T>() + i * image,
        .truth_bytes = bytes ? v.truth.data_ptr<uint8_t>() + i * image : nullptr,
        .mask = v.mask.defined() ? v.mask.data_ptr<T>() + i * h * w : nullptr,
        .height = h,
        .width = w,
        .channels = channels};
    const auto parts =
        run(pair, options, gradient.defined() ? gradient.data_ptr<T>() + i * image : nullptr);
    mean.loss += parts.loss / static_cast<double>(views);
    mean.l1 += parts.l1 / static_cast<double>(views);
    mean.ssim += parts.ssim / static_cast<double>(views);
  }
  return mean;
}

PhotometricParts over_views(const Views& v, const PhotometricOptions& options,
                            const at::Tensor& gradient) {
  return v.rendered.scalar_type() == at::kFloat ? over_views<float>(v, options, gradient)
                                                : over_views<double>(v, options, gradient);
}

}  // namespace

PhotometricLoss photometric_loss(const at::Tensor& rendered, const at::Tensor& truth,
                                 double ssim_weight, const at::Tensor& mask, SsimPadding padding) {
  if (!(ssim_weight >= 0 && ssim_weight <= 1)) refuse("the weight of SSIM must be in [0, 1]");
  const Views v = checked(rendered, truth, mask, padding);
  const bool wanted = c10::GradMode::is_enabled() && rendered.requires_grad();
  PhotometricParts parts;
  // The gradient of one mean over all views, shared by both functions below.
  const auto gradient = std::make_shared<at::Tensor>();
  const auto forward = [&](const Tensors&) {
    if (wanted) *gradient = at::empty_like(v.rendered);
    parts = over_views(v, {.ssim_weight = ssim_weight, .padding = padding}, *gradient);
    return Tensors{at::scalar_tensor(parts.loss, v.rendered.options())};
  };
  const double views = static_cast<double>(v.rendered.size(0));
  const auto backward = [gradient, views](const Saved& saved, const Tensors& grad) {
    StageTimer stage("loss");
    stage.add_items(gradient->numel());
    const double scale = grad[0].item<double>() / views;
    const at::Tensor scaled = scale == 1 ? *gradient : *gradient * scale;
    return Tensors{scaled.view(saved.inputs[0].sizes())};
  };
  const at::Tensor value = differentiable("photometric_loss", {rendered}, forward, backward)[0];
  return {value, parts.l1, parts.ssim};
}

double ssim(const at::Tensor& a, const at::Tensor& b, SsimPadding padding, const at::Tensor& mask) {
  return over_views(checked(a, b, mask, padding), {.padding = padding}, {}).ssim;
}

}  // namespace covary::compute
