// The SIMD compositor. A tile is cut into columns a vector wide. Primitive by primitive, nearest first,
// and column by column, the rows that the primitive's chords cross are computed, four at a time: their
// long ways through the exponential overlap. The pixels' state stays in the first-level cache.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>

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

constexpr int kColumns = kTile / kLanes;
constexpr int kGroup = 4;  // rows at a time
constexpr int kRows =
    kTile + kGroup;  // rows of a column in the arrays: a group may begin at the last
constexpr int kState = kColumns * kRows * kLanes;  // numbers in an array that holds a tile's pixels
constexpr int kPrefetch = 8;  // primitives between the one at work and the one that is fetched
static_assert(kLanes <= kTile && kTile <= 32);

// A primitive as the kernels read it, one after the other: x, y, opacity and its logarithm to base 2, then
// chord and prepared params of the footprint, features. With up to six channels and a Gaussian it fills a
// cache line.
constexpr int kChordAt = 4;
template <class F>
constexpr int kPreparedAt = kChordAt + F::kChord;
template <class F>
constexpr int kFeaturesAt = kPreparedAt<F> + F::kPrepared;

hwy::AlignedFreeUniquePtr<float[]> allocate(int64_t count) {
  auto data = hwy::AllocateAligned<float>(static_cast<size_t>(count));
  if (!data) throw std::bad_alloc();
  return data;
}

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
  r.data = allocate(in.count * r.stride + kLine);
  parallel_for(in.count, 4096, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = r.data.get() + i * r.stride;
      const float* params = in.params + i * F::kParams;
      out[0] = in.centres[2 * i];
      out[1] = in.centres[2 * i + 1];
      out[2] = in.opacities[i];
      out[3] = std::log2(in.opacities[i]);
      F::chord(params, in.extents[i], out + kChordAt);
      F::prepare(params, out + kPreparedAt<F>);
      std::copy_n(in.features + i * in.channels, in.channels, out + kFeaturesAt<F>);
    }
  });
  return r;
}

// Where the pixels of row y in column c begin in an array that holds a tile's pixels.
constexpr int place(int column, int row) { return (column * kRows + row) * kLanes; }

struct TileFrame {
  int x0, y0, rows, columns;
  alignas(64) float px[kTile];
  alignas(64) float py[kTile];

  HWY_INLINE TileFrame(const TileGrid& g, int64_t tile) {
    x0 = static_cast<int>(tile % g.tiles_x()) * kTile;
    y0 = static_cast<int>(tile / g.tiles_x()) * kTile;
    rows = std::min(kTile, g.height - y0);
    columns = std::min(kTile, g.width - x0);
    for (int i = 0; i < kTile; ++i) {
      px[i] = static_cast<float>(g.offset_x + g.stride * (x0 + i)) + 0.5f;
      py[i] = static_cast<float>(g.offset_y + g.stride * (y0 + i)) + 0.5f;
    }
  }
  // Calls use(place of the pixel in the tile's arrays, column, row) for the pixels of the picture.
  template <class Use>
  HWY_INLINE void for_pixels(Use&& use) const {
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) use(place(x / kLanes, y) + x % kLanes, x, y);
    }
  }
};

// The rows of the tile's columns that still have a pixel to be finished, a bit each.
struct Live {
  uint32_t rows[kColumns] = {};
  int count = 0;

  HWY_INLINE explicit Live(const TileFrame& frame) {
    for (int c = 0; c < kColumns && c * kLanes < frame.columns; ++c) {
      rows[c] = static_cast<uint32_t>((uint64_t{1} << frame.rows) - 1);
      count += frame.rows;
    }
  }
  HWY_INLINE void finish(int column, int row) {
    rows[column] &= ~(uint32_t{1} << row);
    --count;
  }
};

// The rows of a column that a primitive crosses, as [begin, end).
struct Span {
  int begin, end;
  HWY_INLINE explicit Span(uint32_t rows)
      : begin(std::countr_zero(rows)), end(32 - std::countl_zero(rows)) {}
};

// A primitive in a tile.
template <class F>
struct Visit {
  const float* record;
  uint32_t
      rows[kColumns];  // a bit for each row that its chords cross in a column and that is alive
  alignas(64) float terms[F::kRowTerms][kRows] = {};  // F::row_terms of every row

  // False where there is nothing to compute.
  HWY_INLINE bool start(const float* primitive, const TileFrame& frame, const Live& live) {
    record = primitive;
    Lanes chord[F::kChord], prepared[F::kPrepared];
    for (int k = 0; k < F::kChord; ++k) chord[k] = Lanes(record[kChordAt + k]);
    for (int k = 0; k < F::kPrepared; ++k) prepared[k] = Lanes(record[kPreparedAt<F> + k]);
    for (uint32_t& r : rows) r = 0;
    for (int y = 0; y < kTile; y += kLanes) {
      const Lanes dy = Lanes::load(frame.py + y) - Lanes(record[1]);
      Lanes middle, square, row[F::kRowTerms];
      F::template row_terms<Lanes>(dy, Lanes(record[3]), prepared, row);
      for (int k = 0; k < F::kRowTerms; ++k) row[k].store(terms[k] + y);
      F::template chord_at<Lanes>(dy, chord, middle, square);
      const LaneMask there = square >= Lanes(0.0f);
      const Lanes half = lane_sqrt(lane_max(square, Lanes(0.0f))) + Lanes(0.01f);
      const Lanes centre = Lanes(record[0]) + middle;
      for (int c = 0; c < kColumns; ++c) {
        const LaneMask touched = there &
                                 (centre - half <= Lanes(frame.px[c * kLanes + kLanes - 1])) &
                                 (centre + half >= Lanes(frame.px[c * kLanes]));
        rows[c] |= static_cast<uint32_t>(lane_bits(touched)) << y;
      }
    }
    uint32_t any = 0;
    for (int c = 0; c < kColumns; ++c) any |= rows[c] &= live.rows[c];
    return any != 0;
  }

  // Calls use(column, its rows, x offsets of its pixels) for the columns in which there is something.
  template <class Use>
  HWY_INLINE void for_columns(const TileFrame& frame, Use&& use) const {
    for (int c = 0; c < kColumns; ++c) {
      if (rows[c] != 0)
        use(c, Span(rows[c]), Lanes::load(frame.px + c * kLanes) - Lanes(record[0]));
    }
  }
  HWY_INLINE void row(int y, Lanes* out) const {
    for (int k = 0; k < F::kRowTerms; ++k) out[k] = Lanes(terms[k][y]);
  }
  // alpha in a group of rows from y on at x offsets dx, 0 where it is below kMinAlpha.
  HWY_INLINE void shade(Lanes dx, int y, Lanes* alpha) const {
    Lanes prepared[F::kPrepared], log2[kGroup];
    for (int k = 0; k < F::kPrepared; ++k) prepared[k] = Lanes(record[kPreparedAt<F> + k]);
    for (int u = 0; u < kGroup; ++u) {
      Lanes r[F::kRowTerms];
      row(y + u, r);
      log2[u] = F::template log2_alpha<Lanes>(dx, r, prepared);
    }
    for (int u = 0; u < kGroup; ++u) alpha[u] = log2[u];
    lane_exp2<kGroup>(alpha);
    for (int u = 0; u < kGroup; ++u) {
      const Lanes a = lane_min(Lanes(static_cast<float>(kMaxAlpha)), alpha[u]);
      alpha[u] = lane_or_zero(log2[u] >= Lanes(static_cast<float>(kLog2MinAlpha)), a);
    }
  }
};

// A primitive over a group of rows of transmittance t, 0 where a pixel is finished. Where it would bring a
// pixel to the end, that pixel stops before it and is finished: nothing is blended.
struct Group {
  Lanes t[kGroup], weight[kGroup],
      next[kGroup];  // weight = T * alpha; next = T behind the primitive
  LaneMask stop[kGroup];

  HWY_INLINE Group(const Lanes* alpha, const float* state) {
    for (int u = 0; u < kGroup; ++u) {
      t[u] = Lanes::load(state + u * kLanes);
      weight[u] = t[u] * alpha[u];
      next[u] = t[u] - weight[u];
      stop[u] = (t[u] > Lanes(0.0f)) & (next[u] <= Lanes(static_cast<float>(kMinTransmittance)));
    }
  }
  HWY_INLINE bool stops() const {
    LaneMask any = stop[0];
    for (int u = 1; u < kGroup; ++u) any = any | stop[u];
    return !none(any);
  }
  // Row u of the group, which is this row of the column.
  HWY_INLINE void finish(int u, int column, int row, Live& live) {
    for (Lanes* x : {&t[u], &weight[u], &next[u]}) *x = lane_select(stop[u], Lanes(0.0f), *x);
    if (!none(stop[u]) && none(next[u] > Lanes(0.0f))) live.finish(column, row);
  }
};

// A worker's memory: channels of a tile's pixels, and a vector a channel.
struct Scratch {
  hwy::AlignedFreeUniquePtr<float[]> pixels;  // [C, kState]
  hwy::AlignedFreeUniquePtr<float[]> sums;    // [C, lanes]
  explicit Scratch(int channels)
      : pixels(allocate(int64_t{channels} * kState + 1)),
        sums(allocate(int64_t{channels} * kLanes + 1)) {}
};
std::vector<Scratch> scratch_of_workers(int channels) {
  std::vector<Scratch> all;
  for (int i = 0; i < threads(); ++i) all.emplace_back(channels);
  return all;
}

// Transmittance t is 0 once a pixel is finished; then `left` holds what it was.
// kChannels = 0: any number, in memory.
template <class F, int kChannels>
void forward_tile(const RasterInput<float>& in, const Records& records,
                  const RasterOutput<float>& out, int64_t tile, Scratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kState] = {}, left_state[kState] = {};
  float* const color = scratch.pixels.get();
  std::fill_n(color, channels * kState, 0.0f);
  frame.for_pixels([&](int at, int, int) HWY_ATTR { t_state[at] = 1.0f; });
  Live live(frame);
  Visit<F> visit;

  const uint32_t* const list = in.lists->splat.data();
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e = begin; e < end && live.count != 0; ++e) {
    hwy::Prefetch(records.at(list[std::min(e + kPrefetch, end - 1)]));
    const float* record = records.at(list[e]);
    if (!visit.start(record, frame, live)) continue;
    const float* const feature = record + kFeaturesAt<F>;
    visit.for_columns(frame, [&](int c, Span span, Lanes dx) HWY_ATTR {
      for (int y = span.begin; y < span.end; y += kGroup) {
        Lanes alpha[kGroup];
        visit.shade(dx, y, alpha);
        Group g(alpha, t_state + place(c, y));
        if (HWY_UNLIKELY(g.stops())) {
          for (int u = 0; u < kGroup; ++u) {
            float* left = left_state + place(c, y + u);
            lane_select(g.stop[u], g.t[u], Lanes::load(left)).store(left);
            g.finish(u, c, y + u, live);
          }
        }
        for (int u = 0; u < kGroup; ++u) g.next[u].store(t_state + place(c, y + u));
        float* p = color + place(c, y);
        for (int k = 0; k < channels; ++k, p += kState) {
          const Lanes f(feature[k]);
          for (int u = 0; u < kGroup; ++u)
            lane_fma(g.weight[u], f, Lanes::load(p + u * kLanes)).store(p + u * kLanes);
        }
      }
    });
  }

  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    const float left = t_state[at] > 0 ? t_state[at] : left_state[at];
    out.transmittance[pixel] = left;
    for (int c = 0; c < channels; ++c)
      out.image[pixel * channels + c] =
          color[c * kState + at] + (in.background ? left * in.background[c] : 0.0f);
  });
}

template <class F, int kChannels, bool kAbsolute>
void backward_tile(const RasterInput<float>& in, const Records& records,
                   const RasterOutput<float>& forward, const RasterGradients<float>& v,
                   int64_t tile, float* parts, int stride, Scratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kState] = {}, rest_state[kState] = {};
  float* const v_color = scratch.pixels.get();
  std::fill_n(v_color, channels * kState, 0.0f);
  // rest = (T at the end) * (d loss / d alpha - v . background) - v . (what lies behind), see the
  // reference; before the first primitive the background's two parts cancel. Where a pixel is
  // finished, t and rest are 0, and so is every gradient.
  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    float rest = v.alpha ? forward.transmittance[pixel] * v.alpha[pixel] : 0.0f;
    for (int c = 0; c < channels; ++c) {
      const float g = v.image ? v.image[pixel * channels + c] : 0.0f;
      v_color[c * kState + at] = g;
      rest -= g * forward.image[pixel * channels + c];
    }
    t_state[at] = 1.0f;
    rest_state[at] = rest;
  });
  Live live(frame);
  Visit<F> visit;

  const uint32_t* const list = in.lists->splat.data();
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e = begin; e < end; ++e) {
    float* const part = parts + e * stride;
    if (live.count == 0) {
      std::memset(part, 0, sizeof(float) * static_cast<size_t>((end - e) * stride));
      break;
    }
    hwy::Prefetch(records.at(list[std::min(e + kPrefetch, end - 1)]));
    const float* record = records.at(list[e]);
    if (!visit.start(record, frame, live)) {
      std::memset(part, 0, sizeof(float) * static_cast<size_t>(stride));
      continue;
    }
    const float* const feature = record + kFeaturesAt<F>;
    // the sums of the footprint, that of the gradient by log alpha, of the features, of absolute values
    constexpr int kFeatureSums = F::kSums + 1, kAbsoluteSums = kFeatureSums + kChannels,
                  kCount = kAbsoluteSums + (kAbsolute ? 2 : 0);
    Lanes sums[kCount];
    for (Lanes& s : sums) s = Lanes(0.0f);
    if constexpr (kChannels == 0) std::fill_n(scratch.sums.get(), channels * kLanes, 0.0f);
    [[maybe_unused]] Lanes many;
    visit.for_columns(frame, [&](int c, Span span, Lanes dx) HWY_ATTR {
      Lanes column[F::kColumnSums];
      for (Lanes& s : column) s = Lanes(0.0f);
      for (int y = span.begin; y < span.end; y += kGroup) {
        Lanes alpha[kGroup];
        visit.shade(dx, y, alpha);
        Group g(alpha, t_state + place(c, y));
        if (HWY_UNLIKELY(g.stops())) {
          for (int u = 0; u < kGroup; ++u) {
            float* rest = rest_state + place(c, y + u);
            lane_select(g.stop[u], Lanes(0.0f), Lanes::load(rest)).store(rest);
            alpha[u] = lane_select(g.stop[u], Lanes(0.0f), alpha[u]);
            g.finish(u, c, y + u, live);
          }
        }
        for (int u = 0; u < kGroup; ++u) g.next[u].store(t_state + place(c, y + u));
        Lanes dot[kGroup];
        for (Lanes& d : dot) d = Lanes(0.0f);
        const float* p = v_color + place(c, y);
        for (int k = 0; k < channels; ++k, p += kState) {
          const Lanes f(feature[k]);
          Lanes& sum = kChannels ? sums[kFeatureSums + k] : many;
          if constexpr (kChannels == 0) sum = Lanes::load(scratch.sums.get() + k * kLanes);
          for (int u = 0; u < kGroup; ++u) {
            const Lanes v_pixel = Lanes::load(p + u * kLanes);
            dot[u] = lane_fma(v_pixel, f, dot[u]);
            sum = lane_fma(g.weight[u], v_pixel, sum);
          }
          if constexpr (kChannels == 0) sum.store(scratch.sums.get() + k * kLanes);
        }
        for (int u = 0; u < kGroup; ++u) {
          float* const state = rest_state + place(c, y + u);
          const Lanes rest = lane_fma(g.weight[u], dot[u], Lanes::load(state));
          rest.store(state);
          const Lanes v_alpha = lane_fma(g.t[u], dot[u], rest / (Lanes(1.0f) - alpha[u]));
          // by the logarithm of alpha; the clamp passes no gradient
          const Lanes v_log =
              lane_or_zero(alpha[u] < Lanes(static_cast<float>(kMaxAlpha)), v_alpha * alpha[u]);
          Lanes row[F::kRowTerms];
          visit.row(y + u, row);
          F::template accumulate_row<Lanes>(v_log, row, column);
          if constexpr (kAbsolute) {
            Lanes params[F::kParams], gx, gy;
            for (int k = 0; k < F::kParams; ++k)
              params[k] = Lanes(in.params[static_cast<int64_t>(list[e]) * F::kParams + k]);
            const Lanes dy = Lanes(frame.py[std::min(y + u, kTile - 1)] - record[1]);
            F::template centre_gradient<Lanes>(dx, dy, params, v_log, gx, gy);
            sums[kAbsoluteSums] += lane_abs(gx);
            sums[kAbsoluteSums + 1] += lane_abs(gy);
          }
        }
      }
      F::template accumulate_column<Lanes>(dx, column, sums, sums[F::kSums]);
    });
    float total[kCount + 4];
    sum_each<kCount>(sums, total);
    total[F::kSums] = total[F::kSums] == 0 ? 0 : total[F::kSums] / record[2];
    std::copy_n(total, kAbsoluteSums, part);
    if constexpr (kChannels == 0) {
      for (int k = 0; k < channels; ++k)
        part[kFeatureSums + k] = sum(Lanes::load(scratch.sums.get() + k * kLanes));
    }
    if constexpr (kAbsolute) std::copy_n(total + kAbsoluteSums, 2, part + kFeatureSums + channels);
  }
}

// Sets largest[e] for the tile's entries.
template <class F>
void largest_tile(const RasterInput<float>& in, const Records& records, int64_t tile,
                  float* largest) {
  const TileFrame frame(in.grid, tile);
  alignas(64) float t_state[kState] = {};
  frame.for_pixels([&](int at, int, int) HWY_ATTR { t_state[at] = 1.0f; });
  Live live(frame);
  Visit<F> visit;
  const int64_t begin = in.lists->begin[static_cast<size_t>(tile)],
                end = in.lists->begin[static_cast<size_t>(tile) + 1];
  for (int64_t e = begin; e < end; ++e) {
    Lanes most(0.0f);
    const float* record = records.at(in.lists->splat[static_cast<size_t>(e)]);
    if (live.count != 0 && visit.start(record, frame, live)) {
      visit.for_columns(frame, [&](int c, Span span, Lanes dx) HWY_ATTR {
        for (int y = span.begin; y < span.end; y += kGroup) {
          Lanes alpha[kGroup];
          visit.shade(dx, y, alpha);
          Group g(alpha, t_state + place(c, y));
          const bool stops = g.stops();
          for (int u = 0; u < kGroup; ++u) {
            if (HWY_UNLIKELY(stops)) g.finish(u, c, y + u, live);
            g.next[u].store(t_state + place(c, y + u));
            most = lane_max(most, g.weight[u]);
          }
        }
      });
    }
    alignas(64) float lanes[kLanes];
    most.store(lanes);
    largest[e] = *std::max_element(lanes, lanes + kLanes);
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
    std::vector<Scratch> scratch = scratch_of_workers(in.channels);
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
    std::vector<Scratch> scratch = scratch_of_workers(in.channels);
    parallel_tasks(in.grid.tiles(), [&](int64_t tile, int worker) HWY_ATTR {
      auto& s = scratch[static_cast<size_t>(worker)];
      if (out.absolute) {
        backward_tile<F, kChannels, true>(in, records, forward, v, tile, parts.get(), stride, s);
      } else {
        backward_tile<F, kChannels, false>(in, records, forward, v, tile, parts.get(), stride, s);
      }
    });
    reduce_parts<float>(in, parts.get(), stride, out);
  });
  if (out.background) background_gradient(in, forward, v, out.background);
}

void largest_weights_lanes(const RasterInput<float>& in, float* largest) {
  std::vector<float> of_entry(static_cast<size_t>(in.lists->pairs()));
  with_footprint(in.footprint, [&]<class F>() HWY_ATTR {
    const Records records = pack<F>(in);
    parallel_tasks(in.grid.tiles(), [&](int64_t tile) HWY_ATTR {
      largest_tile<F>(in, records, tile, of_entry.data());
    });
  });
  for (int64_t i = 0; i < in.count; ++i) {
    largest[i] = 0;
    for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
         s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s)
      largest[i] = std::max(largest[i], of_entry[in.lists->entry[static_cast<size_t>(s)]]);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(rasterize_lanes);
HWY_EXPORT(rasterize_vjp_lanes);
HWY_EXPORT(largest_weights_lanes);

void rasterize(const RasterInput<float>& in, const RasterOutput<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_lanes)(in, out);
}

void rasterize_vjp(const RasterInput<float>& in, const RasterOutput<float>& forward,
                   const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  HWY_DYNAMIC_DISPATCH(rasterize_vjp_lanes)(in, forward, v, out);
}

void largest_weights(const RasterInput<float>& in, float* largest) {
  HWY_DYNAMIC_DISPATCH(largest_weights_lanes)(in, largest);
}

}  // namespace covary::compute
#endif
