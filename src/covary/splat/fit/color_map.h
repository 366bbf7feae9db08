// Colour maps of pictures, with gradient to the picture and the map: the kernels of exposure.h.
//
//   at::Tensor seen = affine_mapped(color, map);        // [H,W,3], [3,4] double: c + map (c, 1)
//   at::Tensor seen = grid_mapped(color, grid);         // [H,W,3], [L,GH,GW,12]: the map differs from pixel to pixel
//
// Maps are told as what they add: 0 leaves colours as they are. The map of a pixel of a grid is the trilinear mean of the 8
// around (x, y, brightness), corners of the photo and black and white on the outermost cells; brightness is 0.299 r + 0.587 g +
// 0.114 b, cut to [0, 1]. Pictures are float or double, a grid is of the picture's type. Sums have a fixed order: same bits on any
// number of threads. Errors: Error(kFailed) for other shapes or types. Source: Wang et al. 2024 (bilateral grids for radiance fields).
#pragma once

#include <ATen/core/Tensor.h>

namespace covary::fit {

at::Tensor affine_mapped(const at::Tensor& color, const at::Tensor& map);
at::Tensor grid_mapped(const at::Tensor& color, const at::Tensor& grid);

// Mean squared difference of neighbours in each of the grid's three directions, summed: a scalar.
at::Tensor grid_variation(const at::Tensor& grid);

}  // namespace covary::fit
