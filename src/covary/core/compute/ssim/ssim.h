// The photometric loss of splat training, (1 - w) L1 + w (1 - SSIM), with its gradient in the same
// sweep.
//
//   ImagePair<float> pair{.rendered = x, .truth = y, .height = h, .width = w, .channels = 3};
//   std::vector<float> gradient(h * w * 3);
//   // A null pointer in place of the last: no gradient.
//   PhotometricParts parts = photometric(pair, {.ssim_weight = 0.2}, gradient.data());
//
// Images are H x W x C, row by row, about [0,1]; channels are averaged. SSIM is that of Wang et al.
// 2004: Gaussian window 11 x 11 of sigma 1.5 (weights sum to 1, biased variances), C1 = 0.01^2, C2
// = 0.03^2. Beyond the border both images are 0.
//   padding zero:  the map is averaged over every pixel (Kerbl et al. 2023)
//   padding valid: over those whose window lies inside the image, 5 pixels from the border
//                  (gsplat's training loss); H and W must be at least 11
// Mask m, a weight >= 0 a pixel: a masked pixel is treated like the world beyond the border. That
// is, both images are multiplied by m, L1 is sum |m x - m y| / (C sum m), and the map is averaged
// with weights m (over the pixels that the padding counts). The gradient is exactly that of this
// definition. When no weight is left a part is perfect: L1 = 0, SSIM = 1, no gradient.
//
// Cost a pixel and channel: 84 multiplications and 70 additions of the separable windows (4 fields
// forward, 3 back, along rows and columns, two taps of the symmetric window at a time), about 40
// multiply-adds for the map; 12 bytes (x and y read once more from cache, gradient written). Bound
// by arithmetic. Working memory is at most 0.7 MB a thread (3 channels, vectors of 8) whatever the
// size of the image.
// Sums are added in the order of fixed tiles: the same bits at any number of threads.
#pragma once

#include <cstdint>

namespace covary::compute {

enum class SsimPadding { kZero, kValid };

struct PhotometricOptions {
  double ssim_weight = 0.2;  // w, share of 1 - SSIM, in [0, 1]
  SsimPadding padding = SsimPadding::kZero;
};

template <class T>
struct ImagePair {
  const T* rendered = nullptr;           // [H,W,C]
  const T* truth = nullptr;              // [H,W,C], or
  const uint8_t* truth_bytes = nullptr;  // [H,W,C], 255 = 1
  const T* mask = nullptr;               // [H,W] weights >= 0; null = 1
  int64_t height = 0, width = 0, channels = 3;
};

struct PhotometricParts {
  double loss = 0;
  double l1 = 0;    // mean absolute difference
  double ssim = 1;  // mean of the map
};

constexpr int kSsimRadius = 5;
constexpr int kSsimTaps = 2 * kSsimRadius + 1;

// The window's weights along one axis.
void ssim_window(double (&taps)[kSsimTaps]);

// Plane by plane; gradient [H,W,C] of the loss to rendered, or null. double, and float as the
// scalar baseline.
template <class T>
PhotometricParts photometric_reference(const ImagePair<T>& pair, const PhotometricOptions& options,
                                       T* gradient);

PhotometricParts photometric(const ImagePair<float>& pair, const PhotometricOptions& options,
                             float* gradient);

}  // namespace covary::compute
