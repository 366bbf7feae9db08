#include "covary/core/compute/ssim/op.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"

namespace covary::compute {
namespace {

at::Tensor picture(at::IntArrayRef shape, double phase) {
  int64_t n = 1;
  for (const int64_t s : shape) n *= s;
  return ((at::arange(n, at::kDouble) * 0.37 + phase).sin() * 0.4 + 0.5).reshape(shape);
}

TEST(PhotometricOp, FloatFollowsDoubleInValueAndGradient) {
  for (const auto padding : {SsimPadding::kZero, SsimPadding::kValid}) {
    const at::Tensor x = picture({20, 24, 3}, 0).set_requires_grad(true);
    const at::Tensor y = picture({20, 24, 3}, 1);
    const at::Tensor xf = x.detach().to(at::kFloat).set_requires_grad(true);
    const auto d = photometric_loss(x, y, 0.2, {}, padding);
    const auto f = photometric_loss(xf, y.to(at::kFloat), 0.2, {}, padding);
    EXPECT_NEAR(f.value.item<float>(), d.value.item<double>(), 1e-6);
    EXPECT_NEAR(d.value.item<double>(), 0.8 * d.l1 + 0.2 * (1 - d.ssim), 1e-12);
    (3 * d.value).backward();
    (3 * f.value).backward();
    const double largest = x.grad().abs().max().item<double>();
    EXPECT_LT((xf.grad().to(at::kDouble) - x.grad()).abs().max().item<double>(), 1e-4 * largest);
  }
}

TEST(PhotometricOp, GradientAgreesWithFiniteDifferences) {
  const at::Tensor x = picture({2, 12, 13, 3}, 0).set_requires_grad(true);
  const at::Tensor y = picture({2, 12, 13, 3}, 2);
  const at::Tensor mask = (picture({2, 12, 13}, 5) > 0.3);
  photometric_loss(x, y, 0.4, mask).value.backward();
  for (const int64_t i : {0, 100, 333, 700, 935}) {
    const auto at_step = [&](double step) {
      at::Tensor moved = x.detach().clone();
      moved.view({-1})[i] += step;
      return photometric_loss(moved, y, 0.4, mask).value.item<double>();
    };
    const double numeric = (at_step(1e-6) - at_step(-1e-6)) / 2e-6;
    EXPECT_NEAR(x.grad().view({-1})[i].item<double>(), numeric, 1e-4 * std::abs(numeric) + 1e-9);
  }
}

TEST(PhotometricOp, ViewsAreAveraged) {
  const at::Tensor x = picture({2, 15, 16, 3}, 0), y = picture({2, 15, 16, 3}, 1);
  const auto both = photometric_loss(x, y, 0.2);
  const auto one = photometric_loss(x[0], y[0], 0.2), two = photometric_loss(x[1], y[1], 0.2);
  EXPECT_NEAR(both.l1, (one.l1 + two.l1) / 2, 1e-14);
  EXPECT_NEAR(both.ssim, (one.ssim + two.ssim) / 2, 1e-14);
}

TEST(PhotometricOp, BytesAndMasksOfAnyKindMeanTheSame) {
  const at::Tensor bytes = (picture({14, 15, 3}, 1) * 255).to(at::kByte);
  const at::Tensor x = picture({14, 15, 3}, 0).to(at::kFloat);
  const at::Tensor mask = picture({14, 15}, 3) > 0.5;
  const auto a = photometric_loss(x, bytes, 0.2, mask);
  const auto b = photometric_loss(x, bytes.to(at::kFloat) / 255, 0.2, mask.to(at::kByte) * 255);
  const auto c = photometric_loss(x, bytes, 0.2, mask.to(at::kFloat));
  EXPECT_NEAR(a.value.item<float>(), b.value.item<float>(), 1e-7);
  EXPECT_EQ(a.value.item<float>(), c.value.item<float>());
  EXPECT_NE(a.l1, photometric_loss(x, bytes, 0.2).l1);
  EXPECT_NEAR(ssim(x, bytes, SsimPadding::kZero, mask), a.ssim, 1e-12);
}

TEST(PhotometricOp, SecondBackwardOfAKeptGraphIsTheSame) {
  const at::Tensor x = picture({12, 12, 1}, 0).set_requires_grad(true);
  const auto loss = photometric_loss(x, picture({12, 12, 1}, 1), 0.2);
  loss.value.backward({}, /*retain_graph=*/true);
  const at::Tensor once = x.grad().clone();
  loss.value.backward();
  EXPECT_TRUE(at::allclose(x.grad(), 2 * once));
}

TEST(PhotometricOp, RefusesWhatDoesNotFit) {
  const at::Tensor x = at::zeros({12, 12, 3});
  EXPECT_THROW(photometric_loss(x, at::zeros({12, 13, 3}), 0.2), Error);
  EXPECT_THROW(photometric_loss(x, x.to(at::kDouble), 0.2), Error);
  EXPECT_THROW(photometric_loss(x, x, 1.5), Error);
  EXPECT_THROW(photometric_loss(x, x, std::nan("")), Error);
  EXPECT_THROW(photometric_loss(x, x, 0.2, at::zeros({12, 11})), Error);
  EXPECT_THROW(photometric_loss(x, x, 0.2, -at::ones({12, 12})), Error);
  EXPECT_THROW(photometric_loss(x.slice(0, 0, 10), x.slice(0, 0, 10), 0.2, {}, SsimPadding::kValid),
               Error);
  EXPECT_THROW(photometric_loss(at::zeros({0, 12, 3}), at::zeros({0, 12, 3}), 0.2), Error);
  EXPECT_NO_THROW(photometric_loss(x, x, 0.2));
}

}  // namespace
}  // namespace covary::compute
