#include "covary/splat/fit/sampling_filter.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

scene::Camera facing(double z, double focal) {
  scene::Camera c;
  c.width = 100;
  c.height = 80;
  c.fx = c.fy = focal;
  c.cx = 50;
  c.cy = 40;
  c.cam_from_world(2, 3) = z;  // at -z, looking along +z
  return c;
}

TEST(SamplingFilter, IsTheFinestSampleOfTheCamerasThatSeeAPoint) {
  const at::Tensor means = at::tensor({0.f, 0.f, 0.f,     // in all pictures
                                       0.f, 0.f, -5.f,    // behind the nearer camera
                                       1.2f, 0.f, 0.f,    // beside the picture of the nearer one
                                       0.f, 100.f, 0.f})  // in none
                               .view({4, 3});
  // seen at 50 + 100 x / 2 px: 0.5 + 0.15 of 100 px is 65 px from the middle, x = 1.3 at z = 2
  const std::vector<scene::Camera> cameras = {facing(2, 100), facing(10, 200)};
  const at::Tensor w = sampling_filter(means, cameras);
  const double root = std::sqrt(0.2);
  EXPECT_FLOAT_EQ(w[0].item<float>(), static_cast<float>(root * 2 / 100));
  EXPECT_FLOAT_EQ(w[1].item<float>(), static_cast<float>(root * 5 / 200));
  EXPECT_FLOAT_EQ(w[2].item<float>(), static_cast<float>(root * 2 / 100));
  EXPECT_FLOAT_EQ(w[3].item<float>(), static_cast<float>(root * 5 / 200));
  const at::Tensor moved = means + at::tensor({0.2f, 0.f, 0.f});
  EXPECT_FLOAT_EQ(sampling_filter(moved, cameras)[2].item<float>(),
                  static_cast<float>(root * 10 / 200));
  EXPECT_EQ(sampling_filter(means, {}).abs().max().item<float>(), 0);
}

TEST(SamplingFilter, GradientsMatchFiniteDifferences) {
  const int64_t n = 6;
  const at::Tensor scales = (at::linspace(0.02, 0.4, 3 * n).view({n, 3})).requires_grad_(true);
  const at::Tensor opacities = at::linspace(0.1, 0.95, n).requires_grad_(true);
  const at::Tensor w = at::linspace(0, 0.3, n);
  const at::Tensor a = at::linspace(-1, 2, 3 * n).view({n, 3}), b = at::linspace(2, -1, n);
  render::Primitives p;
  p.scales = scales;
  p.opacities = opacities;
  filtered(w, p);
  ((p.scales * a).sum() + (p.opacities * b).sum()).backward();
  // the same in double
  const auto value = [&](const at::Tensor& s, const at::Tensor& o) {
    const at::Tensor wide = (s.square() + w.to(at::kDouble).square().unsqueeze(1)).sqrt();
    return ((wide * a).sum() + (o * (s / wide).prod(1) * b).sum()).item<double>();
  };
  const at::Tensor s = scales.detach().to(at::kDouble), o = opacities.detach().to(at::kDouble);
  const double h = 1e-6;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < 3; ++k) {
      at::Tensor up = s.clone(), down = s.clone();
      up[i][k] += h;
      down[i][k] -= h;
      const double truth = (value(up, o) - value(down, o)) / (2 * h);
      EXPECT_NEAR(scales.grad()[i][k].item<double>(), truth, 1e-4 * (1 + std::abs(truth)));
    }
    at::Tensor up = o.clone(), down = o.clone();
    up[i] += h;
    down[i] -= h;
    EXPECT_NEAR(opacities.grad()[i].item<double>(), (value(s, up) - value(s, down)) / (2 * h),
                1e-5);
  }
}

TEST(SamplingFilter, WhatIsSavedLooksLikeWhatIsDrawn) {
  const scene::Cloud cloud = small_cloud();
  const scene::Camera camera = ring_camera(0.3);
  const at::Tensor w = at::linspace(0, 0.2, cloud.size());
  render::Primitives p = activated(cloud);
  filtered(w, p);
  const at::Tensor drawn = render::rasterize(p, render::views_of({camera}), {}).color[0];
  EXPECT_GT((drawn - drawn_by(cloud, camera)).abs().max().item<double>(), 0.02);
  scene::Cloud saved = cloud;
  with_filter(w, saved);
  EXPECT_LT((drawn_by(saved, camera) - drawn).abs().max().item<double>(), 1e-5);
  EXPECT_EQ(saved.opacities[0].item<float>(), cloud.opacities[0].item<float>());  // w = 0
}

TrainOptions options() {
  TrainOptions o;
  o.steps = 60;
  o.sh_degree = 1;
  o.filter_3d = true;
  o.default_strategy.start = 5;
  o.default_strategy.every = 10;
  o.default_strategy.grad_threshold = 1e-5;
  o.checkpoint_every = 30;
  return o;
}

TEST(SamplingFilter, NothingThatIsSavedIsFinerThanThePhotos) {
  Trainer trainer(small_capture(), options());
  trainer.start(1);
  const int64_t before = trainer.count();
  while (trainer.steps_done() < 60) trainer.step();
  EXPECT_NE(trainer.count(), before);  // rows changed, and their filters with them
  std::vector<scene::Camera> cameras;
  for (const int64_t i : trainer.capture().train)
    cameras.push_back(trainer.capture().views[static_cast<size_t>(i)].camera);
  const scene::Cloud cloud = trainer.cloud();
  const at::Tensor w = sampling_filter(cloud.means, cameras);
  EXPECT_GE((cloud.scales.exp() / w.unsqueeze(1)).min().item<double>(), 0.97);
}

TEST(SamplingFilter, AResumedRunHasTheSameBits) {
  const TemporaryFolder folder("filter");
  const auto state = folder.path() / "state.cov";
  Trainer whole(small_capture(), options());
  whole.start(3);
  while (whole.steps_done() < 33) whole.step();
  whole.save_checkpoint(state);
  Trainer resumed(small_capture(), options());
  resumed.load_checkpoint(state);
  for (Trainer* t : {&whole, &resumed})
    while (t->steps_done() < 60) t->step();
  EXPECT_TRUE(at::equal(whole.cloud().scales, resumed.cloud().scales));
  EXPECT_TRUE(at::equal(whole.cloud().opacities, resumed.cloud().opacities));
}

TEST(SamplingFilter, AnUnfinishedRunIsReadFiltered) {
  const TemporaryFolder folder("filter");
  Trainer trainer(small_capture(), options());
  trainer.start(3);
  while (trainer.steps_done() < 20) trainer.step();
  std::filesystem::create_directories(folder.path() / "run" / "checkpoint");
  trainer.save_checkpoint(folder.path() / "run" / "checkpoint" / "state.cov");
  const scene::Cloud read = load_scene(folder.path() / "run").cloud, now = trainer.exported();
  EXPECT_LT((read.scales - now.scales).abs().max().item<double>(), 1e-5);
  EXPECT_LT((read.opacities - now.opacities).abs().max().item<double>(), 1e-4);
}

TEST(SamplingFilter, IsOfGaussiansAlone) {
  TrainOptions o = options();
  o.primitive = "ges";
  o.ges.kernel = "gef";
  EXPECT_THROW(o.check(), Error);
  o.ges.kernel = "fast";
  EXPECT_NO_THROW(o.check());
}

}  // namespace
}  // namespace covary::fit
