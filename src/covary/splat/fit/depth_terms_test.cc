#include "covary/splat/fit/depth_terms.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "covary/core/base/threads.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

TEST(DepthTerms, ScaleAndShiftOfTheKnownMakeNoDifference) {
  const at::Tensor x = compute::test_normal(1, 1, {9, 7}).to(at::kFloat) + 3,
                   ones = at::ones({9, 7});
  EXPECT_NEAR(affine_invariant_distance(x, x * 0.3 - 2, ones).item<double>(), 0, 1e-6);
  const at::Tensor y = compute::test_normal(1, 2, {9, 7}).to(at::kFloat);
  const double d = affine_invariant_distance(x, y, ones).item<double>();
  EXPECT_GT(d, 0.3);
  EXPECT_NEAR(affine_invariant_distance(x, 5 * y + 1, ones).item<double>(), d, 1e-5);
  // what does not count has no say
  at::Tensor weights = ones.clone(), wild = x * 0.3;
  weights[2][3] = 0;
  wild[2][3] = 1000;
  EXPECT_NEAR(affine_invariant_distance(x, wild, weights).item<double>(), 0, 1e-6);
  EXPECT_EQ(affine_invariant_distance(x, ones, ones).item<double>(), 0);
  EXPECT_EQ(affine_invariant_distance(x, y, at::zeros({9, 7})).item<double>(), 0);
}

TEST(DepthTerms, GradientIsTheSignOverTheCount) {
  const at::Tensor x = (compute::test_normal(1, 1, {9, 7}).to(at::kFloat) + 3).requires_grad_();
  const at::Tensor y = compute::test_normal(1, 2, {9, 7}).to(at::kFloat);
  at::Tensor weights = at::ones({9, 7});
  weights[0].fill_(0);
  affine_invariant_distance(x, y, weights).backward();
  const at::Tensor size = x.grad().abs();
  EXPECT_EQ(size[0].sum().item<double>(), 0);
  EXPECT_TRUE(size.slice(0, 1).allclose(at::full({8, 7}, 1.0f / 56), 1e-5, 1e-7));
}

// small_capture whose views know their depth and normals, as drawn.
scene::Capture shaped_capture() {
  const at::NoGradGuard no_gradient;
  const scene::Cloud cloud = small_cloud();
  scene::Capture capture = small_capture();
  for (scene::View& v : capture.views) {
    const render::Rendered r = render::rasterize(activated(cloud), render::views_of({v.camera}),
                                                 {.depth = true, .normal = true});
    const auto copied = [](const at::Tensor& t, int channels) {
      const at::Tensor whole = t.squeeze(0).contiguous();
      data::ImageF image(static_cast<int>(whole.size(0)), static_cast<int>(whole.size(1)),
                         channels);
      std::copy_n(whole.const_data_ptr<float>(), image.pixels.size(), image.pixels.begin());
      return image;
    };
    v.depth = copied(r.depth, 1);
    v.normal = copied(r.normal / r.normal.norm(2, 3, true).clamp_min(1e-6), 3);
  }
  return capture;
}

TEST(DepthTerms, TheTrainerComesNearerToWhatIsKnown) {
  TrainOptions o;
  o.steps = 150;
  o.strategy = "none";
  o.sh_degree = 0;
  const auto last = [&](double depth, double normal) {
    o.loss.depth_weight = depth;
    o.loss.normal_weight = normal;
    Trainer trainer(shaped_capture(), o);
    trainer.start(1);
    std::pair<double, double> sums{0, 0};
    while (trainer.steps_done() < o.steps) {
      const StepResult step = trainer.step();
      if (trainer.steps_done() <= o.steps - 30) continue;
      if (depth > 0) sums.first += step.terms.at("depth");
      if (normal > 0) sums.second += step.terms.at("normal");
    }
    return sums;
  };
  // a weight of next to nothing measures without pulling
  const auto idle = last(1e-12, 1e-12), pulled = last(1, 0.1);
  EXPECT_LT(pulled.first, 0.9 * idle.first);
  EXPECT_LT(pulled.second, 0.9 * idle.second);
}

TEST(DepthTerms, SameBitsOnOneAndTwoThreads) {
  at::Tensor means[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    TrainOptions o;
    o.steps = 20;
    o.loss.depth_weight = 1;
    o.loss.normal_weight = 0.1;
    Trainer trainer(shaped_capture(), o);
    trainer.start(1);
    while (trainer.steps_done() < o.steps) trainer.step();
    means[n - 1] = trainer.cloud().means.clone();
  }
  set_threads(0);
  EXPECT_TRUE(means[0].equal(means[1]));
}

}  // namespace
}  // namespace covary::fit
