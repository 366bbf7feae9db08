// A loss term that leads a fit to edges: on the pixels of an edge mask, L1 counts for more.
//
//   terms.push_back(edge_term(0.5, "truth"));
//
// With weight w the loss is (1 - w) L1 + w mean(M |render - photo|) beside its other terms: the term's
// value is mean((M - 1) |render - photo|), negative, so that what M leaves out is taken from L1. M is 0 or
// 1 and has no gradient. It is taken from the photo, or from the rendering itself:
//
//   grey -> a fifth of the size -> G(s) grey - G(2 s) grey -> full size -> [0, 1] -> M = at least 1/2
//
// with f = 100 step / steps, s = 0.1 + min(f, 100 - f) / 10 px of the small picture, and the picture in
// [0, 1] turned over before f = 50: smooth regions first, edges later, wide bands in between. Where the small
// picture has less than 16 pixels a side or no contrast, there is no mask and the loss is plain L1.
// Source: Hamdi et al. 2024 (GES), section 4.3 and released code.
#pragma once

#include <string>

#include <ATen/core/Tensor.h>

#include "covary/splat/fit/loss.h"

namespace covary::fit {

// from: truth | render.
LossTerm edge_term(double weight, const std::string& from);

// [H,W] of 0 and 1, of the type of the image [H,W,3] (float or double, values in [0,1]); undefined: none.
// progress: f, 0..100.
at::Tensor edge_mask(const at::Tensor& image, double progress);

}  // namespace covary::fit
