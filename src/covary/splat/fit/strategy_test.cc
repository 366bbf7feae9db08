#include "covary/splat/fit/strategy.h"

#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/strategy_parts.h"

namespace covary::fit {
namespace {

using testing::ElementsAre;

constexpr int kWidth = 200, kHeight = 100;

// A table of n Gaussians whose moments are all 1 and whose mean x tells them apart.
nn::RowTable table_of(int64_t n, double scale = 0.005, double opacity = 0.5) {
  nn::RowTable t;
  at::Tensor means = at::zeros({n, 3}), quats = at::zeros({n, 4});
  means.select(1, 0).copy_(at::arange(n));
  quats.select(1, 0).fill_(1);
  t.add("means", means, nn::constant(1e-3));
  t.add("quats", quats, nn::constant(1e-3));
  t.add("scales", at::full({n, 3}, std::log(scale)), nn::constant(1e-3));
  t.add("opacities", at::full({n}, logit(opacity)), nn::constant(1e-3));
  t.add("sh0", at::arange(3 * n).to(at::kFloat).view({n, 1, 3}), nn::constant(1e-3));
  for (const auto& name : t.names()) {
    t.entry(name).first.fill_(1);
    t.entry(name).second.fill_(1);
  }
  return t;
}

TrainOptions options_of(const std::string& strategy) {
  TrainOptions o;
  o.strategy = strategy;
  return o;
}

// Feeds one view in which rows `ids` have screen gradients (x, y) in half image sizes.
void see(Strategy& s, const std::vector<int64_t>& ids, const std::vector<float>& x,
         const std::vector<float>& y, int64_t step = 600) {
  scene::Camera camera;
  camera.width = kWidth;
  camera.height = kHeight;
  render::Footprints f;
  const auto m = static_cast<int64_t>(ids.size());
  f.ids = at::tensor(ids, at::kLong);
  f.screen_gradients = at::zeros({m, 4});
  for (int64_t i = 0; i < m; ++i) {
    f.screen_gradients[i][0] = x[static_cast<size_t>(i)] / (kWidth / 2.0f);
    f.screen_gradients[i][1] = y[static_cast<size_t>(i)] / (kHeight / 2.0f);
    f.screen_gradients[i][2] = 1;  // the absolute parts: only absgrad may look at them
    f.screen_gradients[i][3] = 1;
  }
  const at::Tensor loss = at::zeros({}), none;
  s.after_backward({step, 0, camera, f, loss, none, none, none});
}

std::vector<float> values(const at::Tensor& t) {
  const at::Tensor flat = t.detach().contiguous().view({-1});
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}
std::vector<float> column(const nn::RowTable& t, const char* name, int64_t k) {
  return values(t.parameter(name).detach().select(1, k));
}

TEST(DefaultStrategy, ClonesSmallSplitsLargeAndLeavesTheRest) {
  nn::RowTable t = table_of(4);
  t.parameter("scales").detach()[2].fill_(std::log(0.05));  // larger than 0.01 extents
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {.extent = 1, .seed = 7});
  // row 0: below the threshold; 1: above by y alone; 2: above; 3: not seen
  see(*s, {0, 1, 2}, {1.9e-4f, 0, 3e-4f}, {0, -2.5e-4f, 0});
  const Edits e = s->after_step({.step = 600});

  EXPECT_EQ(e.cloned, 1);
  EXPECT_EQ(e.split, 1);
  EXPECT_EQ(e.pruned, 0);
  ASSERT_EQ(t.rows(), 6);
  // 0, 1, 3 stay, then the clone of 1, then both children of 2
  const std::vector<float> x = column(t, "means", 0);
  EXPECT_THAT(std::vector<float>(x.begin(), x.begin() + 4), ElementsAre(0, 1, 3, 1));
  EXPECT_NE(x[4], x[5]);
  EXPECT_NEAR(x[4], 2, 0.3);
  const std::vector<float> size = column(t, "scales", 1);
  EXPECT_NEAR(size[3], std::log(0.005), 1e-6);
  EXPECT_NEAR(size[4], std::log(0.05 / 1.6), 1e-6);
  EXPECT_NEAR(size[5], std::log(0.05 / 1.6), 1e-6);
  // colours and opacities go along
  EXPECT_EQ(t.parameter("sh0").detach()[5][0][2].item<float>(), 8);
  EXPECT_NEAR(t.parameter("opacities").detach()[4].item<double>(), logit(0.5), 1e-6);
}

TEST(DefaultStrategy, NewRowsHaveZeroMomentsAndOldRowsKeepTheirs) {
  nn::RowTable t = table_of(2);
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {});
  see(*s, {0}, {1}, {0});
  s->after_step({.step = 600});
  ASSERT_EQ(t.rows(), 3);
  for (const char* name : {"means", "opacities", "sh0"}) {
    EXPECT_EQ(t.entry(name).first[0].max().item<float>(), 1) << name;
    EXPECT_EQ(t.entry(name).first[2].abs().max().item<float>(), 0) << name;
    EXPECT_EQ(t.entry(name).second[2].abs().max().item<float>(), 0) << name;
  }
}

// Two views of a step, 80 degrees apart, whose worst windows lie around the point.
void see_bad(Strategy& s, const Eigen::Vector3d& point, int64_t step) {
  for (const double angle : {0.0, 1.4}) {
    const scene::Camera camera = ring_camera(angle, kWidth, kHeight);
    const Eigen::Vector2d at = camera.project(point);
    const at::Tensor rendered = at::zeros({kHeight, kWidth, 3}), truth = at::zeros_like(rendered),
                     loss = at::zeros({}), none;
    const int64_t left = static_cast<int64_t>(at.x()) / 40 * 40,
                  top = static_cast<int64_t>(at.y()) / 20 * 20;
    truth.slice(0, top, top + 20).slice(1, left, left + 40).fill_(1);
    render::Footprints f;
    f.ids = at::empty({0}, at::kLong);
    f.screen_gradients = at::empty({0, 4});
    s.after_backward({step, 0, camera, f, loss, rendered, truth, none});
  }
}

TEST(DefaultStrategy, ClonesWhatLiesWhereTheWorstPartsOfTheViewsMeet) {
  const Eigen::Vector3d bad(0.05, 0.02, -0.05);
  const auto rows_after = [&](double most, int64_t near, int64_t step) {
    TrainOptions o = options_of("default");
    o.views_per_step = 2;
    o.multi_view.cross_ray = true;
    o.multi_view.guarded = false;  // the windows are fixed ones, and their corners miss each other
    o.multi_view.most_cloned = most;
    nn::RowTable t = table_of(10);
    t.parameter("means").detach().add_(100);
    for (int64_t i = 0; i < near; ++i)
      for (int k = 0; k < 3; ++k)
        t.parameter("means").detach()[i][k].fill_(bad[k] + 1e-3 * static_cast<double>(i));
    auto s = make_strategy("default", o);
    s->init(t, {.extent = 2});
    see_bad(*s, bad, step);
    const Edits e = s->after_step({.step = 600});
    EXPECT_EQ(e.crossed, e.cloned);
    return t.rows();
  };
  EXPECT_EQ(rows_after(1, 3, 600), 13);
  EXPECT_EQ(rows_after(0.2, 3, 600), 12);
  EXPECT_EQ(rows_after(1, 0, 600), 10);
  EXPECT_EQ(rows_after(1, 3, 599), 10);  // of a step that does not refine
}

TEST(DefaultStrategy, ViewsFromAfarHalveTheThreshold) {
  for (const bool augment : {true, false}) {
    TrainOptions o = options_of("default");
    o.views_per_step = 2;
    o.multi_view.augment = augment;
    o.multi_view.cross_ray = !augment;
    o.multi_view.most_cloned = 0;
    nn::RowTable t = table_of(3);
    auto s = make_strategy("default", o);
    s->init(t, {});
    see(*s, {0, 1}, {1.5e-4f, 0.9e-4f}, {0, 0}, 598);  // of thresholds 2e-4 and 1e-4
    see_bad(*s, Eigen::Vector3d::Zero(), 600);
    EXPECT_EQ(s->after_step({.step = 600}).cloned, augment ? 1 : 0);
  }
}

TEST(DefaultStrategy, AveragesOverTheViewsThatSawARow) {
  nn::RowTable t = table_of(2);
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {});
  see(*s, {0, 1}, {3e-4f, 3e-4f}, {0, 0}, 598);
  see(*s, {1}, {0.5e-4f}, {0}, 599);  // row 1: mean 1.75e-4, below
  s->after_step({.step = 600});
  EXPECT_THAT(column(t, "means", 0), ElementsAre(0, 1, 0));
}

TEST(DefaultStrategy, BeginsAnewAfterEachRefinement) {
  nn::RowTable t = table_of(1);
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {});
  see(*s, {0}, {1}, {0});
  s->after_step({.step = 600});
  ASSERT_EQ(t.rows(), 2);
  EXPECT_FALSE(s->after_step({.step = 700}).any());
  EXPECT_EQ(t.rows(), 2);
}

TEST(DefaultStrategy, KeepsToItsWindowAndRhythm) {
  for (const int64_t step : {500, 601, 15000, 15100}) {
    nn::RowTable t = table_of(1);
    auto s = make_strategy("default", options_of("default"));
    s->init(t, {});
    see(*s, {0}, {1}, {0}, std::min<int64_t>(step, 14999));
    EXPECT_EQ(s->after_step({.step = step}).cloned, 0) << step;
  }
}

TEST(DefaultStrategy, ShortRunsHaveAShortWindow) {
  TrainOptions o = options_of("default");
  o.steps = 2000;  // refined from 200 to 1000
  nn::RowTable t = table_of(1);
  auto s = make_strategy("default", o);
  s->init(t, {});
  see(*s, {0}, {1}, {0}, 300);
  EXPECT_EQ(s->after_step({.step = 300}).cloned, 1);
  see(*s, {0}, {1}, {0}, 1000);
  EXPECT_FALSE(s->after_step({.step = 1000}).any());
}

TEST(DefaultStrategy, PrunesTransparentRowsEvenWhenTheyWouldGrow) {
  nn::RowTable t = table_of(3);
  t.parameter("opacities").detach()[1].fill_(logit(0.004));
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {});
  see(*s, {1}, {1}, {0});
  const Edits e = s->after_step({.step = 600});
  EXPECT_EQ(e.pruned, 1);
  EXPECT_EQ(e.cloned, 0);
  EXPECT_THAT(column(t, "means", 0), ElementsAre(0, 2));
}

TEST(DefaultStrategy, PrunesHugeRowsOnlyAfterTheFirstReset) {
  for (const int64_t step : {600, 3100}) {
    nn::RowTable t = table_of(2);
    t.parameter("scales").detach()[0].fill_(std::log(0.2));
    auto s = make_strategy("default", options_of("default"));
    s->init(t, {});
    EXPECT_EQ(s->after_step({.step = step}).pruned, step > 3000 ? 1 : 0);
  }
}

TEST(DefaultStrategy, CapChoosesTheLargestGradients) {
  TrainOptions o = options_of("default");
  o.max_gaussians = 6;
  nn::RowTable t = table_of(4);
  t.parameter("scales").detach()[3].fill_(std::log(0.05));
  auto s = make_strategy("default", o);
  s->init(t, {});
  see(*s, {0, 1, 2, 3}, {1, 4, 2, 3}, {0, 0, 0, 0});
  const Edits e = s->after_step({.step = 600});
  EXPECT_EQ(t.rows(), 6);
  EXPECT_EQ(e.cloned, 1);  // row 1
  EXPECT_EQ(e.split, 1);   // row 3
  EXPECT_EQ(column(t, "means", 0)[3], 1);
}

TEST(DefaultStrategy, ResetLowersOpacitiesAndForgetsTheirMoments) {
  nn::RowTable t = table_of(2);
  t.parameter("opacities").detach()[1].fill_(logit(0.007));
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {});
  EXPECT_TRUE(s->after_step({.step = 3000}).reset);
  EXPECT_NEAR(logistic(t.parameter("opacities").detach()[0].item<double>()), 0.01, 1e-6);
  EXPECT_NEAR(logistic(t.parameter("opacities").detach()[1].item<double>()), 0.007, 1e-6);
  EXPECT_EQ(t.entry("opacities").first.abs().max().item<float>(), 0);
  EXPECT_EQ(t.entry("means").first.min().item<float>(), 1);
}

TEST(DefaultStrategy, RevisedOpacityKeepsTheStackAsOpaque) {
  TrainOptions o = options_of("default");
  o.default_strategy.revised_opacity = true;
  nn::RowTable t = table_of(1, 0.05, 0.75);
  auto s = make_strategy("default", o);
  s->init(t, {});
  see(*s, {0}, {1}, {0});
  s->after_step({.step = 600});
  const double child = logistic(t.parameter("opacities").detach()[0].item<double>());
  EXPECT_NEAR(1 - (1 - child) * (1 - child), 0.75, 1e-6);
}

TEST(DefaultStrategy, AbsgradReadsTheAbsoluteParts) {
  TrainOptions o = options_of("default");
  o.default_strategy.absgrad = true;
  nn::RowTable t = table_of(1);
  auto s = make_strategy("default", o);
  s->init(t, {});
  see(*s, {0}, {0}, {0});  // signed parts cancel, absolute ones are large
  EXPECT_EQ(s->after_step({.step = 600}).cloned, 1);
}

TEST(DefaultStrategy, SplitSamplesTheParentsDistribution) {
  constexpr int64_t kParents = 4000;
  nn::RowTable t = table_of(kParents);
  t.parameter("means").detach().zero_();
  const at::Tensor sizes = at::tensor({0.3f, 0.02f, 0.02f}).log();
  t.parameter("scales").detach().copy_(sizes.expand({kParents, 3}));
  // a quarter turn about z: the long axis lies along y
  t.parameter("quats").detach().copy_(
      at::tensor({std::sqrt(0.5f), 0.0f, 0.0f, std::sqrt(0.5f)}).expand({kParents, 4}));
  auto s = make_strategy("default", options_of("default"));
  s->init(t, {.extent = 1, .seed = 3});
  std::vector<int64_t> ids(kParents);
  for (int64_t i = 0; i < kParents; ++i) ids[static_cast<size_t>(i)] = i;
  see(*s, ids, std::vector<float>(kParents, 1), std::vector<float>(kParents, 0));
  ASSERT_EQ(s->after_step({.step = 600}).split, kParents);
  const at::Tensor means = t.parameter("means").detach();
  EXPECT_EQ(means.size(0), 2 * kParents);
  EXPECT_NEAR(means.select(1, 1).std().item<double>(), 0.3, 0.01);
  EXPECT_NEAR(means.select(1, 0).std().item<double>(), 0.02, 0.001);
  EXPECT_NEAR(means.select(1, 1).mean().item<double>(), 0, 0.012);
}

TEST(Relocation, StackHasThePeakAndTheIntegralOfTheOriginal) {
  for (const double o : {0.006, 0.1, 0.5, 0.9, 0.99})
    for (int64_t n = 1; n <= kMostCopies; ++n) {
      const Relocated r = relocate(o, n);
      EXPECT_NEAR(1 - std::pow(1 - r.opacity, n), o, 1e-6) << o << " in " << n;
      // integral over x of 1 - (1 - a exp(-x^2 / 2 s^2))^n, trapezoids to 12 deviations
      constexpr int kSteps = 4000;
      double integral = 0;
      const double dx = 12.0 / kSteps;
      for (int i = -kSteps; i <= kSteps; ++i) {
        const double x = i * dx, a = r.opacity * std::exp(-0.5 * x * x);
        integral += -std::expm1(static_cast<double>(n) * std::log1p(-a)) * dx;
      }
      integral *= r.scale_factor;
      EXPECT_NEAR(integral / (o * std::sqrt(2 * std::numbers::pi)), 1, 1e-6) << o << " in " << n;
    }
}

TEST(Relocation, MoreCopiesThanTheTableCountAsTheLast) {
  EXPECT_EQ(relocate(0.5, 1000).opacity, relocate(0.5, kMostCopies).opacity);
}

TEST(DrawByWeight, FollowsTheWeights) {
  const std::vector<double> w = {1, 0, 3};
  std::vector<int> times(3);
  for (int64_t i : draw_by_weight(w, 40000, Random(1, 2))) ++times[static_cast<size_t>(i)];
  EXPECT_EQ(times[1], 0);
  EXPECT_NEAR(times[2] / 40000.0, 0.75, 0.01);
}

TEST(McmcStrategy, DeadRowsMoveToLivingOnesAndMomentsOfBothAreZeroed) {
  TrainOptions o = options_of("mcmc");
  o.max_gaussians = 3;  // no growth
  nn::RowTable t = table_of(3, 0.02, 0.6);
  t.parameter("opacities").detach()[0].fill_(logit(0.003));
  t.parameter("opacities").detach()[2].fill_(logit(0.0051));
  t.parameter("opacities").detach()[1].fill_(logit(0.9999));
  auto s = make_strategy("mcmc", o);
  s->init(t, {.extent = 1, .seed = 5});
  const Edits e = s->after_step({.step = 600, .lr_means = 0});
  EXPECT_EQ(e.moved, 1);
  EXPECT_EQ(t.rows(), 3);
  EXPECT_THAT(column(t, "means", 0), ElementsAre(1, 1, 2));
  const Relocated r = relocate(0.9999, 2);
  for (int64_t i : {0, 1}) {
    EXPECT_NEAR(logistic(t.parameter("opacities").detach()[i].item<double>()), r.opacity, 1e-4);
    EXPECT_NEAR(t.parameter("scales").detach()[i][0].item<double>(),
                std::log(0.02 * r.scale_factor), 1e-4);
    EXPECT_EQ(t.entry("means").first[i].abs().max().item<float>(), 0);
    EXPECT_EQ(t.parameter("sh0").detach()[i][0][0].item<float>(), 3);
  }
  EXPECT_EQ(t.entry("means").first[2].min().item<float>(), 1);
}

TEST(McmcStrategy, GrowsByAFactorUpToTheCap) {
  TrainOptions o = options_of("mcmc");
  o.max_gaussians = 107;
  nn::RowTable t = table_of(100);
  auto s = make_strategy("mcmc", o);
  s->init(t, {});
  EXPECT_EQ(s->after_step({.step = 600}).added, 5);
  EXPECT_EQ(s->after_step({.step = 700}).added, 2);
  EXPECT_EQ(s->after_step({.step = 800}).added, 0);
  EXPECT_EQ(t.rows(), 107);
}

TEST(McmcStrategy, TakesAnotherCap) {
  TrainOptions o = options_of("mcmc");
  o.max_gaussians = 101;
  nn::RowTable t = table_of(100);
  auto s = make_strategy("mcmc", o);
  s->init(t, {});
  EXPECT_EQ(s->after_step({.step = 600}).added, 1);
  EXPECT_TRUE(s->recap(103));
  EXPECT_EQ(s->after_step({.step = 700}).added, 2);
  EXPECT_TRUE(s->recap(50));
  EXPECT_EQ(s->after_step({.step = 800}).added, 0);
  EXPECT_EQ(t.rows(), 103);
  EXPECT_FALSE(make_strategy("none", options_of("none"))->recap(50));
}

TEST(McmcStrategy, OnlyNearlyTransparentRowsWander) {
  nn::RowTable t = table_of(2, 0.1, 0.9);
  t.parameter("opacities").detach()[1].fill_(logit(0.002));
  // a needle along x
  t.parameter("scales").detach()[1][1].fill_(std::log(1e-4));
  t.parameter("scales").detach()[1][2].fill_(std::log(1e-4));
  auto s = make_strategy("mcmc", options_of("mcmc"));
  s->init(t, {.extent = 1, .seed = 5});
  s->after_step({.step = 1, .lr_means = 1e-4});
  EXPECT_EQ(column(t, "means", 0)[0], 0);
  EXPECT_NE(column(t, "means", 0)[1], 1);
  EXPECT_LT(std::abs(column(t, "means", 1)[1]), 1e-4);
}

TEST(McmcStrategy, SameBitsOnOneAndTwoThreads) {
  std::vector<float> means[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    nn::RowTable t = table_of(20000, 0.1, 0.01);
    auto s = make_strategy("mcmc", options_of("mcmc"));
    s->init(t, {.extent = 1, .seed = 5});
    s->after_step({.step = 600, .lr_means = 1e-4});
    means[n - 1] = values(t.parameter("means"));
  }
  set_threads(0);
  EXPECT_EQ(means[0], means[1]);
}

TEST(Strategies, UnknownNameIsRefusedWithTheNearest) {
  try {
    make_strategy("mcmcc", {});
    FAIL() << "accepted";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_THAT(e.hint(), testing::HasSubstr("did you mean mcmc"));
  }
}

}  // namespace
}  // namespace covary::fit
