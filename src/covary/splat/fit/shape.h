// The row "shape" of a fit of generalised exponentials (ges_options.h): how it enters what is drawn and
// saved, and when it is put back.
//
//   add_shape(table, options.ges, cloud, rate);            // r = 0: Gaussians
//   shaped(table.parameter("shape"), options.ges, splats); // scales, or extras and footprint
//   if (shape_reset_due(options.ges, step, steps)) reset_shape(table);
//   with_shape(r, options.ges, cloud);                     // as files hold it
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/core/nn/optim/rows.h"
#include "covary/splat/fit/ges_options.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/cloud.h"

namespace covary::fit {

constexpr const char* kShape = "shape";

// Adds [N] raw shapes; those of a cloud that has a column "shape" and the kernel that reads it, else 0.
void add_shape(nn::RowTable& table, const GesOptions& options, const scene::Cloud& start,
               const nn::Schedule& rate);

// Lets the raw shapes [N] (float, differentiable) into activated primitives: phi(r) times the scales, or
// b = 2 + r as extras. r = 0 leaves the picture as it is, to the bit.
void shaped(const at::Tensor& raw, const GesOptions& options, render::Primitives& primitives);

// The same for what is saved: ln phi(r) is added to the log scales, once and for all, or the column
// "shape" holds b, within what is drawn.
void with_shape(const at::Tensor& raw, const GesOptions& options, scene::Cloud& cloud);

bool shape_reset_due(const GesOptions& options, int64_t step, int64_t steps);
void reset_shape(nn::RowTable& table);  // r = 0, its moments too

// Drops the rows whose phi is below shape_prune, every 100 steps after 500 (or steps/10); how many. At strength 0.1 phi
// stays near 1 and this finds none; at 1 it does.
int64_t prune_shapes(nn::RowTable& table, const GesOptions& options, int64_t step, int64_t steps);

}  // namespace covary::fit
