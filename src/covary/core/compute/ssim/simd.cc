// How it is laid out. A tile's row is cut into as many stripes as a vector has lanes; vector j of the
// row holds element j of each stripe. A neighbour along the row is then another vector, as a
// neighbour along a column is, so that both windows are the same loop over whole aligned vectors,
// each loaded once for several outputs; and only where a stripe ends do lanes move. The pictures
// are laid out so as they are read, the gradient back as it is written.
//
// Windows are taken along columns first, then along the row. Rows that a column needs are then those
// of the images alone (whose squares and products are made on the way) and of the map's three
// derivatives: five fields, not seven, are kept, and tiles can be wide. They are kept vector by
// vector, all rows of a vector together: a sweep along a row reads memory in order, and which row
// is where is known when the loop is compiled.
#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/ssim/ssim.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/ssim/simd.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef COVARY_SSIM_ONCE
#define COVARY_SSIM_ONCE
namespace covary::compute {
namespace {

constexpr int64_t kPiece = 8;     // pixels of each stripe that are windowed along the row together:
                                  // what becomes of them stays in the first-level cache
constexpr int64_t kStripe = 480;  // widest tile, px: its rows stay in the second-level cache
constexpr int64_t kBand = 60;     // lowest tile, px: each computes up to 20 rows of its neighbours

// Windows are taken of the images less this: variances are then smaller differences of squares,
// and lose fewer digits.
constexpr float kShift = 0.5f;

constexpr float kByte = 1.0f / 255.0f;

// A tile of the gradient, and what the sweep over it needs to know.
struct Tile {
  int64_t top, bottom, left, right;  // px, the gradient's
};

struct Job {
  ImagePair<float> pair;
  float taps[kSsimTaps];
  int64_t rim;       // pixels at the border that the map's mean leaves out
  float scale_l1;    // of sign(x - y) in the gradient
  float scale_ssim;  // of the windowed derivatives
  float* gradient;   // or null
};

// Of a row of a tile.
struct Sums {
  double l1 = 0, ssim = 0;
};

// Rows of a tile with up to 10 pixels of the picture to each side, in stripes. Counts are of floats
// of a stripe, that is, of vectors of a row.
struct Shape {
  Shape(const Job& job, const Tile& tile, int64_t lanes_, int64_t together_, int64_t ring_,
        int64_t windows_)
      : together(together_),
        ring(ring_),
        windows(windows_),
        channels(job.pair.channels),
        lanes(lanes_),
        left(std::max<int64_t>(0, tile.left - 2 * kSsimRadius)),
        inset((tile.left - left) * channels),
        halo(kSsimRadius * channels),
        // Not shorter than a window's half, so that what lies beyond a stripe is in the next.
        stripe(std::max<int64_t>(
                   kSsimRadius,
                   (std::min(job.pair.width, tile.right + 2 * kSsimRadius) - left + lanes - 1) /
                       lanes) *
               channels),
        // Pixels behind the halo: outputs are made several at a time. An odd number of cache
        // lines: the same column of many rows does not fall on the same set.
        wide(16 * (((stripe + 2 * halo + together * channels) * lanes + 15) / 16 | 1)) {}
  int64_t across() const { return stripe * lanes; }  // floats of a row, halo left out
  int64_t piece() const { return (kPiece + together) * channels * lanes; }
  // Floats from vector to vector of what is kept; one vector more than there are rows, for the sets again.
  int64_t images() const { return (2 * ring + 1) * lanes; }
  int64_t slopes() const { return (3 * ring + 1) * lanes; }

  int64_t together;  // pixels whose windows along a row are summed together
  int64_t ring;      // rows kept
  int64_t windows;   // rows of windows along columns
  int64_t channels, lanes;
  int64_t left;   // px, first column of a row
  int64_t inset;  // floats of a row before the tile's own
  int64_t halo, stripe;
  int64_t wide;  // floats from row to row
};

// Working memory of a tile.
class Scratch {
 public:
  Scratch(const Shape& shape, float* memory)
      : wide_(shape.wide),
        piece_(shape.piece()),
        pieces_(memory + wide_ * (kLines + shape.windows)),
        images_(pieces_ + 4 * piece_),
        slopes_(images_ + shape.stripe * shape.images()),
        memory_(memory) {}
  static int64_t floats(const Shape& s) {
    return s.wide * (kLines + s.windows) + 4 * s.piece() + s.stripe * (s.images() + s.slopes());
  }

  // Along the picture's rows.
  float* mask() { return row(0); }
  float* x() { return row(1); }
  float* y() { return row(2); }
  // In stripes.
  float* own() { return row(3); }       // 1 where a column belongs to the tile
  float* columns() { return row(4); }   // 1 where it counts in the map
  float* nothing() { return row(5); }   // 0
  float* gradient() { return row(6); }  // of a row
  float* weights() { return row(7); }   // of a row
  // Windows along columns, with a halo before and behind.
  float* windows(int64_t i) { return row(kLines + i); }
  float* piece(int64_t field) { return pieces_ + field * piece_; }
  float* images() { return images_; }  // x, y
  float* slopes() { return slopes_; }  // the map's three derivatives

 private:
  static constexpr int64_t kLines = 8;
  float* row(int64_t i) { return memory_ + i * wide_; }

  int64_t wide_, piece_;
  float *pieces_, *images_, *slopes_, *memory_;
};

}  // namespace
}  // namespace covary::compute
#endif

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<float>;
using V = hn::Vec<D>;

// Windows that are computed in step, of what they share loaded once; as many as there are registers for.
#if HWY_ARCH_X86 && HWY_TARGET > HWY_AVX3
constexpr int kTogether = 2, kColumn = 2;
#else
constexpr int kTogether = 4, kColumn = 8;  // kColumn: of the map's derivatives along columns
#endif
// Rows kept: those of kColumn windows, and whole steps of them.
constexpr int kRing = (2 * kSsimRadius + kColumn + kTogether - 1) / kTogether * kTogether;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(D())); }

HWY_INLINE V from_bytes(const uint8_t* p) {
  const D d;
  const hn::Rebind<uint8_t, D> bytes;
  const hn::Rebind<int32_t, D> words;
  return hn::Mul(hn::ConvertTo(d, hn::PromoteTo(words, hn::LoadU(bytes, p))), hn::Set(d, kByte));
}

// The mask's row y from column `left`, `count` floats, each pixel's weight for all its channels; 0
// beyond the image.
void spread_mask(const Job& job, int64_t y, int64_t left, int64_t count, int64_t rim, float* out) {
  const int64_t c = job.pair.channels, w = job.pair.width;
  const bool inside = y >= rim && y < job.pair.height - rim;
  for (int64_t i = 0, x = left; i < count; ++x) {
    const bool used = inside && x >= rim && x < w - rim;
    const float m = !used ? 0.0f : job.pair.mask ? job.pair.mask[y * w + x] : 1.0f;
    for (int64_t k = 0; k < c && i < count; ++k) out[i++] = m;
  }
}

void from_bytes(const uint8_t* from, int64_t count, float* to) {
  const D d;
  int64_t i = 0;
  for (; i + lanes() <= count; i += lanes()) hn::StoreU(from_bytes(from + i), d, to + i);
  for (; i < count; ++i) to[i] = static_cast<float>(from[i]) * kByte;
}

// row times weight, which may be row itself.
void multiply(const float* row, const float* weight, int64_t count, float* to) {
  const D d;
  int64_t i = 0;
  for (; i + lanes() <= count; i += lanes()) {
    hn::StoreU(hn::Mul(hn::LoadU(d, weight + i), hn::LoadU(d, row + i)), d, to + i);
  }
  for (; i < count; ++i) to[i] = weight[i] * row[i];
}

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE

// to + j * step: element j of every stripe, for all j, less shift; from: the stripes one after the other.
void to_stripes(const float* from, int64_t stripe, float shift, int64_t step, float* to) {
  for (int64_t j = 0; j < stripe; ++j, to += step) {
    for (int64_t l = 0; l < lanes(); ++l) to[l] = from[l * stripe + j] - shift;
  }
}

void from_stripes(const float* from, int64_t stripe, float* to) {
  for (int64_t j = 0; j < stripe; ++j) {
    for (int64_t l = 0; l < lanes(); ++l) to[l * stripe + j] = *from++;
  }
}

#else

// Block b of the vector is the four floats at p + b * step.
template <class DX>
HWY_INLINE hn::Vec<DX> load_blocks(DX d, const float* p, int64_t step) {
  if constexpr (hn::MaxLanes(DX()) > 4) {
    const hn::Half<DX> half;
    const int64_t blocks = static_cast<int64_t>(hn::MaxLanes(half)) / 4;
    return hn::Combine(d, load_blocks(half, p + blocks * step, step), load_blocks(half, p, step));
  } else {
    return hn::LoadU(d, p);
  }
}

template <class DX>
HWY_INLINE void store_blocks(hn::Vec<DX> v, DX d, float* p, int64_t step) {
  if constexpr (hn::MaxLanes(DX()) > 4) {
    const hn::Half<DX> half;
    const int64_t blocks = static_cast<int64_t>(hn::MaxLanes(half)) / 4;
    store_blocks(hn::LowerHalf(half, v), half, p, step);
    store_blocks(hn::UpperHalf(half, v), half, p + blocks * step, step);
  } else {
    hn::StoreU(v, d, p);
  }
}

// Lane 4 b + q of the k-th becomes lane 4 b + k of the q-th.
HWY_INLINE void transpose(V& r0, V& r1, V& r2, V& r3) {
  const D d;
  const V a = hn::InterleaveLower(d, r0, r2), b = hn::InterleaveLower(d, r1, r3);
  const V c = hn::InterleaveUpper(d, r0, r2), e = hn::InterleaveUpper(d, r1, r3);
  r0 = hn::InterleaveLower(d, a, b);
  r1 = hn::InterleaveUpper(d, a, b);
  r2 = hn::InterleaveLower(d, c, e);
  r3 = hn::InterleaveUpper(d, c, e);
}

// Elements [j, j + 4) of every stripe at a time; the last four may meet the four before them.
template <class Use>
HWY_INLINE void each_four(int64_t stripe, Use&& use) {
  for (int64_t j = 0;; j = std::min(j + 4, stripe - 4)) {
    use(j);
    if (j == stripe - 4) return;
  }
}

// to + j * step: element j of every stripe, for all j, less shift; from: the stripes one after the other.
void to_stripes(const float* HWY_RESTRICT from, int64_t stripe, float shift, int64_t step,
                float* HWY_RESTRICT to) {
  const D d;
  const V less = hn::Set(d, shift);
  const int64_t four = 4 * stripe;
  each_four(stripe, [&](int64_t j) HWY_ATTR {
    const float* p = from + j;
    V r0 = load_blocks(d, p, four), r1 = load_blocks(d, p + stripe, four),
      r2 = load_blocks(d, p + 2 * stripe, four), r3 = load_blocks(d, p + 3 * stripe, four);
    transpose(r0, r1, r2, r3);
    hn::Store(hn::Sub(r0, less), d, to + j * step);
    hn::Store(hn::Sub(r1, less), d, to + (j + 1) * step);
    hn::Store(hn::Sub(r2, less), d, to + (j + 2) * step);
    hn::Store(hn::Sub(r3, less), d, to + (j + 3) * step);
  });
}

void from_stripes(const float* HWY_RESTRICT from, int64_t stripe, float* HWY_RESTRICT to) {
  const D d;
  const int64_t n = lanes(), step = 4 * stripe;
  each_four(stripe, [&](int64_t j) HWY_ATTR {
    V r0 = hn::Load(d, from + j * n), r1 = hn::Load(d, from + (j + 1) * n),
      r2 = hn::Load(d, from + (j + 2) * n), r3 = hn::Load(d, from + (j + 3) * n);
    transpose(r0, r1, r2, r3);
    float* p = to + j;
    store_blocks(r0, d, p, step);
    store_blocks(r1, d, p + stripe, step);
    store_blocks(r2, d, p + 2 * stripe, step);
    store_blocks(r3, d, p + 3 * stripe, step);
  });
}

#endif

// What lies before and behind each stripe of a row is in its neighbours; beyond the row is `fill`.
void fill_halo(const Shape& shape, float fill, float* row) {
  const D d;
  const V beyond = hn::Set(d, fill);
  const int64_t n = lanes(), behind = (shape.halo + shape.stripe) * n;
  const auto first = hn::FirstN(d, 1), but_last = hn::FirstN(d, static_cast<size_t>(n - 1));
  const hn::RebindToSigned<D> di;
  const auto lane = hn::Iota(di, 0), one = hn::Set(di, 1);
  const auto up = hn::IndicesFromVec(d, hn::Max(hn::Sub(lane, one), hn::Zero(di)));
  const auto down =
      hn::IndicesFromVec(d, hn::Min(hn::Add(lane, one), hn::Set(di, static_cast<int32_t>(n - 1))));
  for (int64_t k = 0; k < shape.halo; ++k) {
    const V before = hn::Load(d, row + (shape.stripe + k) * n);
    hn::Store(hn::IfThenElse(first, beyond, hn::TableLookupLanes(before, up)), d, row + k * n);
  }
  for (int64_t k = 0; k < shape.halo; ++k) {
    const V next = hn::Load(d, row + (shape.halo + k) * n);
    hn::Store(hn::IfThenElse(but_last, hn::TableLookupLanes(next, down), beyond), d,
              row + behind + k * n);
  }
}

struct Taps {
  V tap[kSsimRadius + 1];  // of a half; the window is symmetric
};

HWY_INLINE Taps taps_of(const Job& job) {
  Taps taps;
  for (int k = 0; k <= kSsimRadius; ++k) taps.tap[k] = hn::Set(D(), job.taps[k]);
  return taps;
}

// kCount neighbouring windows: out[j] = sum of taps[k] * at(j + k). From the ends inwards, the
// smallest weights first, which rounds less; one product for two taps; and each vector is loaded once,
// when it is needed.
template <int kCount, class At>
HWY_INLINE void windows(const Taps& taps, const At& at, V* out) {
  constexpr int kLast = 2 * kSsimRadius;
  V r[kLast + kCount];
  for (int j = 0; j + 1 < kCount; ++j) {
    r[j] = at(j);
    r[kLast + 1 + j] = at(kLast + 1 + j);
  }
  for (int k = 0; k < kSsimRadius; ++k) {
    const int first = k + kCount - 1, last = kLast - k;  // what is new
    if (first <= last) r[first] = at(first);
    if (first < last) r[last] = at(last);
    for (int j = 0; j < kCount; ++j) {
      const V two = hn::Add(r[j + k], r[j + kLast - k]);
      out[j] = k == 0 ? hn::Mul(taps.tap[k], two) : hn::MulAdd(taps.tap[k], two, out[j]);
    }
  }
  for (int j = 0; j < kCount; ++j)
    out[j] = hn::MulAdd(taps.tap[kSsimRadius], r[j + kSsimRadius], out[j]);
}

// Windows along a row with its halo, kCount pixels at a time while so many are left; kChannels 0: any number.
template <int kChannels, int kCount>
HWY_INLINE int64_t filter_pixels(const Taps& taps, int64_t channels, int64_t left,
                                 const float* HWY_RESTRICT in, float* HWY_RESTRICT out) {
  const D d;
  const int64_t n = lanes(), pixel = (kChannels > 0 ? kChannels : channels) * n;
  for (; left > kCount - 2; left -= kCount) {
    for (int64_t i = 0; i < pixel; i += n) {
      V v[kCount];
      windows<kCount>(taps, [&](int64_t k) HWY_ATTR { return hn::Load(d, in + i + k * pixel); }, v);
      for (int j = 0; j < kCount; ++j) hn::Store(v[j], d, out + i + j * pixel);
    }
    in += kCount * pixel;
    out += kCount * pixel;
  }
  return left;
}

template <int kChannels>
HWY_INLINE void filter_row_of(const Taps& taps, int64_t channels, int64_t pixels, const float* in,
                              float* out) {
  const int64_t left = filter_pixels<kChannels, kTogether>(taps, channels, pixels, in, out);
  if (kTogether == 2 || left <= 0) return;
  const int64_t done = (pixels - left) * channels * lanes();
  filter_pixels<kChannels, 2>(taps, channels, left, in + done, out + done);
}

// Windows along a row, of `pixels` pixels of each stripe; up to kTogether - 1 behind them are written over.
HWY_INLINE void filter_row(const Taps& taps, int64_t channels, int64_t pixels, const float* in,
                           float* out) {
  if (channels == 3) {
    filter_row_of<3>(taps, channels, pixels, in, out);
  } else {
    filter_row_of<0>(taps, channels, pixels, in, out);
  }
}

// Windows along columns of x, y, (x - y)^2 and xy at the kTogether rows whose first window begins in
// row kStart of the ring.
template <int kStart>
void filter_images(const Taps taps, const Shape& shape, Scratch& s) {
  const D d;
  const int64_t n = lanes(), wide = shape.wide;
  float* HWY_RESTRICT to = s.windows(0) + shape.halo * n;
  const float* HWY_RESTRICT from = s.images();
  for (int64_t j = 0; j < shape.stripe; ++j, from += shape.images(), to += n) {
    const auto x = [&](int k) HWY_ATTR { return hn::Load(d, from + (kStart + k) % kRing * n); };
    const auto y = [&](int k)
                       HWY_ATTR { return hn::Load(d, from + (kRing + (kStart + k) % kRing) * n); };
    const auto square = [&](int k) HWY_ATTR {
      const V difference = hn::Sub(x(k), y(k));
      return hn::Mul(difference, difference);
    };
    const auto product = [&](int k) HWY_ATTR { return hn::Mul(x(k), y(k)); };
    const auto take = [&](const auto& at, int64_t field) HWY_ATTR {
      V v[kTogether];
      windows<kTogether>(taps, at, v);
      for (int g = 0; g < kTogether; ++g) hn::Store(v[g], d, to + (field * kTogether + g) * wide);
    };
    take(x, 0);
    take(y, 1);
    take(square, 2);
    take(product, 3);
  }
}

// The same of the map's derivatives, at kColumn rows.
template <int kStart>
void filter_slopes(const Taps taps, const Shape& shape, Scratch& s) {
  const D d;
  const int64_t n = lanes(), wide = shape.wide;
  float* HWY_RESTRICT to = s.windows(0) + shape.halo * n;
  const float* HWY_RESTRICT from = s.slopes();
  for (int64_t j = 0; j < shape.stripe; ++j, from += shape.slopes(), to += n) {
    for (int field = 0; field < 3; ++field) {
      V v[kColumn];
      windows<kColumn>(
          taps,
          [&](int k)
              HWY_ATTR { return hn::Load(d, from + (field * kRing + (kStart + k) % kRing) * n); },
          v);
      for (int g = 0; g < kColumn; ++g) hn::Store(v[g], d, to + (field * kColumn + g) * wide);
    }
  }
}

// filter<kStart>(...) for the start that is wanted.
#define COVARY_FROM_ROW(filter, start, ...)                                                        \
  [&]<int... kStep>(std::integer_sequence<int, kStep...>) {                                        \
    ((start == kStep * kTogether ? filter<kStep * kTogether>(__VA_ARGS__) : static_cast<void>(0)), \
     ...);                                                                                         \
  }(std::make_integer_sequence<int, kRing / kTogether>())

// The map from the four means: its value times the weight, and the weighted derivatives to
// slopes + field * step, if there.
HWY_INLINE V map_at(V ma, V mb, V squares_mean, V product_mean, V weight, float* slopes,
                    int64_t step) {
  const D d;
  const V c1 = hn::Set(d, 0.01f * 0.01f), c2 = hn::Set(d, 0.03f * 0.03f);
  const V two = hn::Set(d, 2.0f);
  // The means are those of the images less kShift.
  const V shift = hn::Set(d, kShift);
  const V full_a = hn::Add(ma, shift), full_b = hn::Add(mb, shift);
  const V luminance = hn::MulAdd(hn::Mul(two, full_a), full_b, c1);
  const V squares = hn::MulAdd(full_a, full_a, hn::MulAdd(full_b, full_b, c1));
  const V covariance = hn::MulAdd(two, hn::NegMulAdd(ma, mb, product_mean), c2);
  // Those of x and y together are that of x - y and twice the covariance, whose rounding then
  // stands in both halves of the quotient.
  const V apart = hn::Sub(ma, mb);
  const V variances = hn::Add(hn::NegMulAdd(apart, apart, squares_mean), covariance);
  const V inverse = hn::Div(hn::Set(d, 1.0f), hn::Mul(squares, variances));
  const V s = hn::Mul(hn::Mul(luminance, covariance), inverse);
  const V scaled = hn::Mul(weight, inverse);
  if (slopes) {
    const V first = hn::NegMulAdd(mb, luminance, hn::Mul(full_b, covariance));
    const V second = hn::Mul(s, hn::NegMulAdd(ma, squares, hn::Mul(full_a, variances)));
    hn::Store(hn::Mul(hn::Mul(two, scaled), hn::Sub(first, second)), d, slopes);
    hn::Store(hn::Neg(hn::Mul(hn::Mul(s, squares), scaled)), d, slopes + step);
    hn::Store(hn::Mul(hn::Mul(two, luminance), scaled), d, slopes + 2 * step);
  }
  return hn::Mul(weight, s);
}

HWY_INLINE double total(V sum) {
  const D d;
  HWY_ALIGN float lane[HWY_MAX_BYTES / sizeof(float)];
  hn::Store(sum, d, lane);
  double all = 0;
  for (int64_t i = 0; i < lanes(); ++i) all += lane[i];
  return all;
}

// Where a row stands among those kept, `first` being one that stands at 0.
HWY_INLINE int slot(int64_t row, int64_t first) { return static_cast<int>((row - first) % kRing); }

// Stripes are as many streams, which no prefetcher follows: a row of the rendering, and of the gradient, into
// the second-level cache while row y is taken.
HWY_INLINE void fetch_ahead(const Job& job, const Shape& shape, int64_t y, int64_t count) {
  const int64_t row = y + 4;
  if (row >= job.pair.height) return;
  const int64_t at = (row * job.pair.width + shape.left) * shape.channels;
  for (int64_t i = at; i < at + count; i += 16) {  // a cache line
    __builtin_prefetch(job.pair.rendered + i, 0, 2);
    if (job.gradient) __builtin_prefetch(job.gradient + i, 1, 2);
  }
}

// Row y of both images to the rows kept.
void take_row(const Job& job, const Tile& tile, const Shape& shape, int64_t y, Scratch& s) {
  const D d;
  const int64_t n = lanes(), step = shape.images();
  float* to_x = s.images() + slot(y, tile.top - 2 * kSsimRadius) * n;
  float* to_y = to_x + kRing * n;
  if (y < 0 || y >= job.pair.height) {
    const V outside = hn::Set(d, -kShift);
    for (int64_t j = 0; j < shape.stripe; ++j) {
      hn::Store(outside, d, to_x + j * step);
      hn::Store(outside, d, to_y + j * step);
    }
    return;
  }
  // Rows are read where they are, if what lies behind them is memory of the image.
  const int64_t c = shape.channels, all = shape.across(),
                at = (y * job.pair.width + shape.left) * c,
                count = std::min(all, (job.pair.width - shape.left) * c);
  const bool whole = at + all <= job.pair.height * job.pair.width * c;
  const float *x = job.pair.rendered + at, *truth = job.pair.truth ? job.pair.truth + at : s.y();
  if (!job.pair.truth) from_bytes(job.pair.truth_bytes + at, count, s.y());
  if (job.pair.mask) {
    spread_mask(job, y, shape.left, count, 0, s.mask());
    multiply(x, s.mask(), count, s.x());
    multiply(truth, s.mask(), count, s.y());
  } else if (!whole) {
    std::copy_n(x, count, s.x());
    if (job.pair.truth) std::copy_n(truth, count, s.y());
  }
  if (job.pair.mask || !whole) {
    x = s.x();
    truth = s.y();
  }
  fetch_ahead(job, shape, y, count);
  to_stripes(x, shape.stripe, kShift, step, to_x);
  to_stripes(truth, shape.stripe, kShift, step, to_y);
  // Beyond the image there is nothing.
  for (int64_t l = count / shape.stripe; l < n; ++l) {
    for (int64_t j = std::max<int64_t>(0, count - l * shape.stripe); j < shape.stripe; ++j) {
      to_x[j * step + l] = to_y[j * step + l] = -kShift;
    }
  }
}

// The map of the kTogether rows from y on, and its derivatives; its sums to those of the tile's rows.
void map_rows(const Job& job, const Tile& tile, const Shape& shape, const Taps& taps, int64_t y,
              Scratch& s, Sums* sums) {
  const D d;
  const int64_t n = lanes(), c = shape.channels, pixels = shape.stripe / c;
  const int start = slot(y - kSsimRadius, tile.top - 2 * kSsimRadius);
  COVARY_FROM_ROW(filter_images, start, taps, shape, s);
  const float beyond[4] = {-kShift, -kShift, 0, kShift * kShift};
  for (int64_t g = 0; g < kTogether; ++g) {
    const int64_t row = y + g;
    const bool counted = row >= job.rim && row < job.pair.height - job.rim;
    const float* weights = counted ? s.columns() : s.nothing();
    if (counted && job.pair.mask) {
      spread_mask(job, row, shape.left, shape.across(), job.rim, s.mask());
      to_stripes(s.mask(), shape.stripe, 0, n, s.weights());
      weights = s.weights();
    }
    for (int64_t f = 0; f < 4; ++f) fill_halo(shape, beyond[f], s.windows(f * kTogether + g));
    const int64_t step = shape.slopes();
    float* slopes = job.gradient ? s.slopes() + slot(row, tile.top - 3 * kSsimRadius) * n : nullptr;
    V sum = hn::Zero(d);
    for (int64_t p = 0; p < pixels; p += kPiece) {
      const int64_t begin = p * c, count = std::min(kPiece, pixels - p);
      for (int64_t f = 0; f < 4; ++f) {
        filter_row(taps, c, count, s.windows(f * kTogether + g) + begin * n, s.piece(f));
      }
      for (int64_t j = 0; j < count * c; ++j) {
        const int64_t i = j * n, at = (begin + j) * n;
        float* to = slopes ? slopes + (begin + j) * step : nullptr;
        const V value = map_at(hn::Load(d, s.piece(0) + i), hn::Load(d, s.piece(1) + i),
                               hn::Load(d, s.piece(2) + i), hn::Load(d, s.piece(3) + i),
                               hn::Load(d, weights + at), to, kRing * n);
        sum = hn::MulAdd(hn::Load(d, s.own() + at), value, sum);
      }
    }
    if (row >= tile.top && row < tile.bottom) sums[row].ssim = total(sum);
  }
}

// L1 of the tile's own rows among the kColumn from y on, and the gradient.
void finish_rows(const Job& job, const Tile& tile, const Shape& shape, const Taps& taps, int64_t y,
                 Scratch& s, Sums* sums) {
  if (y + kColumn <= tile.top || y >= tile.bottom) return;
  const D d;
  const int64_t n = lanes(), c = shape.channels, pixels = shape.stripe / c,
                own = (tile.right - tile.left) * c;
  if (job.gradient) {
    const int start = slot(y - kSsimRadius, tile.top - 3 * kSsimRadius);
    COVARY_FROM_ROW(filter_slopes, start, taps, shape, s);
  }
  const V scale_l1 = hn::Set(d, job.scale_l1), scale_ssim = hn::Set(d, job.scale_ssim);
  for (int64_t g = 0; g < kColumn; ++g) {
    const int64_t row = y + g;
    if (row < tile.top || row >= tile.bottom) continue;
    for (int64_t f = 0; job.gradient && f < 3; ++f) fill_halo(shape, 0, s.windows(f * kColumn + g));
    const float* image = s.images() + slot(row, tile.top - 2 * kSsimRadius) * n;
    V sum = hn::Zero(d);
    for (int64_t p = 0; p < pixels; p += kPiece) {
      const int64_t begin = p * c, count = std::min(kPiece, pixels - p);
      for (int64_t f = 0; job.gradient && f < 3; ++f) {
        filter_row(taps, c, count, s.windows(f * kColumn + g) + begin * n, s.piece(f));
      }
      for (int64_t j = 0; j < count * c; ++j) {
        const int64_t i = j * n, at = (begin + j) * n;
        const float* pair = image + (begin + j) * shape.images();
        const V x = hn::Load(d, pair), truth = hn::Load(d, pair + kRing * n);
        const V difference = hn::Sub(x, truth);
        sum = hn::MulAdd(hn::Load(d, s.own() + at), hn::Abs(difference), sum);
        if (!job.gradient) continue;
        V back = hn::MulAdd(truth, hn::Load(d, s.piece(2) + i), hn::Load(d, s.piece(0) + i));
        back = hn::MulAdd(hn::Add(x, x), hn::Load(d, s.piece(1) + i), back);
        const V sign = hn::IfThenZeroElse(hn::Eq(difference, hn::Zero(d)),
                                          hn::CopySignToAbs(scale_l1, difference));
        hn::Store(hn::NegMulAdd(scale_ssim, back, sign), d, s.gradient() + at);
      }
    }
    sums[row].l1 = total(sum);
    if (!job.gradient) continue;
    float* gradient = job.gradient + (row * job.pair.width + tile.left) * c;
    from_stripes(s.gradient(), shape.stripe, s.x());
    const float* from = s.x() + shape.inset;
    if (job.pair.mask) {
      spread_mask(job, row, tile.left, own, 0, s.mask());
      multiply(from, s.mask(), own, gradient);
    } else {
      std::memcpy(gradient, from, static_cast<size_t>(own) * sizeof(float));
    }
  }
}

Shape shape_of(const Job& job, const Tile& tile) {
  return Shape(job, tile, lanes(), kTogether, kRing, std::max(4 * kTogether, 3 * kColumn));
}

int64_t photometric_scratch(const Job& job, const Tile& tile) {
  return Scratch::floats(shape_of(job, tile));
}

// sums: by row of the picture; those of the tile's are written.
void photometric_tile(const Job& job, const Tile& tile, float* memory, Sums* sums) {
  const Shape shape = shape_of(job, tile);
  const Taps taps = taps_of(job);
  Scratch s(shape, memory);
  const int64_t c = shape.channels, all = shape.across();
  std::fill_n(s.nothing(), all, 0.0f);
  std::fill_n(s.x(), all, 0.0f);
  std::fill_n(s.x() + shape.inset, (tile.right - tile.left) * c, 1.0f);
  to_stripes(s.x(), shape.stripe, 0, lanes(), s.own());
  for (int64_t i = 0; i < all; ++i) {
    const int64_t x = shape.left + i / c;
    s.x()[i] = x >= job.rim && x < job.pair.width - job.rim ? 1.0f : 0.0f;
  }
  to_stripes(s.x(), shape.stripe, 0, lanes(), s.columns());
  int64_t taken = tile.top - 2 * kSsimRadius;  // the next row of the images
  for (int64_t y = tile.top - kSsimRadius; y - kSsimRadius < tile.bottom; y += kColumn) {
    for (int64_t row = y; row < y + kColumn; row += kTogether) {
      if (row >= tile.bottom + kSsimRadius) break;  // nothing is needed beyond the last window
      for (; taken < row + kTogether + kSsimRadius; ++taken) take_row(job, tile, shape, taken, s);
      map_rows(job, tile, shape, taps, row, s, sums);
    }
    finish_rows(job, tile, shape, taps, y - kSsimRadius, s, sums);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(photometric_scratch);
HWY_EXPORT(photometric_tile);

PhotometricParts photometric(const ImagePair<float>& pair, const PhotometricOptions& options,
                             float* gradient) {
  const int64_t h = pair.height, w = pair.width;
  Job job{.pair = pair,
          .taps = {},
          .rim = options.padding == SsimPadding::kValid ? kSsimRadius : 0,
          .scale_l1 = 0,
          .scale_ssim = 0,
          .gradient = gradient};
  double taps[kSsimTaps];
  ssim_window(taps);
  // Rounded weights must still sum to 1, or every variance, a small difference of squares, has a
  // bias. The outermost weight, the smallest, takes up the rest.
  double inner_sum = 0;
  for (int k = 1; k < kSsimTaps - 1; ++k) inner_sum += job.taps[k] = static_cast<float>(taps[k]);
  job.taps[0] = job.taps[kSsimTaps - 1] = static_cast<float>((1 - inner_sum) / 2);

  const double channels = static_cast<double>(pair.channels);
  double mask_sum = static_cast<double>(h * w);
  double counted_sum = static_cast<double>(std::max<int64_t>(0, h - 2 * job.rim) *
                                           std::max<int64_t>(0, w - 2 * job.rim));
  if (pair.mask) {
    mask_sum = counted_sum = 0;
    for (int64_t y = 0; y < h; ++y) {
      double row = 0, inner = 0;
      for (int64_t x = 0; x < w; ++x) {
        row += pair.mask[y * w + x];
        if (x >= job.rim && x < w - job.rim) inner += pair.mask[y * w + x];
      }
      mask_sum += row;
      if (y >= job.rim && y < h - job.rim) counted_sum += inner;
    }
  }
  const double scale_l1 = mask_sum > 0 ? 1 / (mask_sum * channels) : 0;
  const double scale_ssim = counted_sum > 0 ? 1 / (counted_sum * channels) : 0;
  job.scale_l1 = static_cast<float>((1 - options.ssim_weight) * scale_l1);
  job.scale_ssim = static_cast<float>(options.ssim_weight * scale_ssim);

  // Bands, so that every thread has something to do; no bit depends on their number.
  const int64_t stripes = (w + kStripe - 1) / kStripe,
                bands = std::clamp<int64_t>((2 * threads() + stripes - 1) / stripes, 1,
                                            std::max<int64_t>(1, h / kBand));
  const int64_t tiles = bands * stripes;
  std::vector<Sums> sums(static_cast<size_t>(h * stripes));
  // A worker keeps its memory from tile to tile; what is left there from the last one reaches no
  // result.
  int64_t floats = 0;
  for (int64_t i = 0; i < stripes; ++i) {
    const Tile tile{0, h, w * i / stripes, w * (i + 1) / stripes};
    floats = std::max(floats, HWY_DYNAMIC_DISPATCH(photometric_scratch)(job, tile));
  }
  std::vector<hwy::AlignedFreeUniquePtr<float[]>> memory(static_cast<size_t>(threads()));
  parallel_tasks(tiles, [&](int64_t i, int worker) {
    auto& own = memory[static_cast<size_t>(worker)];
    if (!own) {
      own = hwy::AllocateAligned<float>(static_cast<size_t>(floats));
      std::fill_n(own.get(), floats, 0.0f);
    }
    const int64_t band = i / stripes, stripe = i % stripes;
    const Tile tile{h * band / bands, h * (band + 1) / bands, w * stripe / stripes,
                    w * (stripe + 1) / stripes};
    HWY_DYNAMIC_DISPATCH(photometric_tile)(job, tile, own.get(),
                                           &sums[static_cast<size_t>(h * stripe)]);
  });
  PhotometricParts parts;
  double l1 = 0, ssim = 0;
  for (const Sums& s : sums) {
    l1 += s.l1;
    ssim += s.ssim;
  }
  parts.l1 = l1 * scale_l1;
  parts.ssim = counted_sum > 0 ? ssim * scale_ssim : 1;
  parts.loss = (1 - options.ssim_weight) * parts.l1 + options.ssim_weight * (1 - parts.ssim);
  return parts;
}

}  // namespace covary::compute
#endif
