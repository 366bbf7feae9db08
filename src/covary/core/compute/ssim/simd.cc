// How it is laid out. A tile's row is cut into as many stripes as a vector has lanes; vector j of the
// row holds element j of each stripe. A neighbour along the row is then another vector, as a
// neighbour along a column is, so that both windows are the same loop over whole aligned vectors,
// each loaded once for two outputs; and only where a stripe ends do lanes move. The pictures are
// laid out so as they are read, the windowed derivatives back as the gradient is written.
#include <algorithm>
#include <cstring>
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

constexpr int64_t kPiece = 16;    // vectors of a row whose columns are summed together: their part
                                  // of a ring stays in the first-level cache
constexpr int64_t kStripe = 288;  // widest tile, px: its rings stay in the second-level cache
constexpr int64_t kBand = 120;    // highest tile, px

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

struct Sums {
  double l1 = 0, ssim = 0;
};

// Rows of a tile with up to 10 pixels of the picture to each side, in stripes. Counts are of floats
// of a stripe, that is, of vectors of a row.
struct Shape {
  Shape(const Job& job, const Tile& tile, int64_t lanes_, int64_t together, int64_t batch_)
      : batch(batch_),
        ring(batch_ + 2 * kSsimRadius),
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
        narrow(16 * (((stripe + together * channels) * lanes + 15) / 16 | 1)),
        wide(16 * (((stripe + 2 * halo + together * channels) * lanes + 15) / 16 | 1)) {}
  int64_t across() const { return stripe * lanes; }  // floats of a row, halo left out

  int64_t batch;  // rows whose vertical windows are summed together
  int64_t ring;   // rows kept of a filtered field
  int64_t channels, lanes;
  int64_t left;   // px, first column of a row
  int64_t inset;  // floats of a row before the tile's own
  int64_t halo, stripe;
  int64_t narrow, wide;  // floats from row to row, without and with a halo
};

// Working memory of a tile. What is windowed along its row has its halo before and behind it. The rings,
// most of it, have none, and stay in the second-level cache.
class Scratch {
 public:
  Scratch(const Shape& shape, float* memory)
      : narrow_(shape.narrow),
        wide_(shape.wide),
        batch_(shape.batch),
        ring_(shape.ring),
        memory_(memory),
        rings_(memory + wide_ * (kLines + 4 * batch_)) {}
  static int64_t floats(const Shape& s) {
    return s.wide * (kLines + 4 * s.batch) + s.narrow * 7 * s.ring;
  }

  // Along the picture's rows.
  float* mask() { return row(0); }
  float* x() { return row(1); }
  float* y() { return row(2); }
  float* line(int64_t field) { return row(3 + field); }  // 3 windowed derivatives
  // In stripes.
  float* own() { return row(6); }                         // 1 where a column belongs to the tile
  float* columns() { return row(7); }                     // 1 where it counts in the map
  float* nothing() { return row(8); }                     // 0
  float* image(int64_t field) { return row(9 + field); }  // x, y, (x - y)^2, xy
  // The map's derivatives at a batch's rows, and when those are filtered the windows of other rows.
  float* windows(int64_t field, int64_t g) { return row(kLines + field * batch_ + g); }
  float* weights(int64_t g) { return row(kLines + 3 * batch_ + g); }
  float* means(int64_t field, int64_t y) {
    return rings_ + (field * ring_ + (y + 2 * ring_) % ring_) * narrow_;
  }
  float* backs(int64_t field, int64_t y) { return means(4 + field, y); }

 private:
  static constexpr int64_t kLines = 13;
  float* row(int64_t i) { return memory_ + i * wide_; }

  int64_t narrow_, wide_, batch_, ring_;
  float *memory_, *rings_;
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
constexpr int kTogether = 2;
#else
constexpr int kTogether = 4;
#endif
constexpr int64_t kBatch = 2 * kTogether, kRing = kBatch + 2 * kSsimRadius;

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

// Row y of both images from column `left` (may begin left of the image), `count` floats, times the
// mask.
void load_rows(const Job& job, int64_t y, int64_t left, int64_t count, float* mask, float* out_x,
               float* out_y) {
  const D d;
  const int64_t c = job.pair.channels, w = job.pair.width;
  const int64_t begin = std::max<int64_t>(0, -left) * c;
  const int64_t end = std::min(count, (w - left) * c);
  const int64_t at =
      (y * w + left) * c;  // of float 0, perhaps before the row; used from `begin` on
  std::fill(out_x, out_x + begin, 0.0f);
  std::fill(out_y, out_y + begin, 0.0f);
  std::memcpy(out_x + begin, job.pair.rendered + (at + begin),
              static_cast<size_t>(end - begin) * sizeof(float));
  if (job.pair.truth) {
    std::memcpy(out_y + begin, job.pair.truth + (at + begin),
                static_cast<size_t>(end - begin) * sizeof(float));
  } else {
    const uint8_t* from = job.pair.truth_bytes + (at + begin);
    float* to = out_y + begin;
    const int64_t n = end - begin;
    int64_t i = 0;
    for (; i + lanes() <= n; i += lanes()) hn::StoreU(from_bytes(from + i), d, to + i);
    for (; i < n; ++i) to[i] = static_cast<float>(from[i]) * kByte;
  }
  std::fill(out_x + end, out_x + count, 0.0f);
  std::fill(out_y + end, out_y + count, 0.0f);
  if (!job.pair.mask) return;
  spread_mask(job, y, left, count, 0, mask);
  for (int64_t i = 0; i < count; i += lanes()) {
    const auto m = hn::LoadU(d, mask + i);
    hn::StoreU(hn::Mul(m, hn::LoadU(d, out_x + i)), d, out_x + i);
    hn::StoreU(hn::Mul(m, hn::LoadU(d, out_y + i)), d, out_y + i);
  }
}

#if HWY_TARGET == HWY_SCALAR || HWY_HAVE_SCALABLE

// to: element j of every stripe, for all j, less shift; from: the stripes one after the other.
void to_stripes(const float* from, int64_t stripe, float shift, float* to) {
  for (int64_t j = 0; j < stripe; ++j) {
    for (int64_t l = 0; l < lanes(); ++l) *to++ = from[l * stripe + j] - shift;
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

// to: element j of every stripe, for all j, less shift; from: the stripes one after the other.
void to_stripes(const float* HWY_RESTRICT from, int64_t stripe, float shift,
                float* HWY_RESTRICT to) {
  const D d;
  const V less = hn::Set(d, shift);
  const int64_t n = lanes(), step = 4 * stripe;
  each_four(stripe, [&](int64_t j) HWY_ATTR {
    const float* p = from + j;
    V r0 = load_blocks(d, p, step), r1 = load_blocks(d, p + stripe, step),
      r2 = load_blocks(d, p + 2 * stripe, step), r3 = load_blocks(d, p + 3 * stripe, step);
    transpose(r0, r1, r2, r3);
    hn::Store(hn::Sub(r0, less), d, to + j * n);
    hn::Store(hn::Sub(r1, less), d, to + (j + 1) * n);
    hn::Store(hn::Sub(r2, less), d, to + (j + 2) * n);
    hn::Store(hn::Sub(r3, less), d, to + (j + 3) * n);
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
  for (int64_t k = 0; k < shape.halo; ++k) {
    const V before = hn::LoadU(d, row + (shape.stripe + k) * n - 1);
    hn::Store(hn::IfThenElse(first, beyond, before), d, row + k * n);
  }
  for (int64_t k = 0; k < shape.halo; ++k) {
    const V next = hn::LoadU(d, row + (shape.halo + k) * n + 1);
    hn::Store(hn::IfThenElse(but_last, next, beyond), d, row + behind + k * n);
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

// Up to kTogether - 1 pixels behind the row are written over.
template <int kChannels>
HWY_INLINE void filter_row_of(const Taps taps, const Shape& shape, const float* in, float* out) {
  const int64_t pixels = shape.stripe / shape.channels;
  const int64_t left = filter_pixels<kChannels, kTogether>(taps, shape.channels, pixels, in, out);
  if (kTogether == 2 || left <= 0) return;
  const int64_t done = (pixels - left) * shape.channels * lanes();
  filter_pixels<kChannels, 2>(taps, shape.channels, left, in + done, out + done);
}

void filter_row(const Taps& taps, const Shape& shape, const float* in, float* out) {
  if (shape.channels == 3) {
    filter_row_of<3>(taps, shape, in, out);
  } else {
    filter_row_of<0>(taps, shape, in, out);
  }
}

// Windows along columns, floats [begin, end) of kTogether rows of output; rows: those that they
// cover.
HWY_INLINE void filter_columns(const Taps taps, const float* const* rows, int64_t begin,
                               int64_t end, float* const* to) {
  const D d;
  const float* from[2 * kSsimRadius + kTogether];
  std::copy_n(rows, 2 * kSsimRadius + kTogether, from);
  for (int64_t i = begin; i < end; i += lanes()) {
    V v[kTogether];
    windows<kTogether>(taps, [&](int k) HWY_ATTR { return hn::Load(d, from[k] + i); }, v);
    for (int j = 0; j < kTogether; ++j) hn::Store(v[j], d, to[j] + i);
  }
}

// One row of the map at element i from the four means: its value times the weight, and the weighted
// derivatives.
HWY_INLINE V map_at(V ma, V mb, V squares_mean, V product_mean, V weight, int64_t i, float* to_a,
                    float* to_aa, float* to_ab) {
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
  if (to_a) {
    const V first = hn::NegMulAdd(mb, luminance, hn::Mul(full_b, covariance));
    const V second = hn::Mul(s, hn::NegMulAdd(ma, squares, hn::Mul(full_a, variances)));
    hn::StoreU(hn::Mul(hn::Mul(two, scaled), hn::Sub(first, second)), d, to_a + i);
    hn::StoreU(hn::Neg(hn::Mul(hn::Mul(s, squares), scaled)), d, to_aa + i);
    hn::StoreU(hn::Mul(hn::Mul(two, luminance), scaled), d, to_ab + i);
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

// Filters row y of both images along the row into the rings of means.
void take_row(const Job& job, const Shape& shape, const Taps& taps, int64_t y, Scratch& s) {
  const D d;
  const int64_t n = lanes();
  if (y < 0 || y >= job.pair.height) {
    const float outside[4] = {-kShift, -kShift, 0, kShift * kShift};
    for (int64_t f = 0; f < 4; ++f) std::fill_n(s.means(f, y), shape.across(), outside[f]);
    return;
  }
  load_rows(job, y, shape.left, shape.across(), s.mask(), s.x(), s.y());
  const float* linear[2] = {s.x(), s.y()};
  for (int64_t f = 0; f < 2; ++f) {
    to_stripes(linear[f], shape.stripe, kShift, s.image(f) + shape.halo * n);
    fill_halo(shape, -kShift, s.image(f));
  }
  const float *x = s.image(0), *truth = s.image(1);
  float *squares = s.image(2), *product = s.image(3);
  for (int64_t i = 0; i < (shape.stripe + 2 * shape.halo) * n; i += n) {
    const V a = hn::Load(d, x + i), b = hn::Load(d, truth + i);
    const V difference = hn::Sub(a, b);
    hn::Store(hn::Mul(difference, difference), d, squares + i);
    hn::Store(hn::Mul(a, b), d, product + i);
  }
  for (int64_t f = 0; f < 4; ++f) filter_row(taps, shape, s.image(f), s.means(f, y));
}

// The map of rows [y, y + count); its derivatives, filtered along the row, go to the rings of
// backs.
double map_rows(const Job& job, const Tile& tile, const Shape& shape, const Taps& taps, int64_t y,
                int64_t count, Scratch& s) {
  const D d;
  const int64_t n = lanes(), all = shape.across(), halo = shape.halo * n;
  const bool backward = job.gradient != nullptr;
  const float* weights[kBatch];
  float* to[kBatch][3];
  V sums[kBatch];
  for (int64_t g = 0; g < count; ++g) {
    const int64_t row = y + g;
    const bool counted = row >= job.rim && row < job.pair.height - job.rim;
    weights[g] = counted ? s.columns() : s.nothing();
    if (counted && job.pair.mask) {
      spread_mask(job, row, shape.left, all, job.rim, s.mask());
      to_stripes(s.mask(), shape.stripe, 0, s.weights(g));
      weights[g] = s.weights(g);
    }
    for (int64_t f = 0; f < 3; ++f) to[g][f] = backward ? s.windows(f, g) + halo : nullptr;
    sums[g] = hn::Zero(d);
  }
  HWY_ALIGN float piece[4][kBatch][kPiece * HWY_MAX_BYTES / sizeof(float)];
  for (int64_t begin = 0; begin < all; begin += kPiece * n) {
    const int64_t end = std::min(all, begin + kPiece * n);
    for (int64_t f = 0; f < 4; ++f) {
      const float* rows[kRing];
      for (int64_t k = 0; k < kRing; ++k) rows[k] = s.means(f, y - kSsimRadius + k) + begin;
      for (int64_t g = 0; g < count; g += kTogether) {
        float* to_rows[kTogether];
        for (int64_t j = 0; j < kTogether; ++j) to_rows[j] = piece[f][g + j];
        filter_columns(taps, rows + g, 0, end - begin, to_rows);
      }
    }
    for (int64_t g = 0; g < count; ++g) {
      V sum = sums[g];
      for (int64_t i = begin, k = 0; i < end; i += n, k += n) {
        const V value = map_at(hn::Load(d, piece[0][g] + k), hn::Load(d, piece[1][g] + k),
                               hn::Load(d, piece[2][g] + k), hn::Load(d, piece[3][g] + k),
                               hn::Load(d, weights[g] + i), i, to[g][0], to[g][1], to[g][2]);
        sum = hn::MulAdd(hn::Load(d, s.own() + i), value, sum);
      }
      sums[g] = sum;
    }
  }
  double ssim = 0;
  for (int64_t g = 0; g < count; ++g) {
    if (y + g >= tile.top && y + g < tile.bottom) ssim += total(sums[g]);
    for (int64_t f = 0; backward && f < 3; ++f) {
      fill_halo(shape, 0, s.windows(f, g));
      filter_row(taps, shape, s.windows(f, g), s.backs(f, y + g));
    }
  }
  return ssim;
}

// L1 of row y, and its gradient from the windowed derivatives of row g of the batch.
double finish_row(const Job& job, const Tile& tile, const Shape& shape, int64_t y, int64_t g,
                  Scratch& s) {
  const D d;
  const int64_t c = shape.channels, own = (tile.right - tile.left) * c, n = lanes();
  const int64_t at = (y * job.pair.width + tile.left) * c;
  const float *x = job.pair.rendered + at, *truth = job.pair.truth ? job.pair.truth + at : nullptr;
  const uint8_t* bytes = job.pair.truth ? nullptr : job.pair.truth_bytes + at;
  if (job.pair.mask) {
    load_rows(job, y, tile.left, own, s.mask(), s.x(), s.y());
    x = s.x();
    truth = s.y();
    bytes = nullptr;
  }
  float* gradient = job.gradient ? job.gradient + at : nullptr;
  for (int64_t f = 0; gradient && f < 3; ++f) {
    from_stripes(s.windows(f, g), shape.stripe, s.line(f));
  }
  const float *back_a = s.line(0) + shape.inset, *back_aa = s.line(1) + shape.inset,
              *back_ab = s.line(2) + shape.inset;
  const V shift = hn::Set(d, kShift), scale_l1 = hn::Set(d, job.scale_l1),
          scale_ssim = hn::Set(d, job.scale_ssim);
  const auto derivative = [&](V a, V b, V difference, int64_t i) HWY_ATTR {
    const V low_a = hn::Sub(a, shift), low_b = hn::Sub(b, shift);
    V back = hn::MulAdd(low_b, hn::LoadU(d, back_ab + i), hn::LoadU(d, back_a + i));
    back = hn::MulAdd(hn::Add(low_a, low_a), hn::LoadU(d, back_aa + i), back);
    const V step = hn::IfThenZeroElse(hn::Eq(difference, hn::Zero(d)),
                                      hn::CopySignToAbs(scale_l1, difference));
    const V value = hn::NegMulAdd(scale_ssim, back, step);
    return job.pair.mask ? hn::Mul(hn::LoadU(d, s.mask() + i), value) : value;
  };
  V sum = hn::Zero(d);
  int64_t i = 0;
  for (; i + n <= own; i += n) {
    const V a = hn::LoadU(d, x + i), b = bytes ? from_bytes(bytes + i) : hn::LoadU(d, truth + i);
    const V difference = hn::Sub(a, b);
    sum = hn::Add(sum, hn::Abs(difference));
    if (gradient) hn::StoreU(derivative(a, b, difference, i), d, gradient + i);
  }
  if (i < own) {  // what is left of the row, with zeros behind it
    HWY_ALIGN float lane_x[HWY_MAX_BYTES / sizeof(float)] = {};
    HWY_ALIGN float lane_y[HWY_MAX_BYTES / sizeof(float)] = {};
    for (int64_t k = 0; i + k < own; ++k) {
      lane_x[k] = x[i + k];
      lane_y[k] = bytes ? static_cast<float>(bytes[i + k]) * kByte : truth[i + k];
    }
    const V a = hn::Load(d, lane_x), b = hn::Load(d, lane_y), difference = hn::Sub(a, b);
    sum = hn::Add(sum, hn::Abs(difference));
    if (gradient) {
      hn::Store(derivative(a, b, difference, i), d, lane_x);
      std::copy_n(lane_x, own - i, gradient + i);
    }
  }
  return total(sum);
}

// L1 and gradient of the tile's own rows among [y, y + kBatch); their windows are complete.
double finish_rows(const Job& job, const Tile& tile, const Shape& shape, const Taps& taps,
                   int64_t y, Scratch& s) {
  const int64_t n = lanes(), all = shape.across();
  for (int64_t f = 0; job.gradient && f < 3; ++f) {
    const float* rows[kRing];
    for (int64_t k = 0; k < kRing; ++k) rows[k] = s.backs(f, y - kSsimRadius + k);
    for (int64_t begin = 0; begin < all; begin += kPiece * n) {
      const int64_t end = std::min(all, begin + kPiece * n);
      for (int64_t g = 0; g < kBatch; g += kTogether) {
        if (y + g + kTogether - 1 < tile.top || y + g >= tile.bottom) continue;
        float* to[kTogether];
        for (int64_t j = 0; j < kTogether; ++j) to[j] = s.windows(f, g + j);
        filter_columns(taps, rows + g, begin, end, to);
      }
    }
  }
  double l1 = 0;
  for (int64_t g = 0; g < kBatch; ++g) {
    if (y + g < tile.top || y + g >= tile.bottom) continue;
    l1 += finish_row(job, tile, shape, y + g, g, s);
  }
  return l1;
}

Shape shape_of(const Job& job, const Tile& tile) {
  return Shape(job, tile, lanes(), kTogether, kBatch);
}

int64_t photometric_scratch(const Job& job, const Tile& tile) {
  return Scratch::floats(shape_of(job, tile));
}

Sums photometric_tile(const Job& job, const Tile& tile, float* memory) {
  const Shape shape = shape_of(job, tile);
  const Taps taps = taps_of(job);
  Scratch s(shape, memory);
  const int64_t c = shape.channels, all = shape.across();
  std::fill_n(s.nothing(), all, 0.0f);
  std::fill_n(s.x(), all, 0.0f);
  std::fill_n(s.x() + shape.inset, (tile.right - tile.left) * c, 1.0f);
  to_stripes(s.x(), shape.stripe, 0, s.own());
  for (int64_t i = 0; i < all; ++i) {
    const int64_t x = shape.left + i / c;
    s.x()[i] = x >= job.rim && x < job.pair.width - job.rim ? 1.0f : 0.0f;
  }
  to_stripes(s.x(), shape.stripe, 0, s.columns());
  Sums sums;
  int64_t taken = tile.top - 2 * kSsimRadius;  // the next row of the images
  for (int64_t y = tile.top - kSsimRadius; y - kSsimRadius < tile.bottom; y += kBatch) {
    // Whole steps of windows; beyond the tile's last window nothing is needed.
    const int64_t left = tile.bottom + kSsimRadius - y,
                  count = std::clamp<int64_t>((left + kTogether - 1) / kTogether * kTogether, 0,
                                              kBatch);
    for (; taken < y + count + kSsimRadius; ++taken) take_row(job, shape, taps, taken, s);
    sums.ssim += map_rows(job, tile, shape, taps, y, count, s);
    sums.l1 += finish_rows(job, tile, shape, taps, y - kSsimRadius, s);
  }
  return sums;
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

  const int64_t bands = (h + kBand - 1) / kBand, stripes = (w + kStripe - 1) / kStripe;
  const int64_t tiles = bands * stripes;
  std::vector<Sums> sums(static_cast<size_t>(tiles));
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
    sums[static_cast<size_t>(i)] = HWY_DYNAMIC_DISPATCH(photometric_tile)(job, tile, own.get());
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
