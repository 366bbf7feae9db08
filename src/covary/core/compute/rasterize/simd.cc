// The SIMD compositor. A primitive is computed in the blocks of pixels that its chords cross, a block a
// vector wide. Forward: each tile sorts its primitives into lists by block, and a block keeps
// transmittance and colour in registers while it walks its list. Backward: primitive by primitive,
// since the sums over pixels are what it must produce; the pixels' state (T and one number more) stays
// in the first-level cache.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <hwy/aligned_allocator.h>

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

constexpr int kPixels = kTile * kTile;
// The unit of work: a row of pixels of a tile as wide as a vector, at least four.
constexpr int kBlock = kLanes >= kTile ? kTile : kLanes < 4 ? 4 : kLanes;
constexpr int kAcross = kTile / kBlock;  // blocks in a row of the tile
constexpr int kBlocks = kTile * kAcross;
constexpr int kStep = kLanes < kBlock ? kLanes : kBlock;  // pixels a vector
constexpr int kBatch =
    128;  // primitives whose lists are built at a time; bounds the work after a tile is opaque
static_assert(kBlocks <= 64, "a word has a bit a block");

// A primitive as the kernels read it, one after the other: x, y, opacity, then chord, prepared params
// and params of the footprint, features. With three channels and a Gaussian it fills a cache line.
constexpr int kHead = 3;
template <class F>
constexpr int kPreparedAt = kHead + F::kChord;
template <class F>
constexpr int kParamsAt = kPreparedAt<F> + F::kPrepared;
template <class F>
constexpr int kFeaturesAt = kParamsAt<F> + F::kParams;

struct Records {
  hwy::AlignedFreeUniquePtr<float[]> data;
  int stride = 0;
  const float* at(uint32_t i) const {
    return data.get() + static_cast<size_t>(i) * static_cast<size_t>(stride);
  }
};

template <class F>
Records pack(const RasterInput<float>& in) {
  constexpr int kLine = 16;
  Records r;
  r.stride = (kFeaturesAt<F> + in.channels + kLine - 1) / kLine * kLine;
  r.data = hwy::AllocateAligned<float>(
      static_cast<size_t>(in.count) * static_cast<size_t>(r.stride) + kLine);
  if (!r.data) throw std::bad_alloc();
  parallel_for(in.count, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = r.data.get() + i * r.stride;
      const float* params = in.params + i * F::kParams;
      out[0] = in.centres[2 * i];
      out[1] = in.centres[2 * i + 1];
      out[2] = in.opacities[i];
      F::chord(params, in.extents[i], out + kHead);
      F::prepare(params, out + kPreparedAt<F>);
      std::copy_n(params, F::kParams, out + kParamsAt<F>);
      std::copy_n(in.features + i * in.channels, in.channels, out + kFeaturesAt<F>);
    }
  });
  return r;
}

// The tile's pixels. Block j of row y is number j * kTile + y; its pixels lie one after the other in the
// arrays that hold a tile's state.
struct TileFrame {
  int x0, y0, rows, columns;
  alignas(64) float px[kTile + 16];
  alignas(64) float py[kTile + 16];

  HWY_INLINE TileFrame(const TileGrid& g, int64_t tile) {
    x0 = static_cast<int>(tile % g.tiles_x()) * kTile;
    y0 = static_cast<int>(tile / g.tiles_x()) * kTile;
    rows = std::min(kTile, g.height - y0);
    columns = std::min(kTile, g.width - x0);
    for (int i = 0; i < kTile + 16; ++i) {
      px[i] = static_cast<float>(g.offset_x + g.stride * (x0 + i)) + 0.5f;
      py[i] = static_cast<float>(g.offset_y + g.stride * (y0 + i)) + 0.5f;
    }
  }
  HWY_INLINE uint64_t blocks() const {  // those that hold a pixel of the picture
    uint64_t all = 0;
    for (int j = 0; j < kAcross; ++j) {
      if (j * kBlock < columns) all |= ((uint64_t{1} << rows) - 1) << (j * kTile);
    }
    return all;
  }
  // Calls use(place of the pixel in the tile's arrays, column, row) for the pixels of the picture.
  template <class Use>
  HWY_INLINE void for_pixels(Use&& use) const {
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) use((x / kBlock * kTile + y) * kBlock + x % kBlock, x, y);
    }
  }
  // A bit for each block that the primitive's chords cross.
  template <class F>
  HWY_INLINE uint64_t crossed(const float* record) const {
    Lanes chord[F::kChord];
    for (int k = 0; k < F::kChord; ++k) chord[k] = Lanes(record[kHead + k]);
    uint64_t bits = 0;
    for (int y = 0; y < kTile; y += kLanes) {
      Lanes middle, square;
      F::template chord_at<Lanes>(Lanes::load(py + y) - Lanes(record[1]), chord, middle, square);
      const LaneMask there = square >= Lanes(0.0f);
      const Lanes half = lane_sqrt(lane_max(square, Lanes(0.0f))) + Lanes(0.01f);
      const Lanes centre = Lanes(record[0]) + middle;
      for (int j = 0; j < kAcross; ++j) {
        const LaneMask touched = there & (centre - half <= Lanes(px[j * kBlock + kBlock - 1])) &
                                 (centre + half >= Lanes(px[j * kBlock]));
        bits |= lane_bits(touched) << (j * kTile + y);
      }
    }
    return bits;
  }
};

// What a primitive is at a vector of pixels.
struct Shade {
  Lanes dx, raw, alpha;  // offset; opacity * value; the same, clamped
  LaneMask seen;
};
template <class F>
HWY_INLINE Shade shade(const float* record, Lanes px, Lanes dy) {
  Lanes params[F::kPrepared];
  for (int k = 0; k < F::kPrepared; ++k) params[k] = Lanes(record[kPreparedAt<F> + k]);
  Shade s;
  s.dx = px - Lanes(record[0]);
  s.raw = Lanes(record[2]) * lane_exp2_negative(F::template log2_value<Lanes>(s.dx, dy, params));
  s.alpha = lane_min(Lanes(static_cast<float>(kMaxAlpha)), s.raw);
  s.seen = s.alpha >= Lanes(static_cast<float>(kMinAlpha));
  return s;
}

// A primitive over pixels of transmittance t, 0 for those that are finished. Where it would bring an
// alive one to the end, that pixel stops before it: nothing is blended, and `next` is 0.
struct Blend {
  Lanes weight, next;  // T * alpha; T behind the primitive
  LaneMask stop;
  bool stops;  // any of them
};
HWY_INLINE Blend blend(const Shade& s, Lanes t, LaneMask alive) {
  Blend b;
  b.weight = t * lane_or_zero(s.seen, s.alpha);
  b.next = t - b.weight;
  b.stop = alive & (b.next <= Lanes(static_cast<float>(kMinTransmittance)));
  b.stops = !none(b.stop);
  if (HWY_UNLIKELY(b.stops)) {
    b.weight = lane_select(b.stop, Lanes(0.0f), b.weight);
    b.next = lane_select(b.stop, Lanes(0.0f), b.next);
  }
  return b;
}

struct ForwardScratch {
  std::vector<uint32_t> lists = std::vector<uint32_t>(static_cast<size_t>(kBlocks) * kBatch);
  std::vector<float> color;  // [C, 256]
};

// A block's pixels: transmittance t, 0 once a pixel is finished; then `left` holds what it was.
// kChannels = 0: any number, in memory.
template <class F, int kChannels>
void forward_tile(const RasterInput<float>& in, const Records& records,
                  const RasterOutput<float>& out, int64_t tile, ForwardScratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kPixels + 16] = {}, left_state[kPixels + 16] = {};
  scratch.color.assign(static_cast<size_t>(channels) * kPixels + 16, 0.0f);
  float* const color = scratch.color.data();
  frame.for_pixels([&](int at, int, int) HWY_ATTR { t_state[at] = 1.0f; });
  uint64_t live = frame.blocks();  // blocks that still have a pixel to be finished

  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e0 = begin; e0 < end && live != 0; e0 += kBatch) {
    std::array<int, kBlocks> count{};
    const int64_t e1 = std::min(end, e0 + kBatch);
    for (int64_t e = e0; e < e1; ++e) {
      const uint32_t i = in.lists->splat[static_cast<size_t>(e)];
      for (uint64_t bits = frame.crossed<F>(records.at(i)) & live; bits != 0; bits &= bits - 1) {
        const auto block = static_cast<size_t>(std::countr_zero(bits));
        scratch.lists[block * kBatch + static_cast<size_t>(count[block]++)] = i;
      }
    }
    for (uint64_t rest = live; rest != 0; rest &= rest - 1) {
      const int block = std::countr_zero(rest);
      const uint32_t* list = scratch.lists.data() + block * kBatch;
      const int n = count[static_cast<size_t>(block)];
      const float py = frame.py[block % kTile];
      bool finished = true;
      for (int part = 0; part < kBlock; part += kStep) {
        const int at = block * kBlock + part;
        const Lanes px = Lanes::load(frame.px + block / kTile * kBlock + part);
        Lanes t = Lanes::load(t_state + at), acc[kChannels ? kChannels : 1];
        LaneMask alive = t > Lanes(0.0f);
        if (none(alive)) continue;
        if constexpr (kChannels > 0)
          for (int c = 0; c < kChannels; ++c) acc[c] = Lanes::load(color + c * kPixels + at);
        for (int j = 0; j < n; ++j) {
          const float* record = records.at(list[j]);
          const Shade s = shade<F>(record, px, Lanes(py - record[1]));
          const Blend b = blend(s, t, alive);
          if (HWY_UNLIKELY(b.stops)) {
            lane_select(b.stop, t, Lanes::load(left_state + at)).store(left_state + at);
            alive = and_not(b.stop, alive);
          }
          t = b.next;
          const float* feature = record + kFeaturesAt<F>;
          if constexpr (kChannels > 0) {
            for (int c = 0; c < kChannels; ++c)
              acc[c] = lane_fma(b.weight, Lanes(feature[c]), acc[c]);
          } else {
            float* p = color + at;
            for (int c = 0; c < channels; ++c, p += kPixels)
              lane_fma(b.weight, Lanes(feature[c]), Lanes::load(p)).store(p);
          }
          if (HWY_UNLIKELY(b.stops) && none(alive)) break;
        }
        t.store(t_state + at);
        if constexpr (kChannels > 0)
          for (int c = 0; c < kChannels; ++c) acc[c].store(color + c * kPixels + at);
        finished &= none(alive);
      }
      if (finished) live &= ~(uint64_t{1} << block);
    }
  }

  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    const float left = t_state[at] > 0 ? t_state[at] : left_state[at];
    out.transmittance[pixel] = left;
    for (int c = 0; c < channels; ++c)
      out.image[pixel * channels + c] =
          color[c * kPixels + at] + (in.background ? left * in.background[c] : 0.0f);
  });
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
  alignas(64) float t_state[kPixels + 16] = {}, rest_state[kPixels + 16] = {};
  scratch.v_color.assign(static_cast<size_t>(channels) * kPixels + 16, 0.0f);
  scratch.sums.resize(static_cast<size_t>(channels) * kLanes);
  float* const v_color = scratch.v_color.data();
  // rest = (T at the end) * (d loss / d alpha - v . background) - v . (what lies behind), see the
  // reference; before the first primitive the background's two parts cancel. Where a pixel is
  // finished, t and rest are 0, and so is every gradient.
  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    float rest = v.alpha ? forward.transmittance[pixel] * v.alpha[pixel] : 0.0f;
    for (int c = 0; c < channels; ++c) {
      const float g = v.image ? v.image[pixel * channels + c] : 0.0f;
      v_color[c * kPixels + at] = g;
      rest -= g * forward.image[pixel * channels + c];
    }
    t_state[at] = 1.0f;
    rest_state[at] = rest;
  });
  uint64_t live = frame.blocks();

  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e = begin; e < end; ++e) {
    float* const part =
        parts + static_cast<int64_t>(in.lists->slot[static_cast<size_t>(e)]) * stride;
    const float* record = records.at(in.lists->splat[static_cast<size_t>(e)]);
    const uint64_t crossed = live == 0 ? 0 : frame.crossed<F>(record) & live;
    if (crossed == 0) {
      std::memset(part, 0, sizeof(float) * static_cast<size_t>(stride));
      continue;
    }
    const float* feature = record + kFeaturesAt<F>;
    Lanes sums[F::kSums], v_log_sum(0.0f), abs_x(0.0f), abs_y(0.0f);
    for (Lanes& s : sums) s = Lanes(0.0f);
    Lanes v_feature[kChannels ? kChannels : 1];
    if constexpr (kChannels > 0) {
      for (Lanes& s : v_feature) s = Lanes(0.0f);
    } else {
      std::fill(scratch.sums.begin(), scratch.sums.end(), 0.0f);
    }
    for (uint64_t bits = crossed; bits != 0; bits &= bits - 1) {
      const int block = std::countr_zero(bits);
      const Lanes dy = Lanes(frame.py[block % kTile] - record[1]);
      for (int offset = 0; offset < kBlock; offset += kStep) {
        const int at = block * kBlock + offset;
        Shade s = shade<F>(record, Lanes::load(frame.px + block / kTile * kBlock + offset), dy);
        const Lanes t = Lanes::load(t_state + at);
        const Blend b = blend(s, t, t > Lanes(0.0f));
        if (HWY_UNLIKELY(b.stops)) s.seen = and_not(b.stop, s.seen);
        b.next.store(t_state + at);
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
            float* sum_of = scratch.sums.data() + c * kLanes;
            lane_fma(b.weight, g, Lanes::load(sum_of)).store(sum_of);
          }
        }
        Lanes rest = lane_fma(b.weight, dot, Lanes::load(rest_state + at));
        const Lanes v_alpha = lane_fma(t, dot, rest / (Lanes(1.0f) - s.alpha));
        if (HWY_UNLIKELY(b.stops)) {
          rest = lane_select(b.stop, Lanes(0.0f), rest);
          bool dead = true;
          for (int k = 0; k < kBlock; k += kStep)
            dead &= none(Lanes::load(t_state + block * kBlock + k) > Lanes(0.0f));
          if (dead) live &= ~(uint64_t{1} << block);
        }
        rest.store(rest_state + at);
        // no gradient where nothing was blended and where alpha was clamped
        const LaneMask free = s.seen & (s.raw <= Lanes(static_cast<float>(kMaxAlpha)));
        const Lanes v_log = lane_or_zero(free, v_alpha * s.raw);  // by the logarithm of alpha
        F::template accumulate<Lanes>(s.dx, dy, v_log, sums);
        v_log_sum += v_log;
        if constexpr (kAbsolute) {
          Lanes params[F::kParams], gx, gy;
          for (int k = 0; k < F::kParams; ++k) params[k] = Lanes(record[kParamsAt<F> + k]);
          F::template centre_gradient<Lanes>(s.dx, dy, params, v_log, gx, gy);
          abs_x += lane_abs(gx);
          abs_y += lane_abs(gy);
        }
      }
    }
    for (int k = 0; k < F::kSums; ++k) part[k] = sum(sums[k]);
    const float v_log = sum(v_log_sum);
    part[F::kSums] = v_log == 0 ? 0 : v_log / record[2];
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
