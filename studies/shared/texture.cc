#include "studies/shared/texture.h"

#include <algorithm>
#include <tuple>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/splat/render/rasterize.h"
#include "studies/shared/photo.h"

namespace covary::studies {

double error_where_steep(const scene::Cloud& cloud, const scene::Capture& capture) {
  const at::NoGradGuard no_gradient;
  const render::Primitives p = render::primitives_of(cloud);
  const at::Tensor background = background_of(capture);
  double sum = 0;
  for (const int64_t i : capture.test) {
    const scene::View& view = capture.views[static_cast<size_t>(i)];
    const at::Tensor truth = photo_of(view, capture);
    const at::Tensor grey = truth.mean(2);
    const int64_t h = grey.size(0) - 2, w = grey.size(1) - 2;
    const auto part = [&](int64_t y, int64_t x) { return grey.narrow(0, y, h).narrow(1, x, w); };
    const at::Tensor gx = part(0, 2) - part(0, 0) + 2 * (part(1, 2) - part(1, 0)) + part(2, 2) -
                          part(2, 0),
                     gy = part(2, 0) - part(0, 0) + 2 * (part(2, 1) - part(0, 1)) + part(2, 2) -
                          part(0, 2);
    const at::Tensor steep = (gx * gx + gy * gy).flatten();
    const at::Tensor rows = std::get<1>(steep.topk(std::max<int64_t>(1, steep.numel() / 10)));
    const at::Tensor error = (render::rasterize(p, render::views_of({view.camera}), {}, background)
                                  .color[0]
                                  .clamp(0, 1) -
                              truth)
                                 .abs()
                                 .mean(2);
    sum +=
        error.narrow(0, 1, h).narrow(1, 1, w).flatten().index_select(0, rows).mean().item<double>();
  }
  return sum / static_cast<double>(capture.test.size());
}

}  // namespace covary::studies
