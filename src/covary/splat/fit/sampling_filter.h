// The 3D filter of a fit: no Gaussian is finer than the photos can tell.
//
//   update_sampling_filter(table, cameras);                      // the statistic of every row
//   filtered(table.statistic(kSamplingFilter), primitives);     // what is drawn
//   with_filter(table.statistic(kSamplingFilter), cloud);       // as files hold it
//
// A photo samples a surface at distance z once every z / f world units. A Gaussian is widened by a
// Gaussian with the variance w^2 = 0.2 (z / f)^2, of the camera that sees it closest, and its opacity
// falls by what its total would grow by:
//
//   s'_k^2 = s_k^2 + w^2,   o' = o prod s_k / prod s'_k
//
// So a scene that is drawn from nearer than its photos were shows what they knew, and no needles. w
// carries no gradient; it is taken anew at the start, after each refinement and every 100 steps. Files
// hold s' and o': any viewer draws the filtered scene.
//
// Source: Yu et al. 2024 (Mip-Splatting), eq. 7 to 9.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

constexpr const char* kSamplingFilter = "sampling_filter";

// w of each of the means [N,3] (float), world units: [N] float. A camera sees a point that is before it and
// in its picture, or beside that by at most 15 % of its size. What none sees has the largest w of the
// others; 0 when no camera sees any.
at::Tensor sampling_filter(const at::Tensor& means, const std::vector<scene::Camera>& cameras);

// Sets the statistic of the table's means, adding it when it is not there.
void update_sampling_filter(nn::RowTable& table, const std::vector<scene::Camera>& cameras);

// Widens activated primitives (float, differentiable). w = 0 leaves a row as it is, to rounding.
void filtered(const at::Tensor& w, render::Primitives& primitives);

// The same for what is saved: log scales and opacity logits.
void with_filter(const at::Tensor& w, scene::Cloud& cloud);

}  // namespace covary::fit
