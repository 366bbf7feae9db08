#include "covary/splat/render/contribution.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/interrupt.h"

namespace covary::render {

void each_view_seen(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                    const std::function<void(const Footprints&)>& use) {
  const at::NoGradGuard no_grad;
  const Primitives g = primitives_of(cloud);
  RasterizeOptions options;
  options.antialiased = cloud.antialiased;
  options.weights = true;
  options.sh_degree = 0;
  for (const scene::Camera& view : views) {
    if (const int code = interrupted()) throw Interrupted{code};
    use(rasterize(g, views_of({view}), options).footprints[0]);
  }
}

at::Tensor contribution_sums(const scene::Cloud& cloud, const std::vector<scene::Camera>& views) {
  at::Tensor sums = at::zeros({cloud.size()}, at::kDouble);
  each_view_seen(cloud, views,
                 [&](const Footprints& f) { sums.index_add_(0, f.ids, f.weight_sums); });
  return sums;
}

}  // namespace covary::render
