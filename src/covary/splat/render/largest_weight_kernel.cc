// A tile at a time, a primitive at a time, a vector of pixels of a row at a time; the tile's transmittance
// stays in the first-level cache.
#include <algorithm>
#include <cmath>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/splat/render/largest_weight.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/splat/render/largest_weight_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

template <class F>
void tile_weights(const RasterInput<float>& in, int64_t tile, float* of_slot) {
  const TileGrid& g = in.grid;
  const int x0 = static_cast<int>(tile % g.tiles_x()) * kTile,
            y0 = static_cast<int>(tile / g.tiles_x()) * kTile;
  const int rows = std::min(kTile, g.height - y0), columns = std::min(kTile, g.width - x0);
  alignas(64) float t_state[kTile * (kTile + 16)] = {};  // 0: finished, or no pixel of the picture
  alignas(64) float px[kTile + 16];
  constexpr int kRow = kTile + 16;
  for (int y = 0; y < rows; ++y) std::fill_n(t_state + y * kRow, columns, 1.0f);
  for (int i = 0; i < kRow; ++i)
    px[i] = static_cast<float>(g.offset_x + g.stride * (x0 + i)) + 0.5f;
  for (int64_t e = in.lists->begin[static_cast<size_t>(tile)];
       e < in.lists->begin[static_cast<size_t>(tile) + 1]; ++e) {
    const auto i = static_cast<int64_t>(in.lists->splat[static_cast<size_t>(e)]);
    const float* params = in.params + i * F::kParams;
    float chord[F::kChord], prepared[F::kPrepared];
    F::chord(params, in.extents[i], chord);
    F::prepare(params, prepared);
    Lanes q[F::kPrepared], largest(0.0f);
    for (int k = 0; k < F::kPrepared; ++k) q[k] = Lanes(prepared[k]);
    const float cx = in.centres[2 * i];
    for (int y = 0; y < rows; ++y) {
      const float dy =
          static_cast<float>(g.offset_y + g.stride * (y0 + y)) + 0.5f - in.centres[2 * i + 1];
      float middle, square;
      F::template chord_at<float>(dy, chord, middle, square);
      if (!(square >= 0)) continue;
      const float half = std::sqrt(square) + 0.01f;
      for (int x = 0; x < columns; x += kLanes) {
        if (px[x] > cx + middle + half) break;
        if (px[x + kLanes - 1] < cx + middle - half) continue;
        float* state = t_state + y * kRow + x;
        const Lanes t = Lanes::load(state);
        const Lanes alpha =
            lane_min(Lanes(static_cast<float>(kMaxAlpha)),
                     Lanes(in.opacities[i]) * lane_exp2_negative(F::template log2_value<Lanes>(
                                                  Lanes::load(px + x) - Lanes(cx), Lanes(dy), q)));
        const Lanes weight = t * lane_or_zero(alpha >= Lanes(static_cast<float>(kMinAlpha)), alpha);
        const Lanes next = t - weight;
        const LaneMask goes_on = next > Lanes(static_cast<float>(kMinTransmittance));
        lane_or_zero(goes_on, next).store(state);
        largest = lane_max(largest, lane_or_zero(goes_on, weight));
      }
    }
    alignas(64) float lanes[kLanes];
    largest.store(lanes);
    of_slot[in.lists->slot[static_cast<size_t>(e)]] = *std::max_element(lanes, lanes + kLanes);
  }
}

void tile_weights_of(const RasterInput<float>& in, int64_t tile, float* of_slot) {
  with_footprint(in.footprint, [&]<class F>() HWY_ATTR { tile_weights<F>(in, tile, of_slot); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {
namespace {

HWY_EXPORT(tile_weights_of);

void tile_weights_here(const RasterInput<float>& in, int64_t tile, float* of_slot) {
  HWY_DYNAMIC_DISPATCH(tile_weights_of)(in, tile, of_slot);
}

}  // namespace
}  // namespace covary::compute

namespace covary::render {

void largest_weights(const compute::RasterInput<float>& in, float* largest) {
  std::vector<float> of_slot(static_cast<size_t>(in.lists->pairs()));
  parallel_tasks(in.grid.tiles(),
                 [&](int64_t tile) { compute::tile_weights_here(in, tile, of_slot.data()); });
  for (int64_t i = 0; i < in.count; ++i) {
    largest[i] = 0;
    for (int64_t s = in.lists->first_slot[static_cast<size_t>(i)];
         s < in.lists->first_slot[static_cast<size_t>(i) + 1]; ++s)
      largest[i] = std::max(largest[i], of_slot[static_cast<size_t>(s)]);
  }
}

}  // namespace covary::render
#endif
