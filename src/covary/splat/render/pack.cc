#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"
#include "covary/core/geometry/morton.h"
#include "covary/splat/render/fast.h"

namespace covary::render {
namespace {

uint16_t half_of(float x) {
  constexpr float kLargest = 65504;
  return c10::Half(std::clamp(x, -kLargest, kLargest)).x;
}

}  // namespace

Primitives in_morton_order(const Primitives& g) {
  const at::Tensor means = g.means.contiguous();
  const std::vector<int64_t> order =
      geometry::morton_order(means.const_data_ptr<float>(), means.size(0));
  const at::Tensor rows = at::tensor(order, at::kLong);
  const auto moved = [&](const at::Tensor& t) {
    return t.defined() ? t.index_select(0, rows) : at::Tensor();
  };
  return {.means = moved(g.means),
          .quats = moved(g.quats),
          .scales = moved(g.scales),
          .covariances = moved(g.covariances),
          .opacities = moved(g.opacities),
          .sh0 = moved(g.sh0),
          .shN = moved(g.shN),
          .features = moved(g.features),
          .extras = moved(g.extras)};
}

compute::PackedScene pack(const Primitives& g, const Pruned& pruned) {
  constexpr int kGroup = compute::PackedScene::kGroup;
  const at::Tensor rows = pruned.rows.contiguous(), means = g.means.contiguous(),
                   scales = g.scales.contiguous(), quats = g.quats.contiguous(),
                   opacities = pruned.opacities.to(at::kFloat).contiguous(),
                   reach = pruned.reach.to(at::kFloat).contiguous(), sh0 = g.sh0.contiguous(),
                   shN = g.shN.defined() ? g.shN.contiguous() : at::Tensor();
  compute::PackedScene out;
  out.count = rows.size(0);
  out.bands = 1 + static_cast<int>(shN.defined() ? shN.size(1) : 0);
  const auto* row = rows.const_data_ptr<int64_t>();
  const auto *mean = means.const_data_ptr<float>(), *quat = quats.const_data_ptr<float>(),
             *scale = scales.const_data_ptr<float>(), *opacity = opacities.const_data_ptr<float>(),
             *reaches = reach.const_data_ptr<float>(), *base = sh0.const_data_ptr<float>(),
             *above = shN.defined() ? shN.const_data_ptr<float>() : nullptr;
  const int64_t groups = (out.count + kGroup - 1) / kGroup, numbers = 3 * (out.bands - 1);
  out.groups.resize(static_cast<size_t>(groups));
  out.numbers.assign(static_cast<size_t>(groups * out.rows() * kGroup), 0);
  parallel_tasks(groups, [&](int64_t at) {
    compute::PackedScene::Group& group = out.groups[static_cast<size_t>(at)];
    uint16_t* to = out.numbers.data() + at * out.rows() * kGroup;
    const int64_t first = at * kGroup, n = std::min<int64_t>(kGroup, out.count - first);
    const auto place = [&](int64_t l) { return first + std::min(l, n - 1); };  // behind: the last
    const auto id = [&](int64_t l) { return row[place(l)]; };
    float low[3], high[3], largest = 0;
    for (int k = 0; k < 3; ++k) low[k] = high[k] = mean[3 * id(0) + k];
    for (int64_t l = 0; l < n; ++l)
      for (int k = 0; k < 3; ++k) {
        low[k] = std::min(low[k], mean[3 * id(l) + k]);
        high[k] = std::max(high[k], mean[3 * id(l) + k]);
        largest = std::max(largest, scale[3 * id(l) + k]);
      }
    const float side = std::max({high[0] - low[0], high[1] - low[1], high[2] - low[2]});
    group.step = side / 65535;
    group.scale = largest > 0 ? largest : 1;
    for (int k = 0; k < 3; ++k) {
      group.origin[k] = low[k];
      group.centre[k] = 0.5F * (low[k] + high[k]);
    }
    constexpr float kReach = 3.4F;  // deviations: sqrt(2 ln 255) and a little
    group.radius =
        0.5F * std::hypot(high[0] - low[0], high[1] - low[1], high[2] - low[2]) + kReach * largest;
    for (int64_t l = 0; l < kGroup; ++l) {
      const int64_t i = id(l);
      const auto put = [&](int row, uint16_t value) { to[row * kGroup + l] = value; };
      for (int k = 0; k < 3; ++k) {
        const float step =
            group.step > 0 ? std::round((mean[3 * i + k] - low[k]) / group.step) : 0.0F;
        put(compute::PackedScene::kMean + k,
            static_cast<uint16_t>(std::clamp(step, 0.0F, 65535.0F)));
        put(compute::PackedScene::kScale + k, half_of(scale[3 * i + k] / group.scale));
      }
      const float *q = quat + 4 * i,
                  norm = std::sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
      for (int k = 0; k < 4; ++k) put(compute::PackedScene::kQuat + k, half_of(q[k] / norm));
      put(compute::PackedScene::kOpacity, l < n ? half_of(opacity[place(l)]) : uint16_t{0});
      put(compute::PackedScene::kReach, half_of(reaches[place(l)]));
      for (int k = 0; k < 3; ++k) put(compute::PackedScene::kColor + k, half_of(base[3 * i + k]));
      for (int k = 0; k < static_cast<int>(numbers); ++k)
        put(compute::PackedScene::kColor + 3 + k, half_of(above[numbers * i + k]));
    }
  });
  return out;
}

}  // namespace covary::render
