// The photometric loss on tensors; see ssim.h for its meaning.
//
//   PhotometricLoss loss = photometric_loss(rendered, truth, 0.2);
//   loss.value.backward();   // gradient to rendered; loss.l1 and loss.ssim are for the log
//
// float tensors take the SIMD kernel, double tensors the reference. The gradient is computed with
// the value and kept, so backward is one scaling.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/core/compute/ssim/ssim.h"

namespace covary::compute {

struct PhotometricLoss {
  at::Tensor value;  // scalar like rendered
  double l1 = 0, ssim = 1;
};

// rendered [H,W,C] or [V,H,W,C], float or double; truth of that shape, the same dtype or uint8 (255
// = 1). mask: undefined, or [H,W] / [V,H,W]: bool, uint8 (0 drops a pixel, any other value keeps
// it), or weights >= 0 of rendered's dtype. Of several views the mean is taken. Throws
// Error(kFailed) when a shape or dtype does not fit, the weight is not in [0, 1], a mask weight is
// negative or not finite, or padding is valid and a side is below 11.
PhotometricLoss photometric_loss(const at::Tensor& rendered, const at::Tensor& truth,
                                 double ssim_weight, const at::Tensor& mask = {},
                                 SsimPadding padding = SsimPadding::kZero);

// SSIM of two images (shapes and dtypes as above), no gradient.
double ssim(const at::Tensor& a, const at::Tensor& b, SsimPadding padding = SsimPadding::kZero,
            const at::Tensor& mask = {});

}  // namespace covary::compute
