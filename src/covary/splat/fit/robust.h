// Which pixels of a photo a step believes, when something moved through some of the photos.
//
//   at::Tensor weights = believed(rendered, target.image, target.mask, {.over_median = 4, .least = 0.16});   // [H,W], 0 or 1
//
// The scene that the photos agree on is drawn well before what single photos show is baked in. A photo's error, as the mean
// over patches (a 48th of the diagonal wide, 4 to 16 px), then tells the two apart: patches over the rule's threshold, that have a
// neighbour over half of it, are left out, and with them every patch over half of it that touches them, and so on: an edge of the
// object covers its patches in part. Single bad patches stay, since edges of the scene make them too. Nothing is
// remembered from step to step: a pixel that fits again counts again. Median and threshold are the photo's own, so at most half
// of it can go by the first rule. Pixels without a mask's leave count in nothing.
// Source: Sabour et al. 2023 (RobustNeRF: quantiles of residuals, smoothed over patches); Sabour et al. 2024 (SpotLessSplats).
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/splat/fit/robust_options.h"

namespace covary::fit {

// rendered [H,W,3] float; truth of that shape, float or uint8 (255 = 1); mask [H,W] float or undefined. The mask with what is not
// believed set to 0.
at::Tensor believed(const at::Tensor& rendered, const at::Tensor& truth, const at::Tensor& mask,
                    const RobustRule& rule);

// px, the side of a patch.
int64_t patch_side(int64_t height, int64_t width);

}  // namespace covary::fit
