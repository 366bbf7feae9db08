// The stored parameters of Gaussians made ready for rendering: exp of the scales, logistic of the opacities.
//
// Plain loops, and not torch's operators, since those pick another formula at the ends of each thread's share: here the bits
// are the same on any number of threads.
#pragma once

#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

// float tensors; differentiable. shN may be undefined.
render::Primitives activated(const at::Tensor& means, const at::Tensor& quats,
                             const at::Tensor& log_scales, const at::Tensor& logits,
                             const at::Tensor& sh0, const at::Tensor& shN);
render::Primitives activated(const scene::Cloud& cloud);

// 1 / (1 + exp(-x)) of float logits; differentiable.
at::Tensor logistic_of(const at::Tensor& x);

}  // namespace covary::fit
