// Tile lists and compositing as torch operators: float tensors take the SIMD kernels, double tensors the reference. See
// rasterize.h.
#pragma once

#include <memory>

#include <ATen/core/Tensor.h>

#include "covary/core/compute/project/op.h"
#include "covary/core/compute/rasterize/rasterize.h"

namespace covary::compute {

std::shared_ptr<const TileLists> tile_lists(const ProjectedTensors& splats, int footprint,
                                            const TileGrid& grid, bool exact);

struct Composited {
  at::Tensor image;          // [H,W,C]
  at::Tensor transmittance;  // [H,W]
};

// features [M,C] and background [C] (undefined = 0) of the type of the splats. screen_gradients, if given, is filled by
// the backward pass: [M,2] with the gradient by the centre (signed); [M,4] with the sums of its absolute per-pixel parts
// behind it, which cost the backward pass two sums more a pair.
Composited composite(const ProjectedTensors& splats, const at::Tensor& features,
                     const at::Tensor& background, int footprint, const TileGrid& grid,
                     const std::shared_ptr<const TileLists>& lists,
                     const at::Tensor& screen_gradients = {});

// The largest weight T * alpha of each splat at any pixel: [M] float, of float splats alone. No gradient.
at::Tensor largest_weights(const ProjectedTensors& splats, int footprint, const TileGrid& grid,
                           const TileLists& lists);

// Of each splat the sum over pixels and channels of (d image / d value)^2: [M] double; features and background as in
// composite, image [H,W,C] what it gave. No gradient.
at::Tensor squared_sensitivities(const ProjectedTensors& splats, const at::Tensor& features,
                                 const at::Tensor& background, const at::Tensor& image,
                                 int footprint, const TileGrid& grid, const TileLists& lists);

struct Inspected {
  at::Tensor topk;          // [H,W,k] int64: index into the splats, -1 = none
  at::Tensor topk_weights;  // [H,W,k]
  at::Tensor median_depth;  // [H,W]
  at::Tensor weight_sums;   // [M] double
  at::Tensor hits;          // [M] int64
};
Inspected inspect(const ProjectedTensors& splats, int footprint, const TileGrid& grid,
                  const TileLists& lists, int top_k, bool median_depth, bool weights);

}  // namespace covary::compute
