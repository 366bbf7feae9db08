// Loss terms for what a capture knows of its shape: depth and normals of its views (scene::View).
//
//   terms.push_back(depth_term(nn::exponential(1, 0.01, steps), extent));
//   terms.push_back(normal_term(nn::constant(0.05)));
//
// depth: |1/z rendered - (s /z known + t)| over the pixels that know a depth, count, and are more than half covered, as a mean, times the
// extent, so that it has no unit. s and t are fitted a photo and step by least squares and not differentiated: a depth that is known
// up to scale and shift of its inverse, as networks guess it, says as much as a measured one. normal: 1 - n . n_known, likewise, with
// the rendered normal made unit length. A view without the data, and coarse photos of a resolution schedule, give 0.
// Source: Ranftl et al. 2020 (scale and shift of inverse depth); Kerbl et al. 2024 (hierarchical 3DGS: depth regularisation).
#pragma once

#include "covary/core/nn/optim/schedule.h"
#include "covary/splat/fit/loss.h"

namespace covary::fit {

// They ask for a rendering with depth, or with normals.
LossTerm depth_term(const nn::Schedule& weight, double extent);
LossTerm normal_term(const nn::Schedule& weight);

// Mean of |x - (s y + t)| over the pixels whose weight is not 0, with s and t by least squares; x differentiable. All are float of one shape.
// Fewer than 2 pixels, or all y the same: 0.
at::Tensor affine_invariant_distance(const at::Tensor& x, const at::Tensor& y,
                                     const at::Tensor& weights);

}  // namespace covary::fit
