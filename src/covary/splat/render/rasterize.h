// The differentiable rasteriser: Gaussians and cameras in, images out, gradients to everything.
//
//   Primitives g{.means = m, .quats = q, .scales = s.exp(), .opacities = o.sigmoid(), .sh0 = sh0,
//   .shN = shN}; Rendered out = rasterize(g, views, {.antialiased = true});
//   out.color.sub(truth).abs().mean().backward();
//
// Shapes: N primitives, V views (cameras of one size), C channels. float tensors take the SIMD
// kernels, double tensors the reference. Gradients reach means, quats, scales, covariances,
// opacities, sh0, shN, features, extras, background, cam_from_world and intrinsics. Source: Kerbl
// et al. 2023 (tiles, alpha compositing), Zwicker et al. 2001 (EWA), Yu et al. 2024 (antialiased).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/compute/project/project.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

// What is added to the SH colours of the rows ids (int64 [M]) seen along directions [M,3] (from the camera, any
// length) before they are clamped: [M,3], differentiable. Called once a view, with the rows that it sees. For training: a scene
// made ready for drawing alone (fast.h) has its own colours.
using ColorOffsets = std::function<at::Tensor(const at::Tensor& ids, const at::Tensor& directions)>;

struct Primitives {
  at::Tensor means;        // [N,3] world
  at::Tensor quats;        // [N,4] wxyz, any norm but 0
  at::Tensor scales;       // [N,3] standard deviations, world (not logs)
  at::Tensor covariances;  // [N,6] xx xy xz yy yz zz instead of quats and scales
  at::Tensor opacities;    // [N] in (0, 1)
  at::Tensor sh0;  // [N,1,3] SH coefficients of degree 0: colour = max(0, 0.5 + SH(direction from
                   // the camera))
  at::Tensor shN;  // [N,K-1,3] those above, K in {1, 4, 9, 16, 25}; undefined = none
  at::Tensor
      features;  // [N,C] instead of sh0 (or beside it: appended after the colour): any channels
  at::Tensor extras;  // [N,E] what the footprint asks beyond the covariance (shape exponent, ...)
  std::string footprint = "gaussian";  // a name in compute/rasterize/footprints.h
  ColorOffsets color_offsets = {};     // empty = none
};

// Cameras of one size as tensors, so that gradients reach them.
struct Views {
  at::Tensor cam_from_world;  // [V,4,4]
  at::Tensor intrinsics;      // [V,4] fx fy cx cy, px
  int width = 0, height = 0;  // px
  scene::Projection projection = scene::Projection::kPinhole;
};
Views views_of(const std::vector<scene::Camera>& cameras, at::ScalarType dtype = at::kFloat);
// A camera as the kernels take it where no gradient is asked for.
compute::CameraParameters parameters_of(const scene::Camera& camera);

struct RasterizeOptions {
  bool antialiased = false;        // scale opacity by sqrt(det before / det after dilation)
  double dilation = 0.3;           // added to the screen covariance, px^2
  double near = 0.01, far = 1e10;  // camera z, scene units
  double radius_clip = 0;          // drop what is not larger on screen, px
  bool absolute_gradients = true;  // Footprints::screen_gradients with its absolute sums
  bool exact_tiles = true;         // only tiles that the ellipse truly crosses
  int stride = 1, offset_x = 0,
      offset_y =
          0;  // render the pixels (offset + stride * i): the image is ceil((W-offset)/stride) wide
  bool depth = false;   // expected depth (blended camera z)
  bool normal = false;  // blended shortest axes facing the camera, camera axes
  int top_k = 0;        // ids and weights of the k largest contributions of a pixel
  bool median_depth = false;
  bool weights = false;          // per-primitive sums of blending weights and hit counts
  bool color_gradients = false;  // Footprints::colors, whose gradient the backward pass keeps
  bool sensitivities = false;    // Footprints::sensitivities
  bool largest_weights = false;  // Footprints::largest_weights; float alone
  int sh_degree = -1;            // use only bands up to this one; -1 = all there are
  // Gradients of sh0 and shN, where these are leaves, as sparse tensors of the visible rows, which is
  // what nn::Adam takes at least cost; otherwise dense.
  bool sparse_sh_gradients = false;
};

// The visible primitives of one view, in ascending id, and what training strategies ask of them.
struct Footprints {
  at::Tensor ids;               // [M] int64
  at::Tensor centres;           // [M,2] px
  at::Tensor radii;             // [M] px, the larger half-size of the extent
  at::Tensor depths;            // [M] camera z
  at::Tensor screen_gradients;  // [M,4]: d loss / d centre (signed x, y; px), then the sums of its
      // absolute per-pixel parts (0 without absolute_gradients); filled by
      // backward
  at::Tensor weight_sums;  // [M] double, with options.weights
  at::Tensor hits;         // [M] int64 pixels with non-zero weight, with options.weights
  at::Tensor colors;  // [M,3] SH colours as they are blended, with options.color_gradients: behind
                      // the backward pass colors.grad() is d loss / d colour
  at::Tensor
      sensitivities;  // [M] double: sum over pixels and channels of (d picture / d value)^2, with
                      // options.sensitivities
  at::Tensor
      largest_weights;  // [M] float: largest T * alpha of any pixel, with options.largest_weights
};

struct Rendered {
  at::Tensor color;                    // [V,H,W,3 or C]: SH colour, then features
  at::Tensor alpha;                    // [V,H,W,1]
  at::Tensor depth;                    // [V,H,W,1] sum of w*z / alpha (0 where alpha is 0)
  at::Tensor normal;                   // [V,H,W,3] sum of w*n, not renormalised
  at::Tensor median_depth;             // [V,H,W,1] z where transmittance falls to 1/2; no gradient
  at::Tensor topk_ids;                 // [V,H,W,k] int64, -1 = none; largest weight first
  at::Tensor topk_weights;             // [V,H,W,k]
  std::vector<Footprints> footprints;  // one a view
};

// background: [C] or [V,C] for the colour channels; undefined = 0.
Rendered rasterize(const Primitives& primitives, const Views& views,
                   const RasterizeOptions& options, const at::Tensor& background = {});

// A cloud with its activations applied: exp of scales, sigmoid of opacities. extras_of: what its footprint
// asks for, of the type of the means.
at::Tensor extras_of(const scene::Cloud& cloud);
Primitives primitives_of(const scene::Cloud& cloud);

}  // namespace covary::render
