// Steps on every d-th pixel: the rendering and the photo are both taken at the pixels offset + d * i, which are exact
// pixels of the whole picture, not those of a smaller one.
//
//   const PixelOffset offset = stride_offset(seed, view, visit, 2);    // (0,0) (1,0) (0,1) (1,1), in an order of its own
//   const scene::View part = strided(view, 2, offset);                 // a quarter of its pixels
//   rasterize(splats, views, {.stride = 2, .offset_x = offset.x, .offset_y = offset.y});
//
// d * d visits of a view see each of its pixels once, when a step takes at most half of all views or all of them. A side that d does not divide gives ceil((n - offset) / d) pixels:
// nothing is padded, cropped or shifted. Source: Dhiman et al. 2024 (Turbo-GS), dilated rendering.
#pragma once

#include <cstdint>

#include "covary/splat/scene/capture.h"

namespace covary::fit {

struct PixelOffset {
  int x = 0, y = 0;
};

// The offset of a view's visit (from 0): a function of its arguments.
PixelOffset stride_offset(uint64_t seed, int64_t view, int64_t visit, int stride);

// The view's pictures at those pixels; its camera stays that of the whole.
scene::View strided(const scene::View& view, int stride, PixelOffset offset);

// Whether a picture of these sides is large enough: two tiles are left of the shorter one.
bool can_be_strided(int width, int height, int stride);

}  // namespace covary::fit
