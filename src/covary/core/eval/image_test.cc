#include "covary/core/eval/image.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <cmath>

#include "covary/core/base/error.h"

namespace covary::eval {
namespace {

at::Tensor gradient_picture() {
  const at::Tensor x = at::linspace(0.1, 0.9, 8 * 6 * 3, at::kDouble).reshape({8, 6, 3});
  return at::cat({x, (0.5 + 0.4 * (x * 17).sin())}, 1);
}

TEST(Psnr, OfAConstantOffsetIsItsClosedForm) {
  const at::Tensor truth = at::full({4, 5, 3}, 0.5, at::kDouble);
  EXPECT_NEAR(psnr(truth + 0.1, truth), 20.0, 1e-9);
  EXPECT_NEAR(psnr(truth - 0.01, truth), 40.0, 1e-9);
}

TEST(Psnr, ClampsThePictureBeforeComparing) {
  const at::Tensor truth = at::ones({4, 5, 3}, at::kDouble);
  EXPECT_EQ(psnr(truth * 3, truth), kPsnrCap);
}

TEST(Psnr, NotANumberStaysNotANumber) {
  const at::Tensor truth = at::full({4, 5, 3}, 0.5, at::kDouble);
  EXPECT_TRUE(std::isnan(psnr(truth * NAN, truth)));
}

TEST(Psnr, MaskedPixelsDoNotCount) {
  const at::Tensor truth = at::full({4, 5, 3}, 0.5, at::kDouble);
  at::Tensor picture = truth + 0.1;
  picture.narrow(0, 2, 2).fill_(0);
  at::Tensor mask = at::ones({4, 5}, at::kByte);
  mask.narrow(0, 2, 2).fill_(0);
  EXPECT_NEAR(psnr(picture, truth, mask), 20.0, 1e-9);
  EXPECT_LT(psnr(picture, truth), 15.0);
}

TEST(Psnr, EightBitForgivesHalfAStep) {
  const at::Tensor truth = at::full({4, 5, 3}, 100.0 / 255, at::kDouble);
  EXPECT_EQ(psnr_8bit(truth + 0.4 / 255, truth), kPsnrCap);
  EXPECT_NEAR(psnr_8bit(truth + 0.6 / 255, truth), 20 * std::log10(255.0), 1e-9);
}

TEST(Psnr, ShapesAndEmptyMasksAreErrors) {
  const at::Tensor truth = at::zeros({4, 5, 3});
  EXPECT_THROW(psnr(at::zeros({5, 4, 3}), truth), Error);
  EXPECT_THROW(psnr(truth, truth, at::zeros({4, 5})), Error);
  EXPECT_THROW(psnr(truth, truth, at::ones({4, 4})), Error);
}

TEST(ColourCorrected, UndoesAnAffineColourChange) {
  const at::Tensor truth = gradient_picture();
  const at::Tensor mix =
      at::tensor({0.7, 0.1, 0.0, 0.05, 0.6, 0.1, 0.0, 0.2, 0.5}, at::kDouble).reshape({3, 3});
  const at::Tensor picture = truth.matmul(mix) + 0.05;
  EXPECT_LT(psnr(picture, truth), 25);
  EXPECT_GT(psnr(colour_corrected(picture, truth), truth), 60);
}

TEST(ColourCorrected, TakesAFlatPictureToTheMeanColour) {
  const at::Tensor truth = gradient_picture();
  const at::Tensor flat = colour_corrected(at::full_like(truth, 0.3), truth);
  EXPECT_TRUE(at::allclose(flat.mean({0, 1}), truth.mean({0, 1}), 0, 1e-6));
}

}  // namespace
}  // namespace covary::eval
