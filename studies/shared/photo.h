// A photo as training compares with it.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/splat/scene/capture.h"

namespace covary::studies {

at::Tensor background_of(const scene::Capture& capture);  // [3] float
// On that background: [H,W,3] float.
at::Tensor photo_of(const scene::View& view, const scene::Capture& capture);

}  // namespace covary::studies
