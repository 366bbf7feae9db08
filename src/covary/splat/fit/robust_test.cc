#include "covary/splat/fit/robust.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

constexpr RobustRule kRule{.over_median = 4, .least = 0.16};

// 64 x 96 px of small errors: patches of 4 px.
at::Tensor errors() { return 0.01 * compute::test_normal(1, 1, {64, 96, 3}).to(at::kFloat); }

at::Tensor weights_of(const at::Tensor& error, const at::Tensor& mask = {}) {
  const at::Tensor truth = at::full({64, 96, 3}, 0.4f);
  return believed(truth + error, truth, mask, kRule);
}

TEST(Robust, SmallErrorsAreAllBelieved) {
  ASSERT_EQ(patch_side(64, 96), 4);
  EXPECT_EQ(patch_side(1080, 1920), 16);
  EXPECT_TRUE(weights_of(errors()).equal(at::ones({64, 96})));
}

TEST(Robust, AnObjectGoesWithItsEdgesAndNothingElse) {
  at::Tensor error = errors();
  error.slice(0, 10, 30).slice(1, 21, 50).fill_(0.4f);
  const at::Tensor weights = weights_of(error);
  EXPECT_EQ(weights.slice(0, 10, 30).slice(1, 21, 50).sum().item<float>(), 0);
  // patches that it covers in part go, and none that it does not touch
  EXPECT_EQ(weights.sum().item<float>(), 64 * 96 - 24 * 32);
  const at::Tensor bytes = at::full({64, 96, 3}, 102, at::kByte);  // 0.4
  EXPECT_TRUE(believed(0.4 + error, bytes, {}, kRule).equal(weights));
}

TEST(Robust, ASinglePatchStays) {
  at::Tensor error = errors();
  error.slice(0, 12, 16).slice(1, 20, 24).fill_(0.5f);
  EXPECT_TRUE(weights_of(error).equal(at::ones({64, 96})));
}

TEST(Robust, APhotoThatIsWrongAllOverIsBelieved) {
  EXPECT_TRUE(weights_of(errors() + 0.5f).equal(at::ones({64, 96})));
}

TEST(Robust, AMaskStaysAndWhatItHidesDecidesNothing) {
  at::Tensor error = errors(), mask = at::ones({64, 96});
  error.slice(1, 0, 48).fill_(0.9f);
  mask.slice(1, 0, 48).fill_(0);
  EXPECT_TRUE(weights_of(error, mask).equal(mask));
  EXPECT_TRUE(weights_of(error, at::zeros({64, 96})).equal(at::zeros({64, 96})));
}

TEST(Robust, OptionsFollowTheLevelAndTheLength) {
  RobustOptions o;
  EXPECT_FALSE(o.on());
  EXPECT_EQ(o.start_of(30000), 1000);
  EXPECT_EQ(o.start_of(1000), 200);
  o.robust = "strong";
  const RobustRule strong = o.rule();
  o.robust = "mild";
  EXPECT_LT(strong.over_median, o.rule().over_median);
  EXPECT_LT(strong.least, o.rule().least);
  o.robust = "very";
  EXPECT_THROW(o.check(), Error);
}

// small_capture with a red box somewhere in every third training photo.
scene::Capture boxed_capture() {
  scene::Capture capture = small_capture(16);
  for (size_t k = 0; k < capture.train.size(); k += 3) {
    data::Image8& image = capture.views[static_cast<size_t>(capture.train[k])].image;
    for (int y = 6; y < 22; ++y)
      for (int x = 8 + static_cast<int>(k); x < 22 + static_cast<int>(k); ++x) {
        image.at(y, x)[0] = 240;
        image.at(y, x)[1] = image.at(y, x)[2] = 20;
      }
  }
  return capture;
}

TEST(Robust, TheTrainerLeavesOutABoxThatMoves) {
  TrainOptions o;
  o.steps = 300;
  o.strategy = "none";
  o.sh_degree = 1;
  // A scene that is still far from its photos has errors everywhere: rates that bring it near in few steps.
  o.optimizer.lr_means *= 4;
  o.optimizer.lr_sh0 *= 8;
  o.optimizer.lr_shN *= 8;
  o.optimizer.lr_opacities *= 2;
  o.optimizer.lr_scales *= 2;
  const auto seen_without = [&](const std::string& level, double* out) {
    o.robust.robust = level;
    Trainer trainer(boxed_capture(), o);
    trainer.start(1);
    while (trainer.steps_done() < o.steps) {
      const StepResult step = trainer.step();
      const auto found = step.terms.find("left_out");
      EXPECT_EQ(found != step.terms.end(),
                level != "off" && trainer.steps_done() > o.robust.start_of(o.steps));
      if (found != step.terms.end() && trainer.steps_done() > o.steps - 100)
        *out += found->second / 100;
    }
    // how well the boxed photos' cameras see the scene without the box
    const scene::Capture clean = small_capture(16);
    double sum = 0;
    for (size_t k = 0; k < clean.train.size(); k += 3) {
      const scene::View& view = clean.views[static_cast<size_t>(clean.train[k])];
      const at::Tensor truth = make_target(view, clean, "ignore", at::zeros({3})).image;
      sum += psnr(drawn_by(trainer.cloud(), view.camera), truth) / 4;
    }
    return sum;
  };
  double none = 0, out = 0;
  const double plain = seen_without("off", &none);
  EXPECT_GT(seen_without("strong", &out), plain + 0.2);
  // the box and the patches of its edges, in a third of the photos
  EXPECT_GT(out, 16.0 * 14 / (36 * 48) / 3);
  EXPECT_LT(out, 2 * 16.0 * 14 / (36 * 48) / 3);
  EXPECT_EQ(none, 0);
}

}  // namespace
}  // namespace covary::fit
