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

constexpr int64_t kRing = 16;     // rows kept of a filtered field: 10 above and below, and a group
constexpr int64_t kSlack = 64;    // floats behind a row, so that whole vectors may run over its end
constexpr int64_t kStripe = 512;  // widest tile, px: its rings stay in the second-level cache
constexpr int64_t kBand = 72;     // highest tile, px

// Windows are taken of the images less this: variances are then smaller differences of squares,
// and lose fewer digits.
constexpr float kShift = 0.5f;

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

// Rows as long as the tile with 10 pixels to each side, zeroed.
struct Scratch {
  explicit Scratch(int64_t floats) : stride(floats) {
    const size_t total = static_cast<size_t>(stride * (10 + 7 * kRing + 16));
    memory = hwy::AllocateAligned<float>(total);
    std::memset(memory.get(), 0, total * sizeof(float));
  }
  float* row(int64_t i) { return memory.get() + i * stride; }
  float* mask() { return row(0); }
  float* x() { return row(1); }
  float* y() { return row(2); }
  float* squares() { return row(3); }
  float* product() { return row(4); }
  float* map_row(int64_t field) { return row(5 + field); }  // 3 derivatives
  float* weights() { return row(8); }
  float* means(int64_t field, int64_t y) { return row(10 + field * kRing + (y & (kRing - 1))); }
  float* backs(int64_t field, int64_t y) {
    return row(10 + (4 + field) * kRing + (y & (kRing - 1)));
  }
  float* vertical(int64_t field, int64_t i) { return row(10 + 7 * kRing + field * 4 + i); }

  int64_t stride;
  hwy::AlignedFreeUniquePtr<float[]> memory;
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

// Rows whose vertical windows are summed together, so that a loaded row serves several: as many as
// registers allow.
constexpr int64_t kGroup = HWY_MAX_BYTES >= 64 ? 4 : 2;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(D())); }

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
    const hn::Rebind<uint8_t, D> bytes;
    const hn::Rebind<int32_t, D> words;
    const auto scale = hn::Set(d, 1.0f / 255.0f);
    const uint8_t* from = job.pair.truth_bytes + (at + begin);
    float* to = out_y + begin;
    const int64_t n = end - begin;
    int64_t i = 0;
    for (; i + lanes() <= n; i += lanes()) {
      const auto word = hn::PromoteTo(words, hn::LoadU(bytes, from + i));
      hn::StoreU(hn::Mul(hn::ConvertTo(d, word), scale), d, to + i);
    }
    for (; i < n; ++i) to[i] = static_cast<float>(from[i]) * (1.0f / 255.0f);
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

// out[i] = sum of taps[k] * in[i + k * channels].
HWY_INLINE void filter_row(const float* taps, int64_t channels, const float* HWY_RESTRICT in,
                           int64_t count, float* HWY_RESTRICT out) {
  const D d;
  const V t0 = hn::Set(d, taps[0]), t1 = hn::Set(d, taps[1]), t2 = hn::Set(d, taps[2]),
          t3 = hn::Set(d, taps[3]), t4 = hn::Set(d, taps[4]), t5 = hn::Set(d, taps[5]);
  const int64_t c = channels;
  for (int64_t i = 0; i < count; i += lanes()) {
    const float* p = in + i;
    // The window is symmetric: one product for two taps.
    V a = hn::Mul(t5, hn::LoadU(d, p + 5 * c));
    V b = hn::Mul(t0, hn::Add(hn::LoadU(d, p), hn::LoadU(d, p + 10 * c)));
    a = hn::MulAdd(t4, hn::Add(hn::LoadU(d, p + 4 * c), hn::LoadU(d, p + 6 * c)), a);
    b = hn::MulAdd(t1, hn::Add(hn::LoadU(d, p + c), hn::LoadU(d, p + 9 * c)), b);
    a = hn::MulAdd(t3, hn::Add(hn::LoadU(d, p + 3 * c), hn::LoadU(d, p + 7 * c)), a);
    b = hn::MulAdd(t2, hn::Add(hn::LoadU(d, p + 2 * c), hn::LoadU(d, p + 8 * c)), b);
    hn::StoreU(hn::Add(a, b), d, out + i);
  }
}

// Vertical windows of kGroup rows at element i: sums[g] = sum of taps[k] * rows[g + k][i].
HWY_INLINE void filter_columns(const float* taps, const float* const* rows, int64_t i, V* sums) {
  const D d;
  V row = hn::LoadU(d, rows[0] + i);
  for (int64_t g = 0; g < kGroup; ++g) sums[g] = hn::Zero(d);
  HWY_UNROLL(kSsimTaps + kGroup - 1)
  for (int64_t k = 0; k < kSsimTaps + kGroup - 1; ++k) {
    if (k > 0) row = hn::LoadU(d, rows[k] + i);
    HWY_UNROLL(kGroup)
    for (int64_t g = 0; g < kGroup; ++g) {
      if (k - g >= 0 && k - g < kSsimTaps) {
        sums[g] = hn::MulAdd(hn::Set(d, taps[k - g]), row, sums[g]);
      }
    }
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
  const V variances = hn::Add(hn::NegMulAdd(ma, ma, hn::NegMulAdd(mb, mb, squares_mean)), c2);
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
void take_row(const Job& job, const Tile& tile, int64_t y, Scratch& s) {
  const D d;
  const int64_t c = job.pair.channels, width = tile.right - tile.left;
  const int64_t count = (width + 4 * kSsimRadius) * c, inner = (width + 2 * kSsimRadius) * c;
  if (y < 0 || y >= job.pair.height) {
    const float outside[4] = {-kShift, -kShift, 2 * kShift * kShift, kShift * kShift};
    for (int64_t f = 0; f < 4; ++f) std::fill_n(s.means(f, y), inner, outside[f]);
    return;
  }
  load_rows(job, y, tile.left - 2 * kSsimRadius, count, s.mask(), s.x(), s.y());
  const V shift = hn::Set(d, kShift);
  for (int64_t i = 0; i < count; i += lanes()) {
    const V a = hn::Sub(hn::LoadU(d, s.x() + i), shift);
    const V b = hn::Sub(hn::LoadU(d, s.y() + i), shift);
    hn::StoreU(a, d, s.x() + i);
    hn::StoreU(b, d, s.y() + i);
    hn::StoreU(hn::MulAdd(a, a, hn::Mul(b, b)), d, s.squares() + i);
    hn::StoreU(hn::Mul(a, b), d, s.product() + i);
  }
  filter_row(job.taps, c, s.x(), inner, s.means(0, y));
  filter_row(job.taps, c, s.y(), inner, s.means(1, y));
  filter_row(job.taps, c, s.squares(), inner, s.means(2, y));
  filter_row(job.taps, c, s.product(), inner, s.means(3, y));
}

// The map of rows [y, y + kGroup); its derivatives, filtered along the row, go to the rings of
// backs.
double map_rows(const Job& job, const Tile& tile, int64_t y, Scratch& s) {
  const D d;
  const int64_t c = job.pair.channels, width = tile.right - tile.left;
  const int64_t inner = (width + 2 * kSsimRadius) * c, own = width * c;
  // Of the map's columns those of the tile itself count in the sum; it begins kSsimRadius pixels
  // in.
  const int64_t own_begin = kSsimRadius * c, own_end = own_begin + own;
  for (int64_t f = 0; f < 4; ++f) {
    const float* rows[kSsimTaps + kGroup - 1];
    for (int64_t k = 0; k < kSsimTaps + kGroup - 1; ++k) rows[k] = s.means(f, y + k - kSsimRadius);
    for (int64_t i = 0; i < inner; i += lanes()) {
      V sums[kGroup];
      filter_columns(job.taps, rows, i, sums);
      for (int64_t g = 0; g < kGroup; ++g) hn::StoreU(sums[g], d, s.vertical(f, g) + i);
    }
  }
  double ssim = 0;
  for (int64_t g = 0; g < kGroup; ++g) {
    const int64_t row = y + g;
    const bool counted = row >= job.rim && row < job.pair.height - job.rim;
    if (!counted) {
      for (int64_t f = 0; f < 3; ++f) std::fill_n(s.backs(f, row), own, 0.0f);
      continue;
    }
    if (job.pair.mask || g == 0 || row == job.rim) {
      spread_mask(job, row, tile.left - kSsimRadius, inner, job.rim, s.weights());
    }
    const bool mine = row >= tile.top && row < tile.bottom;
    float* to[3] = {nullptr, nullptr, nullptr};
    if (job.gradient) {
      for (int64_t f = 0; f < 3; ++f) to[f] = s.map_row(f);
    } else if (!mine) {
      continue;
    }
    V sum = hn::Zero(d);
    for (int64_t i = 0; i < inner; i += lanes()) {
      const V value = map_at(hn::LoadU(d, s.vertical(0, g) + i), hn::LoadU(d, s.vertical(1, g) + i),
                             hn::LoadU(d, s.vertical(2, g) + i), hn::LoadU(d, s.vertical(3, g) + i),
                             hn::LoadU(d, s.weights() + i), i, to[0], to[1], to[2]);
      if (i >= own_begin && i + lanes() <= own_end) {
        sum = hn::Add(sum, value);
      } else {
        const auto at = hn::Add(hn::Iota(d, 0), hn::Set(d, static_cast<float>(i)));
        const auto in = hn::And(hn::Ge(at, hn::Set(d, static_cast<float>(own_begin))),
                                hn::Lt(at, hn::Set(d, static_cast<float>(own_end))));
        sum = hn::Add(sum, hn::IfThenElseZero(in, value));
      }
    }
    if (mine) ssim += total(sum);
    if (!job.gradient) continue;
    for (int64_t f = 0; f < 3; ++f) filter_row(job.taps, c, to[f], own, s.backs(f, row));
  }
  return ssim;
}

// L1 of one row, and its gradient when the windowed derivatives are given.
double finish_row(const Job& job, const Tile& tile, int64_t y, int64_t g, Scratch& s) {
  const D d;
  const int64_t c = job.pair.channels, own = (tile.right - tile.left) * c;
  load_rows(job, y, tile.left, own, s.mask(), s.x(), s.y());
  V sum = hn::Zero(d);
  float* gradient = job.gradient ? job.gradient + (y * job.pair.width + tile.left) * c : nullptr;
  const V shift = hn::Set(d, kShift), scale_l1 = hn::Set(d, job.scale_l1),
          scale_ssim = hn::Set(d, job.scale_ssim);
  float* out = s.map_row(0);
  for (int64_t i = 0; i < own; i += lanes()) {
    const V a = hn::LoadU(d, s.x() + i), b = hn::LoadU(d, s.y() + i);
    const V difference = hn::Sub(a, b);
    const V absolute = hn::Abs(difference);
    if (i + lanes() <= own) {
      sum = hn::Add(sum, absolute);
    } else {
      const auto in = hn::Lt(hn::Iota(d, 0), hn::Set(d, static_cast<float>(own - i)));
      sum = hn::Add(sum, hn::IfThenElseZero(in, absolute));
    }
    if (!gradient) continue;
    const V back_aa = hn::LoadU(d, s.vertical(1, g) + i);
    const V low_a = hn::Sub(a, shift), low_b = hn::Sub(b, shift);
    V back =
        hn::MulAdd(low_b, hn::LoadU(d, s.vertical(2, g) + i), hn::LoadU(d, s.vertical(0, g) + i));
    back = hn::MulAdd(hn::Add(low_a, low_a), back_aa, back);
    const V step = hn::IfThenZeroElse(hn::Eq(difference, hn::Zero(d)),
                                      hn::CopySignToAbs(scale_l1, difference));
    V value = hn::NegMulAdd(scale_ssim, back, step);
    if (job.pair.mask) value = hn::Mul(hn::LoadU(d, s.mask() + i), value);
    hn::StoreU(value, d, out + i);
  }
  if (gradient) std::memcpy(gradient, out, static_cast<size_t>(own) * sizeof(float));
  return total(sum);
}

Sums photometric_tile(const Job& job, const Tile& tile) {
  const D d;
  const int64_t c = job.pair.channels, own = (tile.right - tile.left) * c;
  Scratch s(own + 4 * kSsimRadius * c + kSlack);
  Sums sums;
  int64_t taken = tile.top - 2 * kSsimRadius;  // the next row of the images
  for (int64_t y = tile.top - kSsimRadius; y - kSsimRadius < tile.bottom; y += kGroup) {
    for (; taken < y + kGroup + kSsimRadius; ++taken) take_row(job, tile, taken, s);
    sums.ssim += map_rows(job, tile, y, s);
    const int64_t done = y - kSsimRadius;  // rows [done, done + kGroup) have all they need
    if (done + kGroup <= tile.top) continue;
    for (int64_t f = 0; job.gradient && f < 3; ++f) {
      const float* rows[kSsimTaps + kGroup - 1];
      for (int64_t k = 0; k < kSsimTaps + kGroup - 1; ++k) {
        rows[k] = s.backs(f, done + k - kSsimRadius);
      }
      for (int64_t i = 0; i < own; i += lanes()) {
        V windows[kGroup];
        filter_columns(job.taps, rows, i, windows);
        for (int64_t g = 0; g < kGroup; ++g) hn::StoreU(windows[g], d, s.vertical(f, g) + i);
      }
    }
    for (int64_t g = 0; g < kGroup; ++g) {
      if (done + g >= tile.top && done + g < tile.bottom) {
        sums.l1 += finish_row(job, tile, done + g, g, s);
      }
    }
  }
  return sums;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

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
  std::vector<Sums> sums(static_cast<size_t>(bands * stripes));
  parallel_tasks(bands * stripes, [&](int64_t i) {
    const int64_t band = i / stripes, stripe = i % stripes;
    const Tile tile{h * band / bands, h * (band + 1) / bands, w * stripe / stripes,
                    w * (stripe + 1) / stripes};
    sums[static_cast<size_t>(i)] = HWY_DYNAMIC_DISPATCH(photometric_tile)(job, tile);
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
