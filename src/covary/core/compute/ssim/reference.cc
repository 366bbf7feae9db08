#include <cmath>
#include <vector>

#include "covary/core/compute/ssim/ssim.h"

namespace covary::compute {

void ssim_window(double (&taps)[kSsimTaps]) {
  const double sigma = 1.5;
  double sum = 0;
  for (int k = 0; k < kSsimTaps; ++k) {
    const double d = k - kSsimRadius;
    taps[k] = std::exp(-d * d / (2 * sigma * sigma));
    sum += taps[k];
  }
  for (double& tap : taps) tap /= sum;
}

namespace {

template <class T>
using Plane = std::vector<T>;

// The window over a plane, zero beyond the border: along rows, then along columns. Its own
// transpose.
template <class T>
Plane<T> windowed(const Plane<T>& in, int64_t height, int64_t width) {
  double taps[kSsimTaps];
  ssim_window(taps);
  Plane<T> rows(in.size()), out(in.size());
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      T sum = 0;
      for (int64_t k = 0; k < kSsimTaps; ++k) {
        const int64_t from = x + k - kSsimRadius;
        if (from >= 0 && from < width) sum += static_cast<T>(taps[k]) * in[y * width + from];
      }
      rows[y * width + x] = sum;
    }
  }
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      T sum = 0;
      for (int64_t k = 0; k < kSsimTaps; ++k) {
        const int64_t from = y + k - kSsimRadius;
        if (from >= 0 && from < height) sum += static_cast<T>(taps[k]) * rows[from * width + x];
      }
      out[y * width + x] = sum;
    }
  }
  return out;
}

}  // namespace

template <class T>
PhotometricParts photometric_reference(const ImagePair<T>& pair, const PhotometricOptions& options,
                                       T* gradient) {
  const T c1 = static_cast<T>(0.01 * 0.01), c2 = static_cast<T>(0.03 * 0.03);
  const int64_t h = pair.height, w = pair.width, channels = pair.channels;
  const size_t n = static_cast<size_t>(h * w);
  const int64_t rim = options.padding == SsimPadding::kValid ? kSsimRadius : 0;
  // Weights of the pixels in L1 and in the mean of the map.
  Plane<T> mask(n, T(1)), counted(n, T(0));
  if (pair.mask) mask.assign(pair.mask, pair.mask + n);
  double mask_sum = 0, counted_sum = 0;
  for (int64_t y = 0; y < h; ++y) {
    for (int64_t x = 0; x < w; ++x) {
      const size_t i = static_cast<size_t>(y * w + x);
      mask_sum += mask[i];
      if (y < rim || y >= h - rim || x < rim || x >= w - rim) continue;
      counted[i] = mask[i];
      counted_sum += mask[i];
    }
  }
  const double scale_l1 = mask_sum > 0 ? 1 / (mask_sum * static_cast<double>(channels)) : 0;
  const double scale_ssim = counted_sum > 0 ? 1 / (counted_sum * static_cast<double>(channels)) : 0;

  double l1 = 0, ssim = 0;
  for (int64_t c = 0; c < channels; ++c) {
    Plane<T> a(n), b(n), aa_bb(n), ab(n);
    for (size_t i = 0; i < n; ++i) {
      const size_t at = i * static_cast<size_t>(channels) + static_cast<size_t>(c);
      const T truth = pair.truth ? pair.truth[at] : static_cast<T>(pair.truth_bytes[at]) / T(255);
      a[i] = mask[i] * pair.rendered[at];
      b[i] = mask[i] * truth;
      aa_bb[i] = a[i] * a[i] + b[i] * b[i];
      ab[i] = a[i] * b[i];
      l1 += std::abs(a[i] - b[i]);
    }
    const Plane<T> mean_a = windowed(a, h, w), mean_b = windowed(b, h, w);
    const Plane<T> mean_aa_bb = windowed(aa_bb, h, w), mean_ab = windowed(ab, h, w);
    // Derivatives of the weighted map to the window's means of a, a^2 and ab.
    Plane<T> to_a(n), to_aa(n), to_ab(n);
    for (size_t i = 0; i < n; ++i) {
      const T ma = mean_a[i], mb = mean_b[i];
      const T luminance = 2 * ma * mb + c1, squares = ma * ma + mb * mb + c1;
      const T covariance = 2 * (mean_ab[i] - ma * mb) + c2;
      const T variances = mean_aa_bb[i] - ma * ma - mb * mb + c2;
      const T s = luminance * covariance / (squares * variances);
      ssim += counted[i] * s;
      to_a[i] = counted[i] * (2 * mb * (covariance - luminance) / (squares * variances) -
                              2 * ma * s * (1 / squares - 1 / variances));
      to_aa[i] = counted[i] * -s / variances;
      to_ab[i] = counted[i] * 2 * luminance / (squares * variances);
    }
    if (!gradient) continue;
    const Plane<T> back_a = windowed(to_a, h, w), back_aa = windowed(to_aa, h, w),
                   back_ab = windowed(to_ab, h, w);
    for (size_t i = 0; i < n; ++i) {
      const double sign = a[i] > b[i] ? 1 : a[i] < b[i] ? -1 : 0;
      const double d_ssim = back_a[i] + 2 * a[i] * back_aa[i] + b[i] * back_ab[i];
      gradient[i * static_cast<size_t>(channels) + static_cast<size_t>(c)] =
          static_cast<T>(mask[i] * ((1 - options.ssim_weight) * scale_l1 * sign -
                                    options.ssim_weight * scale_ssim * d_ssim));
    }
  }
  PhotometricParts parts;
  parts.l1 = l1 * scale_l1;
  parts.ssim = counted_sum > 0 ? ssim * scale_ssim : 1;
  parts.loss = (1 - options.ssim_weight) * parts.l1 + options.ssim_weight * (1 - parts.ssim);
  return parts;
}

template PhotometricParts photometric_reference(const ImagePair<double>&, const PhotometricOptions&,
                                                double*);
template PhotometricParts photometric_reference(const ImagePair<float>&, const PhotometricOptions&,
                                                float*);

}  // namespace covary::compute
