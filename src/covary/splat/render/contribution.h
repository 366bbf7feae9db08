// How much of the pictures each splat makes: the sum of its blending weights over all pixels (rasterize.h, weights).
//
//   each_view_seen(cloud, cameras, [&](const Footprints& f) { ... f.ids, f.weight_sums ... });
//   at::Tensor sums = contribution_sums(cloud, cameras);     // [N] double, px
#pragma once

#include <functional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/scene/cloud.h"

namespace covary::render {

// What each view sees, one after the other, with weight_sums. Interrupted passes through.
void each_view_seen(const scene::Cloud& cloud, const std::vector<scene::Camera>& views,
                    const std::function<void(const Footprints&)>& use);

// [N] double: sums of blending weights, px, over the views.
at::Tensor contribution_sums(const scene::Cloud& cloud, const std::vector<scene::Camera>& views);

}  // namespace covary::render
