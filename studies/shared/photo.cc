#include "studies/shared/photo.h"

#include <ATen/ATen.h>

#include "covary/splat/fit/loss.h"

namespace covary::studies {

at::Tensor background_of(const scene::Capture& capture) {
  return at::tensor({capture.background.x(), capture.background.y(), capture.background.z()},
                    at::kFloat);
}

at::Tensor photo_of(const scene::View& view, const scene::Capture& capture) {
  const at::Tensor image = fit::make_target(view, capture, "ignore", background_of(capture)).image;
  return image.scalar_type() == at::kByte ? image.to(at::kFloat) / 255 : image;
}

}  // namespace covary::studies
