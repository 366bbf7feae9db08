// Pictures of a scene for people: one camera, rendered and turned into 8- or 16-bit images.
//
//   Pictures p = pictures(primitives_of(cloud), camera, {.depth = true});
//   data::write_image("view.png", color_picture(p.color));
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/core/data/image.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"

namespace covary::render {

struct PictureOptions {
  at::Tensor background;  // [3] in [0,1]; undefined = black
  int supersample = 1;    // a pixel is the mean of this many squared
  bool antialiased = false;
  bool depth = false, normal = false;
  int sh_degree = -1;  // as RasterizeOptions
};

// All [H,W,C], float, at the camera's size. Depth is camera z, 0 where nothing is; normals are in camera axes.
struct Pictures {
  at::Tensor color, alpha, depth, normal;
};
Pictures pictures(const Primitives& primitives, const scene::Camera& camera,
                  const PictureOptions& options);

// Means over blocks of k x k pixels: [H,W,C] to [H/k,W/k,C].
at::Tensor mean_of_blocks(const at::Tensor& image, int k);

data::Image8 color_picture(const at::Tensor& color);  // [H,W,3] clamped to [0,1]
data::Image8 gray_picture(const at::Tensor& value);   // [H,W,1] clamped to [0,1], as three channels
data::Image8 normal_picture(
    const at::Tensor& normal,
    const at::Tensor&
        alpha);  // unit normals as (n + 1) / 2, y up, z toward the viewer; grey where nothing is
data::Image8 depth_picture(const at::Tensor& depth, const at::Tensor& alpha,
                           double far);  // near bright, far dark, black where nothing is
data::Image16 depth_image16(const at::Tensor& depth, const at::Tensor& alpha,
                            double far);  // z / far * 65535; 0 where nothing is

}  // namespace covary::render
