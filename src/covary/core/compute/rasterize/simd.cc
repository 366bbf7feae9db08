// The SIMD compositor. Forward: each tile sorts its primitives into lists by row, and a row of 16
// pixels keeps transmittance and colour in registers while it walks its list. Backward: primitive
// by primitive, since the sums over pixels are what it must produce; the pixels' state (T and one
// number more) stays in the first-level cache.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <memory>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/rasterize/rasterize.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/rasterize/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

constexpr int kParts = kTile >= kLanes ? kTile / kLanes : 1;  // vectors a row
constexpr int kPixels = kTile * kTile;
constexpr int kBatch =
    256;  // primitives whose row lists are built at a time; bounds the work after a tile is opaque

// A primitive as the kernels read it: x, y, opacity, first and last y of its rows, params,
// features; one after the other.
constexpr int kHead = 5;

struct Records {
  std::unique_ptr<float[]> data;
  int stride = 0;
  const float* at(uint32_t i) const {
    return data.get() + static_cast<size_t>(i) * static_cast<size_t>(stride);
  }
};

template <class F>
Records pack(const RasterInput<float>& in) {
  Records r;
  r.stride = kHead + F::kParams + in.channels;
  r.data = std::make_unique_for_overwrite<float[]>(
      static_cast<size_t>(in.count) * static_cast<size_t>(r.stride) + 1);
  parallel_for(in.count, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = r.data.get() + i * r.stride;
      const float y = in.centres[2 * i + 1], half = in.halves[2 * i + 1] * 1.0001f + 0.001f;
      out[0] = in.centres[2 * i];
      out[1] = y;
      out[2] = in.opacities[i];
      out[3] = y - half;
      out[4] = y + half;
      std::copy_n(in.params + i * F::kParams, F::kParams, out + kHead);
      std::copy_n(in.features + i * in.channels, in.channels, out + kHead + F::kParams);
    }
  });
  return r;
}

// The tile's pixels: coordinates of the lanes of a row, and which rows a primitive can touch.
struct TileFrame {
  int x0, y0, rows, columns;
  float inv_stride, row_shift;
  Lanes px[kParts];
  float py[kTile];

  HWY_INLINE TileFrame(const TileGrid& g, int64_t tile) {
    x0 = static_cast<int>(tile % g.tiles_x()) * kTile;
    y0 = static_cast<int>(tile / g.tiles_x()) * kTile;
    rows = std::min(kTile, g.height - y0);
    columns = std::min(kTile, g.width - x0);
    alignas(64) float x[kTile + 16];
    for (int i = 0; i < kTile; ++i)
      x[i] = static_cast<float>(g.offset_x + g.stride * (x0 + i)) + 0.5f;
    for (int k = 0; k < kParts; ++k) px[k] = Lanes::load(x + k * kLanes);
    for (int i = 0; i < kTile; ++i)
      py[i] = static_cast<float>(g.offset_y + g.stride * (y0 + i)) + 0.5f;
    inv_stride = 1.0f / static_cast<float>(g.stride);
    row_shift = static_cast<float>(g.offset_y) + 0.5f +
                static_cast<float>(g.stride) * static_cast<float>(y0);
  }
  // Rows [first, last) of the tile whose centres lie in [record[3], record[4]].
  HWY_INLINE void row_range(const float* record, int& first, int& last) const {
    const float a = (record[3] - row_shift) * inv_stride, b = (record[4] - row_shift) * inv_stride;
    first = a <= 0 ? 0 : static_cast<int>(std::ceil(std::min(a, static_cast<float>(kTile))));
    last = b < 0 ? 0 : std::min(rows, static_cast<int>(std::min(b, kTile - 1.0f)) + 1);
  }
};

// One blend of a vector of pixels: t > 0 is the transmittance of a live pixel, t < 0 minus that of
// a finished one.
struct Blend {
  Lanes weight;  // T * alpha, 0 where nothing is blended
  Lanes value, alpha;
  LaneMask blended;
};
// False when no pixel is touched and kSkip is set: leaving at once pays where much work follows, as in the backward pass.
template <class F, bool kSkip = true>
HWY_INLINE bool blend(const float* record, const Lanes* params, Lanes px, Lanes dy, Lanes& t,
                      Blend& b, bool& stopped) {
  const Lanes dx = px - Lanes(record[0]);
  b.value = F::template value<Lanes>(dx, dy, params);
  b.alpha = lane_min(Lanes(static_cast<float>(kMaxAlpha)), Lanes(record[2]) * b.value);
  const LaneMask seen = (b.alpha >= Lanes(static_cast<float>(kMinAlpha))) & (t > Lanes(0.0f));
  if (kSkip && none(seen)) return false;
  const Lanes next = t * (Lanes(1.0f) - b.alpha);
  const LaneMask stop = seen & (next <= Lanes(static_cast<float>(kMinTransmittance)));
  b.blended = and_not(stop, seen);
  b.weight = lane_or_zero(b.blended, t * b.alpha);
  stopped = !none(stop);
  t = lane_select(b.blended, next, lane_select(stop, -t, t));
  return true;
}

template <class F>
HWY_INLINE void load_params(const float* record, Lanes* params) {
  for (int k = 0; k < F::kParams; ++k) params[k] = Lanes(record[kHead + k]);
}

struct ForwardScratch {
  std::vector<uint32_t> row_list = std::vector<uint32_t>(static_cast<size_t>(kTile) * kBatch);
  std::vector<float> color;  // [C, 256]
};

// kChannels = 0: any number, in memory.
template <class F, int kChannels>
void forward_tile(const RasterInput<float>& in, const Records& records,
                  const RasterOutput<float>& out, int64_t tile, ForwardScratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kPixels + 16];
  scratch.color.assign(static_cast<size_t>(channels) * kPixels + 16, 0.0f);
  float* const color = scratch.color.data();
  std::array<int, kTile> live{};  // rows that still have a live pixel
  int live_rows = frame.rows;
  for (int y = 0; y < frame.rows; ++y) {
    live[static_cast<size_t>(y)] = 1;
    for (int x = 0; x < kTile; ++x) t_state[y * kTile + x] = x < frame.columns ? 1.0f : -1.0f;
  }

  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e0 = begin; e0 < end && live_rows > 0; e0 += kBatch) {
    std::array<int, kTile> count{};
    const int64_t e1 = std::min(end, e0 + kBatch);
    for (int64_t e = e0; e < e1; ++e) {
      const uint32_t i = in.lists->splat[static_cast<size_t>(e)];
      int first, last;
      frame.row_range(records.at(i), first, last);
      for (int y = first; y < last; ++y)
        scratch.row_list[static_cast<size_t>(y * kBatch + count[static_cast<size_t>(y)]++)] = i;
    }
    for (int y = 0; y < frame.rows; ++y) {
      if (!live[static_cast<size_t>(y)]) continue;
      Lanes t[kParts], acc[kParts * (kChannels ? kChannels : 1)];
      float* const t_row = t_state + y * kTile;
      for (int k = 0; k < kParts; ++k) {
        t[k] = Lanes::load(t_row + k * kLanes);
        if constexpr (kChannels > 0)
          for (int c = 0; c < kChannels; ++c)
            acc[c * kParts + k] = Lanes::load(color + c * kPixels + y * kTile + k * kLanes);
      }
      const uint32_t* list = scratch.row_list.data() + y * kBatch;
      const int n = count[static_cast<size_t>(y)];
      for (int j = 0; j < n; ++j) {
        const float* record = records.at(list[j]);
        const Lanes dy = Lanes(frame.py[y] - record[1]);
        Lanes params[F::kParams];
        load_params<F>(record, params);
        const float* feature = record + kHead + F::kParams;
        bool any_stopped = false;
        for (int k = 0; k < kParts; ++k) {
          Blend b;
          bool stopped;
          blend<F, false>(record, params, frame.px[k], dy, t[k], b, stopped);
          any_stopped |= stopped;
          if constexpr (kChannels > 0) {
            for (int c = 0; c < kChannels; ++c)
              acc[c * kParts + k] = lane_fma(b.weight, Lanes(feature[c]), acc[c * kParts + k]);
          } else {
            float* p = color + y * kTile + k * kLanes;
            for (int c = 0; c < channels; ++c, p += kPixels)
              lane_fma(b.weight, Lanes(feature[c]), Lanes::load(p)).store(p);
          }
        }
        if (any_stopped) {
          bool dead = true;
          for (int k = 0; k < kParts; ++k) dead &= none(t[k] > Lanes(0.0f));
          if (dead) {
            live[static_cast<size_t>(y)] = 0;
            --live_rows;
            break;
          }
        }
      }
      for (int k = 0; k < kParts; ++k) {
        t[k].store(t_row + k * kLanes);
        if constexpr (kChannels > 0)
          for (int c = 0; c < kChannels; ++c)
            acc[c * kParts + k].store(color + c * kPixels + y * kTile + k * kLanes);
      }
    }
  }

  for (int y = 0; y < frame.rows; ++y)
    for (int x = 0; x < frame.columns; ++x) {
      const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
      const float left = std::fabs(t_state[y * kTile + x]);
      out.transmittance[pixel] = left;
      for (int c = 0; c < channels; ++c)
        out.image[pixel * channels + c] =
            color[c * kPixels + y * kTile + x] + (in.background ? left * in.background[c] : 0.0f);
    }
}

struct BackwardScratch {
  std::vector<float> v_color;  // [C, 256]
  std::vector<float> sums;     // [C, lanes]
};

template <class F, int kChannels, bool kAbsolute>
void backward_tile(const RasterInput<float>& in, const Records& records,
                   const RasterOutput<float>& forward, const RasterGradients<float>& v,
                   int64_t tile, float* parts, int stride, BackwardScratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kPixels + 16], rest_state[kPixels + 16];
  scratch.v_color.resize(static_cast<size_t>(channels) * kPixels + 16);
  scratch.sums.resize(static_cast<size_t>(channels) * kLanes);
  float* const v_color = scratch.v_color.data();
  std::array<int, kTile> live{};
  int live_rows = frame.rows;
  // rest = (T at the end) * (d loss / d alpha - v . background) - v . (what lies behind), see the
  // reference; before the first primitive the background's two parts cancel
  for (int y = 0; y < frame.rows; ++y) {
    live[static_cast<size_t>(y)] = 1;
    for (int x = 0; x < kTile; ++x) {
      const int at = y * kTile + x;
      if (x >= frame.columns) {
        t_state[at] = -1.0f;
        rest_state[at] = 0.0f;
        for (int c = 0; c < channels; ++c) v_color[c * kPixels + at] = 0.0f;
        continue;
      }
      const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
      float rest = v.alpha ? forward.transmittance[pixel] * v.alpha[pixel] : 0.0f;
      for (int c = 0; c < channels; ++c) {
        const float g = v.image ? v.image[pixel * channels + c] : 0.0f;
        v_color[c * kPixels + at] = g;
        rest -= g * forward.image[pixel * channels + c];
      }
      t_state[at] = 1.0f;
      rest_state[at] = rest;
    }
  }

  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e = begin; e < end; ++e) {
    float* const part =
        parts + static_cast<int64_t>(in.lists->slot[static_cast<size_t>(e)]) * stride;
    if (live_rows == 0) {
      std::memset(part, 0, sizeof(float) * static_cast<size_t>(stride));
      continue;
    }
    const float* record = records.at(in.lists->splat[static_cast<size_t>(e)]);
    const float* feature = record + kHead + F::kParams;
    int first, last;
    frame.row_range(record, first, last);
    Lanes params[F::kParams], sums[F::kSums], v_opacity(0.0f), abs_x(0.0f), abs_y(0.0f);
    load_params<F>(record, params);
    for (Lanes& s : sums) s = Lanes(0.0f);
    Lanes v_feature[kChannels ? kChannels : 1];
    if constexpr (kChannels > 0) {
      for (Lanes& s : v_feature) s = Lanes(0.0f);
    } else {
      std::fill(scratch.sums.begin(), scratch.sums.end(), 0.0f);
    }
    bool touched = false;
    for (int y = first; y < last; ++y) {
      if (!live[static_cast<size_t>(y)]) continue;
      const Lanes dy = Lanes(frame.py[y] - record[1]);
      bool any_stopped = false;
      for (int k = 0; k < kParts; ++k) {
        const int at = y * kTile + k * kLanes;
        Lanes t = Lanes::load(t_state + at);
        const Lanes before = t;
        Blend b;
        bool stopped;
        if (!blend<F>(record, params, frame.px[k], dy, t, b, stopped)) continue;
        any_stopped |= stopped;
        touched = true;
        t.store(t_state + at);
        Lanes dot(0.0f);
        if constexpr (kChannels > 0) {
          for (int c = 0; c < kChannels; ++c) {
            const Lanes g = Lanes::load(v_color + c * kPixels + at);
            dot = lane_fma(g, Lanes(feature[c]), dot);
            v_feature[c] = lane_fma(b.weight, g, v_feature[c]);
          }
        } else {
          for (int c = 0; c < channels; ++c) {
            const Lanes g = Lanes::load(v_color + c * kPixels + at);
            dot = lane_fma(g, Lanes(feature[c]), dot);
            float* s = scratch.sums.data() + c * kLanes;
            lane_fma(b.weight, g, Lanes::load(s)).store(s);
          }
        }
        const Lanes rest = lane_fma(b.weight, dot, Lanes::load(rest_state + at));
        rest.store(rest_state + at);
        const Lanes v_alpha = lane_fma(before, dot, rest / (Lanes(1.0f) - b.alpha));
        // no gradient where nothing was blended and where alpha was clamped
        const LaneMask free =
            b.blended & (Lanes(record[2]) * b.value <= Lanes(static_cast<float>(kMaxAlpha)));
        const Lanes masked = lane_or_zero(free, v_alpha);
        const Lanes v_value = masked * Lanes(record[2]);
        const Lanes dx = frame.px[k] - Lanes(record[0]);
        F::template accumulate<Lanes>(dx, dy, params, b.value, v_value, sums);
        v_opacity = lane_fma(masked, b.value, v_opacity);
        if constexpr (kAbsolute) {
          Lanes gx, gy;
          F::template centre_gradient<Lanes>(dx, dy, params, b.value, v_value, gx, gy);
          abs_x += lane_abs(gx);
          abs_y += lane_abs(gy);
        }
      }
      if (any_stopped) {
        bool dead = true;
        for (int k = 0; k < kParts; ++k)
          dead &= none(Lanes::load(t_state + y * kTile + k * kLanes) > Lanes(0.0f));
        if (dead) {
          live[static_cast<size_t>(y)] = 0;
          --live_rows;
        }
      }
    }
    if (!touched) {
      std::memset(part, 0, sizeof(float) * static_cast<size_t>(stride));
      continue;
    }
    for (int k = 0; k < F::kSums; ++k) part[k] = sum(sums[k]);
    part[F::kSums] = sum(v_opacity);
    for (int c = 0; c < channels; ++c) {
      if constexpr (kChannels > 0) {
        part[F::kSums + 1 + c] = sum(v_feature[c]);
      } else {
        part[F::kSums + 1 + c] = sum(Lanes::load(scratch.sums.data() + c * kLanes));
      }
    }
    if constexpr (kAbsolute) {
      part[F::kSums + 1 + channels] = sum(abs_x);
      part[F::kSums + 2 + channels] = sum(abs_y);
    }
  }
}

// Calls f.template operator()<Footprint, kChannels>() with the channel counts that are worth an
// instance of their own.
template <class Call>
void dispatch(const RasterInput<float>& in, Call&& f) {
  with_footprint(in.footprint, [&]<class F>() HWY_ATTR {
    switch (in.channels) {
      case 3:
        return f.template operator()<F, 3>();
      case 4:
        return f.template operator()<F, 4>();
      default:
        return f.template operator()<F, 0>();
    }
  });
}

void rasterize_lanes(const RasterInput<float>& in, const RasterOutput<float>& out) {
  dispatch(in, [&]<class F, int kChannels>() HWY_ATTR {
    const Records records = pack<F>(in);
    std::vector<ForwardScratch> scratch(static_cast<size_t>(threads()));
    parallel_tasks(in.grid.tiles(), [&](int64_t tile, int worker) HWY_ATTR {
      forward_tile<F, kChannels>(in, records, out, tile, scratch[static_cast<size_t>(worker)]);
    });
  });
}

void rasterize_vjp_lanes(const RasterInput<float>& in, const RasterOutput<float>& forward,
                         const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  dispatch(in, [&]<class F, int kChannels>() HWY_ATTR {
    const Records records = pack<F>(in);
    const int stride = F::kSums + 1 + in.channels + (out.absolute ? 2 : 0);
    const auto parts = std::make_unique_for_overwrite<float[]>(
        static_cast<size_t>(in.lists->pairs()) * static_cast<size_t>(stride) + 1);
    std::vector<BackwardScratch> scratch(static_cast<size_t>(threads()));
    parallel_tasks(in.grid.tiles(), [&](int64_t tile, int worker) HWY_ATTR {
      auto& s = scratch[static_cast<size_t>(worker)];
      if (out.absolute) {
        backward_tile<F, kChannels, true>(in, records, forward, v, tile, parts.get(), stride, s);
      } else {
        backward_tile<F, kChannels, false>(in, records, forward, v, tile, parts.get(), stride, s);
      }
    });
    reduce_slots<float>(in, parts.get(), stride, out);
  });
  if (out.background) background_gradient(in, forward, v, out.background);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(rasterize_lanes);
HWY_EXPORT(rasterize_vjp_lanes);

void rasterize(const RasterInput<float>& in, const RasterOutput<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_lanes)(in, out);
}

void rasterize_vjp(const RasterInput<float>& in, const RasterOutput<float>& forward,
                   const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_vjp_lanes)(in, forward, v, out);
}

}  // namespace covary::compute
#endif
