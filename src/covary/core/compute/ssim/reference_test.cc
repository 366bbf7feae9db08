#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/ssim/ssim.h"

namespace covary::compute {
namespace {

struct Images {
  int64_t h, w, c;
  std::vector<double> x, y, m;
  Images(int64_t height, int64_t width, int64_t channels) : h(height), w(width), c(channels) {
    const Random random(3);
    for (int64_t i = 0; i < h * w * c; ++i) {
      x.push_back(random.uniform(static_cast<uint64_t>(i)));
      y.push_back(0.5 * x.back() + 0.5 * random.uniform(static_cast<uint64_t>(i + 1000000)));
    }
    for (int64_t i = 0; i < h * w; ++i) {
      m.push_back(std::max(0.0, random.uniform(static_cast<uint64_t>(i + 2000000)) - 0.3));
    }
  }
  ImagePair<double> pair(bool masked) const {
    return {x.data(), y.data(), nullptr, masked ? m.data() : nullptr, h, w, c};
  }
};

// SSIM as its definition reads: at every pixel the weighted means over the 11 x 11 window, 2-D
// weights.
double direct_ssim(const Images& im, SsimPadding padding, bool masked) {
  double taps[kSsimTaps];
  ssim_window(taps);
  const int64_t rim = padding == SsimPadding::kValid ? 5 : 0;
  double sum = 0, weights = 0;
  for (int64_t v = rim; v < im.h - rim; ++v) {
    for (int64_t u = rim; u < im.w - rim; ++u) {
      const double own = masked ? im.m[v * im.w + u] : 1;
      for (int64_t c = 0; c < im.c; ++c) {
        double a = 0, b = 0, aa = 0, bb = 0, ab = 0;
        for (int64_t dv = -5; dv <= 5; ++dv) {
          for (int64_t du = -5; du <= 5; ++du) {
            const int64_t q = v + dv, p = u + du;
            if (q < 0 || q >= im.h || p < 0 || p >= im.w) continue;
            const double g = taps[dv + 5] * taps[du + 5], m = masked ? im.m[q * im.w + p] : 1;
            const double s = m * im.x[(q * im.w + p) * im.c + c];
            const double t = m * im.y[(q * im.w + p) * im.c + c];
            a += g * s, b += g * t, aa += g * s * s, bb += g * t * t, ab += g * s * t;
          }
        }
        const double c1 = 1e-4, c2 = 9e-4;
        sum += own * (2 * a * b + c1) * (2 * (ab - a * b) + c2) /
               ((a * a + b * b + c1) * (aa - a * a + bb - b * b + c2));
        weights += own;
      }
    }
  }
  return sum / weights;
}

TEST(PhotometricReference, WindowIsANormalisedGaussian) {
  double taps[kSsimTaps], sum = 0;
  ssim_window(taps);
  for (const double t : taps) sum += t;
  EXPECT_NEAR(sum, 1, 1e-15);
  EXPECT_NEAR(taps[7] / taps[5], std::exp(-4 / 4.5), 1e-15);
}

TEST(PhotometricReference, EqualImagesArePerfect) {
  Images im(13, 17, 3);
  im.y = im.x;
  for (const auto padding : {SsimPadding::kZero, SsimPadding::kValid}) {
    const auto parts = photometric_reference<double>(im.pair(true), {.padding = padding}, nullptr);
    EXPECT_NEAR(parts.ssim, 1, 1e-14);
    EXPECT_EQ(parts.l1, 0);
  }
}

// Two constant images far from the border: no variance, so SSIM is its luminance term alone.
TEST(PhotometricReference, ConstantImagesHaveAClosedForm) {
  Images im(11, 11, 1);
  im.x.assign(121, 0.25);
  im.y.assign(121, 0.75);
  const auto parts = photometric_reference<double>(
      im.pair(false), {.ssim_weight = 0.2, .padding = SsimPadding::kValid}, nullptr);
  const double ssim = (2 * 0.25 * 0.75 + 1e-4) / (0.25 * 0.25 + 0.75 * 0.75 + 1e-4);
  EXPECT_NEAR(parts.ssim, ssim, 1e-12);
  EXPECT_NEAR(parts.loss, 0.8 * 0.5 + 0.2 * (1 - ssim), 1e-12);
}

TEST(PhotometricReference, AgreesWithTheDefinition) {
  const Images im(19, 15, 2);
  for (const bool masked : {false, true}) {
    for (const auto padding : {SsimPadding::kZero, SsimPadding::kValid}) {
      const auto parts =
          photometric_reference<double>(im.pair(masked), {.padding = padding}, nullptr);
      EXPECT_NEAR(parts.ssim, direct_ssim(im, padding, masked), 1e-12);
    }
  }
}

TEST(PhotometricReference, GradientAgreesWithFiniteDifferences) {
  Images im(14, 13, 2);
  for (const bool masked : {false, true}) {
    for (const auto padding : {SsimPadding::kZero, SsimPadding::kValid}) {
      const PhotometricOptions options{.ssim_weight = 0.6, .padding = padding};
      std::vector<double> gradient(im.x.size());
      photometric_reference<double>(im.pair(masked), options, gradient.data());
      for (size_t i = 0; i < im.x.size(); i += 7) {
        const double x = im.x[i], step = 1e-6;
        im.x[i] = x + step;
        const double up = photometric_reference<double>(im.pair(masked), options, nullptr).loss;
        im.x[i] = x - step;
        const double down = photometric_reference<double>(im.pair(masked), options, nullptr).loss;
        im.x[i] = x;
        ASSERT_NEAR(gradient[i], (up - down) / (2 * step), 1e-4 * std::abs(gradient[i]) + 1e-9)
            << i;
      }
    }
  }
}

TEST(PhotometricReference, MaskedPixelsDoNotMatter) {
  Images im(16, 16, 3);
  for (size_t i = 0; i < 256; ++i) im.m[i] = i % 16 < 6 ? 0 : 1;
  const PhotometricOptions options{.ssim_weight = 0.5};
  std::vector<double> gradient(im.x.size());
  const auto before = photometric_reference<double>(im.pair(true), options, gradient.data());
  for (size_t i = 0; i < 256 * 3; ++i) {
    if (im.m[i / 3] == 0) {
      EXPECT_EQ(gradient[i], 0);
      im.x[i] = 100;
      im.y[i] = -3;
    }
  }
  const auto after = photometric_reference<double>(im.pair(true), options, nullptr);
  EXPECT_EQ(before.l1, after.l1);
  EXPECT_EQ(before.ssim, after.ssim);
}

TEST(PhotometricReference, NothingLeftIsPerfect) {
  Images im(12, 12, 1);
  im.m.assign(144, 0.0);
  std::vector<double> gradient(144, 7);
  const auto parts = photometric_reference<double>(im.pair(true), {}, gradient.data());
  EXPECT_EQ(parts.loss, 0);
  EXPECT_EQ(parts.ssim, 1);
  EXPECT_EQ(gradient, std::vector<double>(144, 0.0));
}

}  // namespace
}  // namespace covary::compute
