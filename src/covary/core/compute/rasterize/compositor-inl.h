// The SIMD compositor. A tile is cut into columns a vector wide. For a batch of primitives, nearest first, the
// rows of each column that a primitive's chords cross are listed; then the list is computed, two rows at a
// time, without a branch. The pixels' state stays in the first-level cache.
//
// Written for any footprint; simd.cc and convex_kernel.cc include it once a target, after <hwy/highway.h>, each with
// the footprints that it compiles: they are many instances, and a file each builds side by side.
#if defined(COVARY_COMPOSITOR_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_COMPOSITOR_INL_H_
#undef COVARY_COMPOSITOR_INL_H_
#else
#define COVARY_COMPOSITOR_INL_H_
#endif

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes-inl.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/rasterize/rasterize.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

constexpr int kColumns = kTile / kLanes;
constexpr int kState = kColumns * kTile * kLanes;  // numbers in an array that holds a tile's pixels
constexpr int kItemRows = 2;                       // rows of an item
constexpr int kBatch = 16;  // primitives that are planned before they are computed
constexpr int kItems = kBatch * kColumns * kTile / kItemRows;
static_assert(kLanes <= kTile && kTile % kItemRows == 0 && kTile <= 32);

// A primitive as the kernels read it, one after the other: x, y, opacity and its logarithm to base 2, then
// chord and prepared params of the footprint, features. With up to six channels and a Gaussian it fills a
// cache line.
constexpr int kChordAt = 4;
template <class F>
constexpr int kPreparedAt = kChordAt + F::kChord;
template <class F>
constexpr int kFeaturesAt = kPreparedAt<F> + F::kPrepared;

// Whether a footprint's terms are of a number of edges that differs between primitives: then it reads them where
// they lie, and not one more than there are (footprint_convex.inc).
template <class F>
constexpr bool kByEdges = requires { F::kByEdges; };

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
      F::prepare(params, in.opacities[i], out + kPreparedAt<F>);
      std::copy_n(in.features + i * in.channels, in.channels, out + kFeaturesAt<F>);
    }
  });
  return r;
}

// Where the pixels of row y in column c begin in an array that holds a tile's pixels.
constexpr int place(int column, int row) { return (column * kTile + row) * kLanes; }

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
  // Calls use(place of the vector in the tile's arrays, number of its first pixel in the picture), if all of
  // the tile lies in it; else returns false.
  template <class Use>
  HWY_INLINE bool for_vectors(int64_t width, Use&& use) const {
    if (rows < kTile || columns < kTile) return false;
    for (int y = 0; y < kTile; ++y) {
      for (int c = 0; c < kColumns; ++c)
        use(place(c, y), static_cast<int64_t>(y0 + y) * width + x0 + c * kLanes);
    }
    return true;
  }
  // Calls use(place of the pixel in the tile's arrays, column, row) for the pixels of the picture.
  template <class Use>
  HWY_INLINE void for_pixels(Use&& use) const {
    for (int y = 0; y < rows; ++y) {
      for (int x = 0; x < columns; ++x) use(place(x / kLanes, y) + x % kLanes, x, y);
    }
  }
};

// Transmittance of a tile's pixels. Where a primitive would bring a pixel to the end, that pixel stops
// before it and is finished: from then on it holds what was left, negative. No primitive asks whether one did.
struct Transmittance {
  alignas(64) float t[kState];
  uint32_t rows[kColumns];  // of a column, those that had a pixel to be finished at the last look

  HWY_INLINE explicit Transmittance(const TileFrame& frame) {
    std::fill_n(t, kState, -1.0f);  // beyond the picture
    frame.for_pixels([&](int at, int, int) HWY_ATTR { t[at] = 1.0f; });
    look();
  }
  // False where every pixel is finished.
  HWY_INLINE bool look() {
    uint32_t any = 0;
    for (int c = 0; c < kColumns; ++c) {
      rows[c] = 0;
      for (int y = 0; y < kTile; ++y) {
        const bool open = !none(Lanes::load(t + place(c, y)) > Lanes(0.0f));
        rows[c] |= static_cast<uint32_t>(open) << y;
      }
      any |= rows[c];
    }
    return any != 0;
  }
};

// A vector of pixels behind a primitive of this alpha.
struct Blend {
  Lanes t;        // before it; meaningless where not `open`
  LaneMask open;  // not finished before nor by it
  Lanes weight;   // T * alpha

  HWY_INLINE Blend(Lanes alpha, float* state) {
    t = Lanes::load(state);
    const Lanes next = lane_fma(-t, alpha, t);
    open = next > Lanes(static_cast<float>(kMinTransmittance));
    weight = lane_or_zero(open, t * alpha);
    lane_select(open, next, -lane_abs(t)).store(state);
  }
};

// Primitives in a tile: first what there is to compute for all of them, without a branch; then that, as a
// list. A loop over the rows of each primitive in turn would end where no processor foresees it.
// An item is kItemRows rows of a column; its number is (slot * kColumns + column) * kTile + row.
template <class F>
struct Batch {
  int count = 0;  // items
  const float* record[kBatch];
  int begin[kBatch * kColumns + 1];  // of each primitive's items in each column
  uint32_t items[kItems + kLanes];
  alignas(64) float terms[kBatch][F::kRowTerms][kTile];  // F::row_terms of every row

  // The primitives list[0 .. primitives).
  HWY_INLINE void plan(const Records& records, const uint32_t* list, int primitives,
                       const TileFrame& frame, const Transmittance& state) {
    count = 0;
    for (int slot = 0; slot < primitives; ++slot)
      plan_one(records.at(list[slot]), slot, frame, state);
    begin[primitives * kColumns] = count;
  }

  HWY_INLINE void plan_one(const float* r, int slot, const TileFrame& frame,
                           const Transmittance& state) {
    record[slot] = r;
    Lanes chord[F::kChord], prepared[F::kPrepared];
    for (int k = 0; k < F::kChord; ++k) chord[k] = Lanes(r[kChordAt + k]);
    for (int k = 0; k < F::kPrepared; ++k) prepared[k] = Lanes(r[kPreparedAt<F> + k]);
    uint32_t rows[kColumns] = {};
    for (int y = 0; y < kTile; y += kLanes) {
      const Lanes dy = Lanes::load(frame.py + y) - Lanes(r[1]);
      Lanes middle, square, row[F::kRowTerms];
      F::template row_terms<Lanes>(dy, Lanes(r[3]), prepared, row);
      for (int k = 0; k < F::kRowTerms; ++k) row[k].store(terms[slot][k] + y);
      F::template chord_at<Lanes>(dy, chord, middle, square);
      const Lanes centre = Lanes(r[0]) + middle;
      for (int c = 0; c < kColumns; ++c) {
        // from the chord's middle to the nearest pixel, a little less
        const Lanes apart = lane_max(Lanes(frame.px[c * kLanes] - 0.01f) - centre,
                                     centre - Lanes(frame.px[c * kLanes + kLanes - 1] + 0.01f));
        const Lanes near = lane_max(apart, Lanes(0.0f));
        rows[c] |= static_cast<uint32_t>(lane_bits(near * near <= square)) << y;
      }
    }
    for (int c = 0; c < kColumns; ++c) {
      uint32_t first = rows[c] & state.rows[c];  // a bit for the first row of each item
      if constexpr (kItemRows == 2) first = (first | first >> 1) & 0x55555555u;
      begin[slot * kColumns + c] = count;
      for (int y = 0; y < kTile; y += kLanes) {
        count += static_cast<int>(
            store_set_bits(first >> y, (slot * kColumns + c) * kTile + y, items + count));
      }
    }
  }
};

// An item at work.
template <class F>
struct Item {
  uint32_t slot, column, row, at;  // at: place of its first pixel
  const float* record;
  Lanes dx;

  Item() = default;
  HWY_INLINE Item(const Batch<F>& batch, const TileFrame& frame, uint32_t number)
      : slot(number / (kColumns * kTile)),
        column(number / kTile % kColumns),
        row(number % kTile),
        at(number % (kColumns * kTile) * kLanes),
        record(batch.record[slot]),
        dx(Lanes::load(frame.px + column * kLanes) - Lanes(record[0])) {}

  HWY_INLINE void row_terms(const Batch<F>& batch, int u, Lanes* out) const {
    for (int k = 0; k < F::kRowTerms; ++k)
      out[k] = Lanes(batch.terms[slot][k][row + static_cast<uint32_t>(u)]);
  }
};

// alpha of the rows of kCount items, one item after the other, and their pixels' terms: see
// footprint_gaussian.inc.
template <bool kGradient, int kCount, class F>
HWY_INLINE void shade(const Batch<F>& batch, const Item<F>* items, Lanes* alpha,
                      Lanes (*terms)[F::kPixelTerms + 1]) {
  if constexpr (kByEdges<F>) {
    static_assert(kCount == 1);
    F::template shade_by_edges<kItemRows, kGradient, Lanes>(
        items->dx, Lanes(items->record[2]), items->record + kPreparedAt<F>,
        &batch.terms[items->slot][0][items->row], kTile, alpha, terms);
  } else {
    Lanes dx[kCount], prepared[kCount][F::kPrepared], row[kCount * kItemRows][F::kRowTerms];
    for (int n = 0; n < kCount; ++n) {
      dx[n] = items[n].dx;
      for (int k = 0; k < F::kPrepared; ++k)
        prepared[n][k] = Lanes(items[n].record[kPreparedAt<F> + k]);
      for (int u = 0; u < kItemRows; ++u) items[n].row_terms(batch, u, row[n * kItemRows + u]);
    }
    F::template shade<kCount, kItemRows, kGradient, Lanes>(dx, row, prepared, alpha, terms);
  }
}

// Calls use(its place in the list, item, alpha of its rows, terms of its rows) for the batch's items in
// order.
template <bool kGradient, class F, class Use>
HWY_INLINE void for_items(const Batch<F>& batch, const TileFrame& frame, Use&& use) {
  const auto work = [&]<int kCount>(int i) HWY_ATTR {
    Item<F> items[kCount];
    for (int n = 0; n < kCount; ++n) items[n] = Item<F>(batch, frame, batch.items[i + n]);
    Lanes alpha[kCount * kItemRows], terms[kCount * kItemRows][F::kPixelTerms + 1];
    shade<kGradient, kCount>(batch, items, alpha, terms);
    for (int n = 0; n < kCount; ++n)
      use(i + n, items[n], alpha + n * kItemRows, terms + n * kItemRows);
  };
  int i = 0;
  if constexpr (F::kInStep > 1)
    for (; i + F::kInStep <= batch.count; i += F::kInStep) work.template operator()<F::kInStep>(i);
  for (; i < batch.count; ++i) work.template operator()<1>(i);
}

// Calls use(first entry, primitives) for the tile's batches until every pixel is finished; returns the entry
// that is next.
template <class F, class Use>
HWY_INLINE int64_t for_batches(const RasterInput<float>& in, const Records& records, int64_t tile,
                               const TileFrame& frame, Transmittance& state, Batch<F>& batch,
                               Use&& use) {
  const uint32_t* const list = in.lists->splat.data();
  int64_t e = in.lists->begin[static_cast<size_t>(tile)];
  const int64_t end = in.lists->begin[static_cast<size_t>(tile) + 1];
  while (e < end) {
    const int primitives = static_cast<int>(std::min<int64_t>(kBatch, end - e));
    for (int64_t next = e + primitives; next < std::min(end, e + 2 * kBatch); ++next)
      hwy::Prefetch(records.at(list[next]));
    batch.plan(records, list + e, primitives, frame, state);
    use(e, primitives);
    e += primitives;
    if (!state.look()) break;
  }
  return e;
}

// A worker's memory.
struct Scratch {
  hwy::AlignedFreeUniquePtr<float[]> pixels;  // [C, kState]: channels of a tile's pixels
  hwy::AlignedFreeUniquePtr<float[]> items;   // [kItems, numbers, kItemRows, lanes]
  Scratch(int channels, int item_numbers)
      : pixels(allocate(int64_t{channels} * kState + 1)),
        items(allocate(int64_t{item_numbers} * kItems * kItemRows * kLanes + 1)) {}
};
std::vector<Scratch> scratch_of_workers(int channels, int item_numbers) {
  std::vector<Scratch> all;
  for (int i = 0; i < threads(); ++i) all.emplace_back(channels, item_numbers);
  return all;
}

// What the backward pass keeps of a pixel of an item: gradient by log alpha, weight, the footprint's terms.
template <class F>
constexpr int kItemNumbers = 2 + F::kPixelTerms;

// kChannels = 0: any number.
template <class F, int kChannels>
void forward_tile(const RasterInput<float>& in, const Records& records,
                  const RasterOutput<float>& out, int64_t tile, Scratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  Transmittance state(frame);
  float* const color = scratch.pixels.get();
  std::fill_n(color, channels * kState, 0.0f);
  Batch<F> batch;
  for_batches(in, records, tile, frame, state, batch, [&](int64_t, int) HWY_ATTR {
    for_items<false>(
        batch, frame, [&](int, const Item<F>& item, const Lanes* alpha, const auto*) HWY_ATTR {
          Lanes weight[kItemRows];
          for (int u = 0; u < kItemRows; ++u)
            weight[u] = Blend(alpha[u], state.t + item.at + u * kLanes).weight;
          const float* const feature = item.record + kFeaturesAt<F>;
          float* p = color + item.at;
          for (int k = 0; k < channels; ++k, p += kState) {
            const Lanes f(feature[k]);
            for (int u = 0; u < kItemRows; ++u)
              lane_fma(weight[u], f, Lanes::load(p + u * kLanes)).store(p + u * kLanes);
          }
        });
  });

  if constexpr (kChannels == 3) {
    Lanes background[3];
    for (int c = 0; c < 3; ++c) background[c] = Lanes(in.background ? in.background[c] : 0.0f);
    if (frame.for_vectors(in.grid.width, [&](int at, int64_t pixel) HWY_ATTR {
          const Lanes left = lane_abs(Lanes::load(state.t + at));
          left.store(out.transmittance + pixel);
          Lanes shown[3];
          for (int c = 0; c < 3; ++c)
            shown[c] = lane_fma(left, background[c], Lanes::load(color + c * kState + at));
          store_pixels(shown, out.image + 3 * pixel);
        }))
      return;
  }
  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    const float left = std::abs(state.t[at]);
    out.transmittance[pixel] = left;
    for (int c = 0; c < channels; ++c)
      out.image[pixel * channels + c] =
          color[c * kState + at] + (in.background ? left * in.background[c] : 0.0f);
  });
}

// What the pixels of a tile bring to the gradient of a primitive in it, from the items' gradients and weights.
template <class F, int kChannels, bool kAbsolute>
void sum_part(const RasterInput<float>& in, const TileFrame& frame, const Batch<F>& batch, int slot,
              uint32_t primitive, const float* v_color, const float* of_items, float* part) {
  const int channels = kChannels ? kChannels : in.channels;
  // the sums of the footprint, that of the gradient by log alpha, of the features, of absolute values
  constexpr int kFeatureSums = F::kSums + 1, kAbsoluteSums = kFeatureSums + kChannels,
                kCount = kAbsoluteSums + (kAbsolute ? 2 : 0);
  Lanes sums[kCount];
  for (Lanes& s : sums) s = Lanes(0.0f);
  for (int c = 0; c < kColumns; ++c) {
    const int begin = batch.begin[slot * kColumns + c], end = batch.begin[slot * kColumns + c + 1];
    if (begin == end) continue;
    Lanes column[F::kColumnSums];
    for (Lanes& s : column) s = Lanes(0.0f);
    const Lanes dx = Lanes::load(frame.px + c * kLanes) - Lanes(batch.record[slot][0]);
    for (int i = begin; i < end; ++i) {
      const Item<F> item(batch, frame, batch.items[i]);
      const float* const own = of_items + i * kItemNumbers<F> * kItemRows * kLanes;
      for (int u = 0; u < kItemRows; ++u) {
        const Lanes v_log = Lanes::load(own + u * kLanes),
                    weight = Lanes::load(own + (kItemRows + u) * kLanes);
        [[maybe_unused]] Lanes terms[F::kPixelTerms + 1];
        if constexpr (kByEdges<F>) {
          const Lanes dy = Lanes(batch.terms[slot][0][item.row + static_cast<uint32_t>(u)]);
          F::template accumulate_by_edges<Lanes>(static_cast<int>(item.record[kPreparedAt<F>]),
                                                 v_log, dy, own + (2 * kItemRows + u) * kLanes,
                                                 kItemRows * kLanes, column);
        } else {
          Lanes row[F::kRowTerms];
          item.row_terms(batch, u, row);
          for (int k = 0; k < F::kPixelTerms; ++k)
            terms[k] = Lanes::load(own + ((2 + k) * kItemRows + u) * kLanes);
          F::template accumulate_row<Lanes>(v_log, row, terms, column);
        }
        for (int k = 0; k < kChannels; ++k)
          sums[kFeatureSums + k] =
              lane_fma(weight, Lanes::load(v_color + k * kState + item.at + u * kLanes),
                       sums[kFeatureSums + k]);
        if constexpr (kAbsolute) {
          Lanes params[F::kParams], gx, gy;
          if constexpr (kByEdges<F>)
            for (int k = 0; k < F::kPixelTerms; ++k)
              terms[k] = Lanes::load(own + ((2 + k) * kItemRows + u) * kLanes);
          for (int k = 0; k < F::kParams; ++k)
            params[k] = Lanes(in.params[static_cast<int64_t>(primitive) * F::kParams + k]);
          const Lanes dy = Lanes(frame.py[item.row + static_cast<uint32_t>(u)] - item.record[1]);
          F::template centre_gradient<Lanes>(dx, dy, params, terms, v_log, gx, gy);
          sums[kAbsoluteSums] += lane_abs(gx);
          sums[kAbsoluteSums + 1] += lane_abs(gy);
        }
      }
    }
    F::template accumulate_column<Lanes>(dx, column, sums, sums[F::kSums]);
  }
  float total[kCount + 4];
  sum_each<kCount>(sums, total);
  total[F::kSums] = total[F::kSums] == 0 ? 0 : total[F::kSums] / batch.record[slot][2];
  std::copy_n(total, kAbsoluteSums, part);
  if constexpr (kChannels == 0) {
    for (int k = 0; k < channels; ++k) {
      Lanes feature(0.0f);
      for (int i = batch.begin[slot * kColumns]; i < batch.begin[(slot + 1) * kColumns]; ++i) {
        const Item<F> item(batch, frame, batch.items[i]);
        for (int u = 0; u < kItemRows; ++u)
          feature =
              lane_fma(Lanes::load(of_items + ((kItemNumbers<F> * i + 1) * kItemRows + u) * kLanes),
                       Lanes::load(v_color + k * kState + item.at + u * kLanes), feature);
      }
      part[kFeatureSums + k] = sum(feature);
    }
  }
  if constexpr (kAbsolute) std::copy_n(total + kAbsoluteSums, 2, part + kFeatureSums + channels);
}

template <class F, int kChannels, bool kAbsolute>
void backward_tile(const RasterInput<float>& in, const Records& records,
                   const RasterOutput<float>& forward, const RasterGradients<float>& v,
                   int64_t tile, float* parts, int stride, Scratch& scratch) {
  const int channels = kChannels ? kChannels : in.channels;
  const TileFrame frame(in.grid, tile);
  alignas(64) float rest_state[kState] = {};
  float* const v_color = scratch.pixels.get();
  std::fill_n(v_color, channels * kState, 0.0f);
  // rest = (T at the end) * (d loss / d alpha - v . background) - v . (what lies behind), see the
  // reference; before the first primitive the background's two parts cancel.
  const auto take = [&](int at, int64_t pixel) HWY_ATTR {
    Lanes rest = v.alpha ? Lanes::load(forward.transmittance + pixel) * Lanes::load(v.alpha + pixel)
                         : Lanes(0.0f);
    Lanes g[3], image[3];
    load_interleaved<3>(v.image + 3 * pixel, g);
    load_interleaved<3>(forward.image + 3 * pixel, image);
    for (int c = 0; c < 3; ++c) {
      g[c].store(v_color + c * kState + at);
      rest -= g[c] * image[c];
    }
    rest.store(rest_state + at);
  };
  const bool whole = kChannels == 3 && v.image && frame.for_vectors(in.grid.width, take);
  if (!whole)
    frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
      const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
      float rest = v.alpha ? forward.transmittance[pixel] * v.alpha[pixel] : 0.0f;
      for (int c = 0; c < channels; ++c) {
        const float g = v.image ? v.image[pixel * channels + c] : 0.0f;
        v_color[c * kState + at] = g;
        rest -= g * forward.image[pixel * channels + c];
      }
      rest_state[at] = rest;
    });
  Transmittance state(frame);
  Batch<F> batch;
  const int64_t next = for_batches(
      in, records, tile, frame, state, batch, [&](int64_t first, int primitives) HWY_ATTR {
        for_items<true>(
            batch, frame,
            [&](int i, const Item<F>& item, const Lanes* alpha, const auto* terms) HWY_ATTR {
              Lanes dot[kItemRows];
              for (Lanes& d : dot) d = Lanes(0.0f);
              const float* const feature = item.record + kFeaturesAt<F>;
              const float* p = v_color + item.at;
              for (int k = 0; k < channels; ++k, p += kState) {
                const Lanes f(feature[k]);
                for (int u = 0; u < kItemRows; ++u)
                  dot[u] = lane_fma(Lanes::load(p + u * kLanes), f, dot[u]);
              }
              float* const own = scratch.items.get() + i * kItemNumbers<F> * kItemRows * kLanes;
              for (int u = 0; u < kItemRows; ++u) {
                const Blend blend(alpha[u], state.t + item.at + u * kLanes);
                float* const at = rest_state + item.at + u * kLanes;
                const Lanes rest = lane_fma(blend.weight, dot[u], Lanes::load(at));
                rest.store(at);
                const Lanes v_alpha = lane_fma(blend.t, dot[u], rest / (Lanes(1.0f) - alpha[u]));
                // by the logarithm of alpha; the clamp passes no gradient
                const LaneMask free =
                    blend.open & (alpha[u] < Lanes(static_cast<float>(kMaxAlpha)));
                lane_or_zero(free, v_alpha * alpha[u]).store(own + u * kLanes);
                blend.weight.store(own + (kItemRows + u) * kLanes);
                for (int k = 0; k < F::kPixelTerms; ++k)
                  terms[u][k].store(own + ((2 + k) * kItemRows + u) * kLanes);
              }
            });
        for (int slot = 0; slot < primitives; ++slot) {
          sum_part<F, kChannels, kAbsolute>(
              in, frame, batch, slot, in.lists->splat[static_cast<size_t>(first + slot)], v_color,
              scratch.items.get(), parts + (first + slot) * stride);
        }
      });
  const int64_t end = in.lists->begin[static_cast<size_t>(tile) + 1];
  std::fill(parts + next * stride, parts + end * stride, 0.0f);
}

// Sets largest[e] for the tile's entries.
template <class F>
void largest_tile(const RasterInput<float>& in, const Records& records, int64_t tile,
                  float* largest) {
  const TileFrame frame(in.grid, tile);
  Transmittance state(frame);
  Batch<F> batch;
  const int64_t next = for_batches(
      in, records, tile, frame, state, batch, [&](int64_t first, int primitives) HWY_ATTR {
        std::fill_n(largest + first, primitives, 0.0f);
        for_items<false>(
            batch, frame, [&](int, const Item<F>& item, const Lanes* alpha, const auto*) HWY_ATTR {
              Lanes most(0.0f);
              for (int u = 0; u < kItemRows; ++u)
                most = lane_max(most, Blend(alpha[u], state.t + item.at + u * kLanes).weight);
              alignas(64) float lanes[kLanes];
              most.store(lanes);
              float& of_entry = largest[first + item.slot];
              of_entry = std::max(of_entry, *std::max_element(lanes, lanes + kLanes));
            });
      });
  std::fill(largest + next, largest + in.lists->begin[static_cast<size_t>(tile) + 1], 0.0f);
}

// Sets squares[e] for the tile's entries; image: of the forward pass.
template <class F>
void sensitivity_tile(const RasterInput<float>& in, const Records& records, const float* image,
                      int64_t tile, Scratch& scratch, float* squares) {
  const int channels = in.channels;
  const TileFrame frame(in.grid, tile);
  Transmittance state(frame);
  float* const behind = scratch.pixels.get();  // of a pixel's colour, what is left to come
  std::fill_n(behind, channels * kState, 0.0f);
  frame.for_pixels([&](int at, int x, int y) HWY_ATTR {
    const int64_t pixel = static_cast<int64_t>(frame.y0 + y) * in.grid.width + frame.x0 + x;
    for (int c = 0; c < channels; ++c) behind[c * kState + at] = image[pixel * channels + c];
  });
  Batch<F> batch;
  const int64_t next = for_batches(
      in, records, tile, frame, state, batch, [&](int64_t first, int primitives) HWY_ATTR {
        std::fill_n(squares + first, primitives, 0.0f);
        for_items<false>(
            batch, frame, [&](int, const Item<F>& item, const Lanes* alpha, const auto*) HWY_ATTR {
              const float* const feature = item.record + kFeaturesAt<F>;
              const float opacity = item.record[2];
              Lanes total(0.0f);
              for (int u = 0; u < kItemRows; ++u) {
                const Blend blend(alpha[u], state.t + item.at + u * kLanes);
                const Lanes inverse = Lanes(1.0f) / (Lanes(1.0f) - alpha[u]);
                Lanes square(0.0f);
                float* p = behind + item.at + u * kLanes;
                for (int k = 0; k < channels; ++k, p += kState) {
                  const Lanes f(feature[k]), rest = lane_fma(-blend.weight, f, Lanes::load(p));
                  rest.store(p);
                  const Lanes g = blend.t * f - rest * inverse;
                  square = lane_fma(g, g, square);
                }
                const LaneMask counts = blend.open & (alpha[u] > Lanes(0.0f)) &
                                        (alpha[u] < Lanes(static_cast<float>(kMaxAlpha)));
                total += lane_or_zero(counts, square);
              }
              squares[first + item.slot] += opacity * opacity * sum(total);
            });
      });
  std::fill(squares + next, squares + in.lists->begin[static_cast<size_t>(tile) + 1], 0.0f);
}

// Calls f.template operator()<kChannels>() with the channel counts that are worth an instance of their own.
template <class F, class Call>
void with_channels(int channels, Call&& f) {
  if (channels == 3) return f.template operator()<3>();
  if constexpr (!kByEdges<F>)
    if (channels == 4) return f.template operator()<4>();
  f.template operator()<0>();
}

template <class F>
void rasterize_as(const RasterInput<float>& in, const RasterOutput<float>& out) {
  with_channels<F>(in.channels, [&]<int kChannels>() HWY_ATTR {
    const Records records = pack<F>(in);
    std::vector<Scratch> scratch = scratch_of_workers(in.channels, 0);
    parallel_tasks(in.grid.tiles(), [&](int64_t tile, int worker) HWY_ATTR {
      forward_tile<F, kChannels>(in, records, out, tile, scratch[static_cast<size_t>(worker)]);
    });
  });
}

template <class F>
void rasterize_vjp_as(const RasterInput<float>& in, const RasterOutput<float>& forward,
                      const RasterGradients<float>& v, const RasterInputGradients<float>& out) {
  with_channels<F>(in.channels, [&]<int kChannels>() HWY_ATTR {
    const Records records = pack<F>(in);
    const int stride = F::kSums + 1 + in.channels + (out.absolute ? 2 : 0);
    const auto parts = std::make_unique_for_overwrite<float[]>(
        static_cast<size_t>(in.lists->pairs()) * static_cast<size_t>(stride) + 1);
    std::vector<Scratch> scratch = scratch_of_workers(in.channels, kItemNumbers<F>);
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

template <class F>
void largest_weights_as(const RasterInput<float>& in, float* largest) {
  std::vector<float> of_entry(static_cast<size_t>(in.lists->pairs()));
  const Records records = pack<F>(in);
  parallel_tasks(in.grid.tiles(), [&](int64_t tile) HWY_ATTR {
    largest_tile<F>(in, records, tile, of_entry.data());
  });
  for (int64_t i = 0; i < in.count; ++i) {
    largest[i] = 0;
    for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
         s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s)
      largest[i] = std::max(largest[i], of_entry[in.lists->entry[static_cast<size_t>(s)]]);
  }
}

template <class F>
void squared_sensitivities_as(const RasterInput<float>& in, const float* image, double* out) {
  std::vector<float> of_entry(static_cast<size_t>(in.lists->pairs()));
  const Records records = pack<F>(in);
  std::vector<Scratch> scratch = scratch_of_workers(in.channels, 0);
  parallel_tasks(in.grid.tiles(), [&](int64_t tile, int worker) HWY_ATTR {
    sensitivity_tile<F>(in, records, image, tile, scratch[static_cast<size_t>(worker)],
                        of_entry.data());
  });
  for (int64_t i = 0; i < in.count; ++i) {
    out[i] = 0;
    for (int64_t s = in.lists->first_entry[static_cast<size_t>(i)];
         s < in.lists->first_entry[static_cast<size_t>(i) + 1]; ++s)
      out[i] += static_cast<double>(of_entry[in.lists->entry[static_cast<size_t>(s)]]);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
