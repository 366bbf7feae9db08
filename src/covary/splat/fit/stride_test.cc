#include "covary/splat/fit/stride.h"

#include <algorithm>
#include <set>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

using testing::HasSubstr;

TEST(Stride, VisitsOfAViewSeeEachPixelOnceACycleInChangingOrder) {
  for (const int stride : {1, 2, 3}) {
    std::set<std::vector<int>> orders;
    for (int64_t cycle = 0; cycle < 12; ++cycle) {
      std::vector<int> order;
      for (int64_t k = 0; k < stride * stride; ++k) {
        const PixelOffset o = stride_offset(3, 5, cycle * stride * stride + k, stride);
        ASSERT_THAT(o.x, testing::AllOf(testing::Ge(0), testing::Lt(stride)));
        order.push_back(o.y * stride + o.x);
      }
      orders.insert(order);
      std::sort(order.begin(), order.end());
      EXPECT_EQ(std::unique(order.begin(), order.end()) - order.begin(), stride * stride);
    }
    if (stride > 1) {
      EXPECT_GT(orders.size(), 3U);
    }
  }
}

TEST(Stride, PicturesAreTheirOwnPixelsWhereTheStrideDividesNoSide) {
  scene::View view;
  view.camera.width = 7;
  view.camera.height = 5;
  view.image = data::Image8(5, 7, 3);
  view.mask = data::Image8(5, 7, 1);
  view.depth = data::ImageF(5, 7, 1);
  for (int y = 0; y < 5; ++y)
    for (int x = 0; x < 7; ++x) {
      for (int k = 0; k < 3; ++k) view.image.at(y, x)[k] = static_cast<uint8_t>(40 * y + 5 * x + k);
      *view.mask.at(y, x) = (x + y) % 2 ? 255 : 0;
      *view.depth.at(y, x) = static_cast<float>(x - y);
    }
  int64_t pixels = 0;
  for (const PixelOffset o : {PixelOffset{0, 0}, {1, 0}, {0, 1}, {1, 1}}) {
    const scene::View part = strided(view, 2, o);
    EXPECT_EQ(part.camera.width, 7);
    ASSERT_EQ(part.image.width, (7 - o.x + 1) / 2);
    ASSERT_EQ(part.image.height, (5 - o.y + 1) / 2);
    EXPECT_TRUE(part.alpha.empty());
    for (int y = 0; y < part.image.height; ++y)
      for (int x = 0; x < part.image.width; ++x) {
        const int fy = 2 * y + o.y, fx = 2 * x + o.x;
        for (int k = 0; k < 3; ++k) EXPECT_EQ(part.image.at(y, x)[k], view.image.at(fy, fx)[k]);
        EXPECT_EQ(*part.mask.at(y, x), *view.mask.at(fy, fx));
        EXPECT_EQ(*part.depth.at(y, x), *view.depth.at(fy, fx));
        ++pixels;
      }
  }
  EXPECT_EQ(pixels, 7 * 5);
}

scene::Capture capture_of(int width, int height) {
  scene::Capture capture = small_capture(8);
  for (size_t i = 0; i < capture.views.size(); ++i) {
    scene::View& view = capture.views[i];
    view.camera = ring_camera(0.8 * static_cast<double>(i), width, height);
    view.image = picture(drawn_by(small_cloud(), view.camera));
  }
  return capture;
}

TrainOptions options_of(int64_t stride) {
  TrainOptions o;
  o.steps = 120;
  o.sh_degree = 0;
  o.render_stride = stride;
  o.default_strategy.start = 5;
  o.default_strategy.stop = 100;
  return o;
}

// What grows is what grows at full pictures: thresholds are in units of the whole picture.
TEST(Stride, SelectsTheGaussiansThatWholePicturesSelect) {
  const scene::Capture capture = capture_of(160, 128);
  const auto gradients = [&](int64_t stride) {
    TrainOptions o = options_of(stride);
    o.optimizer.lr_means = o.optimizer.lr_scales = o.optimizer.lr_quats = 0;
    o.optimizer.lr_opacities = o.optimizer.lr_sh0 = 0;
    Trainer trainer(capture, o);
    trainer.start(1);
    for (int i = 0; i < 48; ++i) trainer.step();
    const auto arrays = trainer.table().arrays();
    return arrays.at("statistic/default.gradients") /
           arrays.at("statistic/default.seen").clamp_min(1);
  };
  const at::Tensor whole = gradients(1), part = gradients(2), threshold = whole.median();
  const at::Tensor a = whole > threshold, b = part > threshold;
  const auto both = (a & b).sum().item<int64_t>(), any = (a | b).sum().item<int64_t>();
  EXPECT_GT(any, 20);
  EXPECT_GE(static_cast<double>(both), 0.7 * static_cast<double>(any));
}

TEST(Stride, LearnsAndIsWholeAtTheEnd) {
  Trainer trainer(capture_of(97, 83), options_of(2));
  trainer.start(1);
  const double before = trainer.quick_psnr();
  while (trainer.steps_done() < 80) trainer.step();
  EXPECT_GT(trainer.quick_psnr(), before + 2);
  // the last steps compare whole pictures: with the stride elsewhere they are those of a run without it
  TrainOptions o = options_of(2);
  o.render_stride_until = 0;
  Trainer whole(capture_of(97, 83), o), plain(capture_of(97, 83), options_of(1));
  for (Trainer* t : {&whole, &plain}) {
    t->start(1);
    for (int i = 0; i < 5; ++i) t->step();
  }
  EXPECT_TRUE(whole.cloud().means.equal(plain.cloud().means));
}

TEST(Stride, ARunGoesOnToTheSameBits) {
  const TemporaryFolder folder{"stride"};
  const auto state = folder.path() / "state.cov";
  const scene::Capture capture = capture_of(96, 80);
  Trainer through(capture, options_of(2)), resumed(capture, options_of(2));
  through.start(1);
  for (int i = 0; i < 12; ++i) {
    if (i == 7) through.save_checkpoint(state);
    through.step();
  }
  resumed.load_checkpoint(state);
  while (resumed.steps_done() < 12) resumed.step();
  EXPECT_TRUE(through.cloud().means.equal(resumed.cloud().means));
  EXPECT_TRUE(through.cloud().opacities.equal(resumed.cloud().opacities));
}

TEST(Stride, SmallPicturesStayWhole) {
  EXPECT_TRUE(can_be_strided(64, 64, 2));
  EXPECT_FALSE(can_be_strided(64, 63, 2));
  Trainer small(small_capture(), options_of(2)), plain(small_capture(), options_of(1));
  for (Trainer* t : {&small, &plain}) {
    t->start(1);
    for (int i = 0; i < 3; ++i) t->step();
  }
  EXPECT_TRUE(small.cloud().means.equal(plain.cloud().means));
}

TEST(Stride, RefusesWhatNeedsWholePictures) {
  TrainOptions o = options_of(2);
  o.views_per_step = 2;
  o.multi_view.cross_ray = true;
  const auto message = [&] {
    try {
      o.check();
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(message(), HasSubstr("cross_ray"));
  o.multi_view.cross_ray = false;
  EXPECT_EQ(message(), "");
  o.loss.sparse_depth_weight = 1;
  EXPECT_THAT(message(), HasSubstr("sparse_depth_weight"));
}

}  // namespace
}  // namespace covary::fit
