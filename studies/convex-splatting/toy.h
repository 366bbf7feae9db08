// Pictures of one shape, fitted by a few flat primitives through the rasteriser: convexes of 18 numbers (6 points, delta,
// sigma, opacity, colour) against Gaussians of 9 (centre, two sizes, angle, opacity, colour).
#pragma once

#include <cstdint>
#include <string>

#include <ATen/core/Tensor.h>

namespace covary::studies {

// White on black, [size,size,3] float: "pentagon", "square", "star" or "chair", drawn by 4 x 4 samples a pixel.
at::Tensor drawn_shape(const std::string& name, int size);

// Mean squared error after so many steps of Adam on it.
double toy_error(const at::Tensor& truth, bool convexes, int64_t count, uint64_t seed,
                 int64_t steps);

}  // namespace covary::studies
