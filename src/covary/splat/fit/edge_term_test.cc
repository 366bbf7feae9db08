#include "covary/splat/fit/edge_term.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/splat/fit/small_capture.h"

namespace covary::fit {
namespace {

// Dark on the left, bright from column `edge` on, with a little noise.
at::Tensor step_picture(int64_t h, int64_t w, int64_t edge) {
  at::Tensor image = at::empty({h, w, 3}, at::kDouble);
  const Random random(5);
  double* p = image.data_ptr<double>();
  for (int64_t i = 0; i < h * w * 3; ++i)
    p[i] = ((i / 3) % w >= edge ? 0.8 : 0.2) + 0.01 * random.uniform(static_cast<uint64_t>(i));
  return image;
}

TEST(EdgeMask, LateInAFitItMarksOneSideOfAnEdgeAndEarlyTheRest) {
  const at::Tensor image = step_picture(120, 160, 80);
  const at::Tensor late = edge_mask(image, 90), early = edge_mask(image, 10);
  ASSERT_TRUE(late.defined());
  EXPECT_LT(late.mean().item<double>(), 0.7);
  const auto share = [&](int64_t column) {  // of four columns, away from the borders
    return late.narrow(0, 30, 60).narrow(1, column, 4).mean().item<double>();
  };
  EXPECT_GT(share(83), 0.95);
  EXPECT_LT(share(74), 0.05);
  EXPECT_NEAR((late + early).mean().item<double>(), 1, 0.02);
}

TEST(EdgeMask, IsThatOfADirectDoubleSum) {
  const at::Tensor image = step_picture(100, 90, 30);
  const double f = 70, sigma = 0.1 + 3;
  const int64_t h = 20, w = 18;
  const at::Tensor grey = image.mean(2);
  const auto sample = [](const at::Tensor& from, double y, double x) {
    y = std::clamp(y, 0.0, static_cast<double>(from.size(0) - 1));
    x = std::clamp(x, 0.0, static_cast<double>(from.size(1) - 1));
    const auto y0 = static_cast<int64_t>(y), x0 = static_cast<int64_t>(x);
    const int64_t y1 = std::min(y0 + 1, from.size(0) - 1), x1 = std::min(x0 + 1, from.size(1) - 1);
    const double* p = from.const_data_ptr<double>();
    const double a = y - static_cast<double>(y0), b = x - static_cast<double>(x0);
    const int64_t n = from.size(1);
    return (1 - a) * ((1 - b) * p[y0 * n + x0] + b * p[y0 * n + x1]) +
           a * ((1 - b) * p[y1 * n + x0] + b * p[y1 * n + x1]);
  };
  at::Tensor small = at::empty({h, w}, at::kDouble), band = at::zeros({h, w}, at::kDouble);
  for (int64_t y = 0; y < h; ++y)
    for (int64_t x = 0; x < w; ++x) small[y][x] = sample(grey, 5 * y + 2.0, 5 * x + 2.0);
  const double* s = small.const_data_ptr<double>();
  for (const double width : {sigma, 2 * sigma}) {
    const auto reach = std::lround(3 * width);
    for (int64_t y = 0; y < h; ++y)
      for (int64_t x = 0; x < w; ++x) {
        double sum = 0, total = 0;
        for (int64_t i = 0; i < h; ++i)
          for (int64_t k = 0; k < w; ++k)
            if (std::abs(i - y) <= reach && std::abs(k - x) <= reach) {
              const double weight =
                  std::exp(-0.5 * ((i - y) * (i - y) + (k - x) * (k - x)) / (width * width));
              sum += s[i * w + k] * weight;
              total += weight;
            }
        band.data_ptr<double>()[y * w + x] += (width == sigma ? 1 : -1) * sum / total;
      }
  }
  at::Tensor full = at::empty({100, 90}, at::kDouble);
  for (int64_t y = 0; y < 100; ++y)
    for (int64_t x = 0; x < 90; ++x)
      full.data_ptr<double>()[y * 90 + x] = sample(band, (y + 0.5) / 5 - 0.5, (x + 0.5) / 5 - 0.5);
  const at::Tensor wanted =
      ((full - full.min()) / (full.max() - full.min())).ge(0.5).to(at::kDouble);
  EXPECT_TRUE(at::equal(edge_mask(image, f), wanted));
  EXPECT_LT(
      (edge_mask(image.to(at::kFloat), f).to(at::kDouble) - wanted).abs().mean().item<double>(),
      1e-3);
}

TEST(EdgeMask, ThereIsNoneOfSmallOrPlainPictures) {
  EXPECT_FALSE(edge_mask(step_picture(70, 200, 20), 60).defined());
  EXPECT_FALSE(edge_mask(at::full({200, 200, 3}, 0.25, at::kFloat), 50).defined());
  EXPECT_FALSE(edge_mask(at::zeros({200, 200, 3}, at::kFloat), 50).defined());
}

TEST(EdgeMask, TheFrameOfABrightPictureIsNoEdge) {
  at::Tensor image = at::ones({200, 250, 3}, at::kFloat);
  image.narrow(0, 80, 40).narrow(1, 100, 40).fill_(0.4);
  const at::Tensor mask = edge_mask(image, 90);
  ASSERT_TRUE(mask.defined());
  // As what is flat elsewhere, all around.
  const double flat = mask[40][40].item<double>();
  for (const at::Tensor& side : {mask.narrow(0, 0, 20), mask.narrow(0, 180, 20),
                                 mask.narrow(1, 0, 20), mask.narrow(1, 230, 20)}) {
    EXPECT_EQ(side.min().item<double>(), flat);
    EXPECT_EQ(side.max().item<double>(), flat);
  }
  EXPECT_NE(mask.min().item<double>(), mask.max().item<double>());
}

TEST(EdgeTerm, TakesFromL1WhatTheMaskLeavesOut) {
  const at::Tensor truth = step_picture(100, 100, 50).to(at::kFloat),
                   render = truth.add(0.1).mul(0.9).requires_grad_(true);
  render::Rendered rendered;
  rendered.color = render.unsqueeze(0);
  const scene::View view;
  const render::Primitives none;
  const Target target{.image = truth, .mask = {}, .background = {}};
  const LossContext context{80, view, target, rendered, none, 100};
  const LossTerm term = edge_term(0.5, "truth");
  EXPECT_EQ(term.weight.at(80), 0.5);
  const at::Tensor value = term.value(context).value;
  const at::Tensor mask = edge_mask(truth, 80), error = (render - truth).abs();
  EXPECT_NEAR(value.item<double>(),
              ((error * mask.unsqueeze(2)).mean() - error.mean()).item<double>(), 1e-6);
  value.backward();
  EXPECT_EQ((render.grad().abs().sum(2) * mask).sum().item<double>(), 0);
  EXPECT_GT(render.grad().abs().sum().item<double>(), 0);
}

}  // namespace
}  // namespace covary::fit
