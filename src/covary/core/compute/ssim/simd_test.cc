#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/ssim/ssim.h"

namespace covary::compute {
namespace {

// A smooth picture with a noisy rendering of it: flat parts are where float loses digits.
struct Images {
  int64_t h, w, c;
  std::vector<float> x, y, m;
  std::vector<uint8_t> bytes;
  Images(int64_t height, int64_t width, int64_t channels) : h(height), w(width), c(channels) {
    const Random random(5);
    for (int64_t i = 0; i < h * w * c; ++i) {
      const double v = static_cast<double>(i / c / w), u = static_cast<double>(i / c % w);
      const double truth = 0.5 + 0.4 * std::sin(0.11 * u + 0.07 * v + static_cast<double>(i % c));
      bytes.push_back(static_cast<uint8_t>(truth * 255));
      y.push_back(static_cast<float>(bytes.back()) / 255.0f);
      x.push_back(y.back() + static_cast<float>(0.05 * random.normal(static_cast<uint64_t>(i)) +
                                                (u > 20 ? 0 : 0.2)));
    }
    for (int64_t i = 0; i < h * w; ++i) {
      m.push_back(static_cast<float>(
          std::clamp(2 * random.uniform(static_cast<uint64_t>(i + 90000000)) - 0.5, 0.0, 1.0)));
    }
  }
};

using Case = std::tuple<std::tuple<int, int, int>, bool, bool, SsimPadding>;
class PhotometricSimd : public testing::TestWithParam<Case> {};

TEST_P(PhotometricSimd, AgreesWithTheReference) {
  const auto [h, w, c] = std::get<0>(GetParam());
  const bool masked = std::get<1>(GetParam()), bytes = std::get<2>(GetParam());
  const PhotometricOptions options{.ssim_weight = 0.3, .padding = std::get<3>(GetParam())};
  const Images im(h, w, c);
  const std::vector<double> x(im.x.begin(), im.x.end()), y(im.y.begin(), im.y.end()),
      m(im.m.begin(), im.m.end());
  std::vector<double> exact(x.size());
  const auto expected = photometric_reference<double>(
      {x.data(), y.data(), nullptr, masked ? m.data() : nullptr, h, w, c}, options, exact.data());
  double largest = 0;
  for (const double g : exact) largest = std::max(largest, std::abs(g));
  const ImagePair<float> pair{im.x.data(),
                              bytes ? nullptr : im.y.data(),
                              bytes ? im.bytes.data() : nullptr,
                              masked ? im.m.data() : nullptr,
                              h,
                              w,
                              c};
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> gradient(x.size(), -1);
    const auto parts = photometric(pair, options, gradient.data());
    EXPECT_NEAR(parts.l1, expected.l1, 1e-7);
    // In a map of few values the rounding errors do not cancel.
    EXPECT_NEAR(parts.ssim, expected.ssim, h * w > 121 ? 1e-6 : 4e-6);
    EXPECT_NEAR(parts.loss, expected.loss, 1e-6);
    for (size_t i = 0; i < exact.size(); ++i) {
      ASSERT_NEAR(gradient[i], exact[i], 1e-4 * largest) << i;
    }
    const auto value = photometric(pair, options, nullptr);
    EXPECT_EQ(value.l1, parts.l1);
    EXPECT_NEAR(value.ssim, parts.ssim, 1e-12);
  });
}

INSTANTIATE_TEST_SUITE_P(
    Cases, PhotometricSimd,
    testing::Combine(testing::Values(std::tuple{11, 11, 3}, std::tuple{75, 37, 3},
                                     std::tuple{21, 530, 1}, std::tuple{150, 64, 4}),
                     testing::Bool(), testing::Bool(),
                     testing::Values(SsimPadding::kZero, SsimPadding::kValid)));

TEST(PhotometricSimdProperty, ImagesSmallerThanTheWindowAreReadWithinTheirBounds) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    for (const int64_t n : {1, 2, 7}) {
      const Images im(n, n + 1, 3);
      const std::vector<double> x(im.x.begin(), im.x.end()), y(im.y.begin(), im.y.end());
      std::vector<float> gradient(x.size());
      const auto parts = photometric({im.x.data(), nullptr, im.bytes.data(), nullptr, n, n + 1, 3},
                                     {}, gradient.data());
      const auto expected = photometric_reference<double>(
          {x.data(), y.data(), nullptr, nullptr, n, n + 1, 3}, {}, nullptr);
      EXPECT_NEAR(parts.loss, expected.loss, 1e-6);
    }
  });
}

TEST(PhotometricSimdProperty, SameBitsAtAnyNumberOfThreads) {
  const Images im(300, 40, 3);
  const ImagePair<float> pair{im.x.data(), im.y.data(), nullptr, im.m.data(), 300, 40, 3};
  std::vector<float> one(im.x.size()), three(im.x.size());
  set_threads(1);
  const auto a = photometric(pair, {}, one.data());
  set_threads(3);
  const auto b = photometric(pair, {}, three.data());
  set_threads(0);
  EXPECT_EQ(a.loss, b.loss);
  EXPECT_EQ(one, three);
}

TEST(PhotometricSimdProperty, NothingLeftIsPerfect) {
  Images im(30, 30, 3);
  im.m.assign(im.m.size(), 0.0f);
  std::vector<float> gradient(im.x.size(), 7);
  const auto parts =
      photometric({im.x.data(), im.y.data(), nullptr, im.m.data(), 30, 30, 3}, {}, gradient.data());
  EXPECT_EQ(parts.loss, 0);
  EXPECT_EQ(parts.ssim, 1);
  EXPECT_TRUE(std::all_of(gradient.begin(), gradient.end(), [](float g) { return g == 0; }));
}

}  // namespace
}  // namespace covary::compute
