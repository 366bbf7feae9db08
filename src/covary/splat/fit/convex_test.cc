#include "covary/splat/fit/convex.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/convex.h"

namespace covary::fit {
namespace {

constexpr double kExtent = 2.2, kFocal = 53;  // of small_capture

nn::RowTable table_of(const scene::Cloud& gaussians, const ConvexOptions& options = {}) {
  nn::RowTable table;
  for (const auto& [name, value] :
       convex_rows(convexes_at_start(gaussians, options, kExtent, kFocal)))
    table.add(name, value, nn::constant(1e-3));
  return table;
}

TEST(Convexes, StartAsFibonacciSpheresWithThePublishedNumbers) {
  const scene::Cloud cloud = small_cloud(20);
  const nn::RowTable table = table_of(cloud);
  EXPECT_EQ(table.parameter("points").sizes(), at::IntArrayRef({20, 6, 3}));
  // z of the points about their Gaussian: 1, 3/5, ..., -1
  const at::Tensor d = cloud.scales.mean(1).exp();
  EXPECT_TRUE(at::allclose(table.parameter("delta").exp() * d, at::full({20}, 0.1), 1e-3));
  EXPECT_TRUE(at::allclose(table.parameter("sigma").exp(),
                           at::full({20}, 9.5e-4 * 5 / kExtent * kFocal / 1000), 1e-3));
  ConvexOptions other;
  other.points = 8;
  scene::Cloud convexes = convexes_at_start(cloud, {}, kExtent, kFocal);
  EXPECT_THROW(convexes_at_start(convexes, other, kExtent, kFocal), Error);
}

TEST(Convexes, RowsThatAreNoFiniteNumbersAreRefusedByTheirPlace) {
  const scene::Cloud whole = convexes_at_start(small_cloud(8), {}, kExtent, kFocal);
  const auto message = [&](const std::string& column, float value) {
    scene::Cloud cloud = whole;
    cloud.columns[column] = cloud.columns.at(column).clone();
    cloud.columns[column][5] = value;
    try {
      convex_rows(cloud);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_EQ(message("hull_0", 1), "");
  for (const auto& [column, value] : std::vector<std::pair<std::string, float>>{
           {"hull_0", std::nanf("")}, {"hull_delta", -200}, {"hull_sigma", 95}})
    EXPECT_NE(message(column, value).find("row 5"), std::string::npos) << column;
}

TEST(Convexes, ARowInNoViewHasNoGradientWhateverItsSigma) {
  nn::RowTable table = table_of(small_cloud(5));
  table.parameter("sigma").detach()[2] = 100;  // exp() is infinite
  convex_primitives(table, {}, false).extras.narrow(0, 0, 2).sum().backward();
  EXPECT_EQ(table.parameter("sigma").grad()[2].item<float>(), 0);
}

TEST(Convexes, GradientsOfTheRowsMatchFiniteDifferences) {
  nn::RowTable table = table_of(small_cloud(5));
  ConvexOptions options;
  const auto loss = [&] {
    const render::Primitives p = convex_primitives(table, options, false);
    const at::Tensor w = at::linspace(-1, 2, p.extras.numel()).view_as(p.extras);
    return (p.extras * w).sum() * 1e-2 + (p.means * p.means).sum() +
           (p.opacities * at::linspace(1, 2, 5)).sum();
  };
  loss().backward();
  for (const char* name : {"points", "delta", "sigma", "opacities", "mask"}) {
    const at::Tensor value = table.parameter(name).detach(), g = table.parameter(name).grad();
    for (int64_t i = 0; i < std::min<int64_t>(12, value.numel()); ++i) {
      float& x = value.data_ptr<float>()[i];
      const float keep = x, h = 1e-2f;
      x = keep + h;
      double up = loss().item<double>();
      x = keep - h;
      double down = loss().item<double>();
      x = keep;
      double expected = (up - down) / (2 * h);
      if (name == std::string("mask")) {  // straight through: of opacity times sigmoid(mask)
        const double m = 1 / (1 + std::exp(-keep)),
                     o = 1 / (1 + std::exp(-table.parameter("opacities")[i].item<double>()));
        EXPECT_EQ(up, down);
        expected = o * m * (1 - m) * at::linspace(1, 2, 5)[i].item<double>();
      }
      EXPECT_NEAR(g.flatten()[i].item<double>(), expected, 2e-3 * (1 + std::abs(expected)))
          << name << i;
    }
  }
}

TEST(Convexes, AHiddenOneIsAbsentToTheBit) {
  nn::RowTable table = table_of(small_cloud(30));
  table.parameter("mask").detach().narrow(0, 3, 9).fill_(-6);
  const scene::Camera camera = ring_camera(0.4);
  const ConvexOptions options;
  const auto draw = [&](const render::Primitives& p) {
    return render::rasterize(p, render::views_of({camera}), {}).color;
  };
  const at::Tensor hidden = draw(convex_primitives(table, options, false));
  EXPECT_EQ(convex_cloud(values_of(table), options).size(), 21);
  const at::Tensor keep = table.parameter("mask").detach() > 0;
  table.drop(keep);
  EXPECT_TRUE(at::equal(hidden, draw(convex_primitives(table, options, false))));
}

TrainOptions short_options(int64_t steps = 60) {
  TrainOptions o;
  o.steps = steps;
  o.primitive = "convex";
  o.sh_degree = 1;
  o.sh_every = 20;
  o.max_gaussians = 400;
  o.checkpoint_every = 25;
  o.convex.start = 10;
  o.convex.stop = 45;
  o.convex.every = 10;
  o.convex.split_threshold = 0;  // whatever would rather be softer
  return o;
}

TEST(ConvexFit, SplitsIntoOneAtEachPoint) {
  TrainOptions o = short_options();
  o.convex.most_split = 0.1;  // six of 60: one split
  Trainer trainer(small_capture(), o);
  trainer.start(3);
  for (int i = 0; i < 19; ++i) trainer.step();
  const int64_t before = trainer.count();
  const StepResult step = trainer.step();
  ASSERT_EQ(step.edits.split, 1);
  EXPECT_EQ(trainer.count(), before - step.edits.pruned - 1 + 6);
}

TEST(ConvexFit, LearnsAndTravelsWithTheRun) {
  const TemporaryFolder folder("convex");
  const TrainOptions o = short_options();
  Trainer trainer(small_capture(), o);
  trainer.start(3);
  const double before = trainer.quick_psnr();
  const RunResult whole = trainer.run({.out = folder.path() / "a", .seed = 3});
  EXPECT_GT(trainer.quick_psnr(), before + 1);
  EXPECT_LE(trainer.count(), 400);
  EXPECT_EQ(whole.scene.footprint, scene::kConvex);
  {
    Trainer killed(small_capture(), o);
    RunContext context{.out = folder.path() / "b", .seed = 3};
    context.watch = [](const Trainer& t, const nlohmann::json&) { return t.steps_done() < 40; };
    context.until = Stage::kTrain;
    killed.run(context);
  }
  const LoadedScene a = load_scene(folder.path() / "a");
  EXPECT_EQ(a.cloud.footprint, scene::kConvex);
  EXPECT_TRUE(at::equal(scene::convex_extras(a.cloud), scene::convex_extras(whole.scene)));
  EXPECT_EQ(load_scene(folder.path() / "b").cloud.footprint, scene::kConvex);
  const RunResult rest =
      Trainer(small_capture(), o).run({.out = folder.path() / "b", .resume = true});
  EXPECT_TRUE(at::equal(scene::convex_extras(rest.scene), scene::convex_extras(whole.scene)));
  // what was saved is scored alike
  const double saved = evaluate(a.cloud, trainer.capture(), {.progress = false}).psnr;
  EXPECT_NEAR(saved, whole.metrics.at("eval").at("test").at("psnr").at("value").get<double>(),
              1e-2);
}

TEST(ConvexFit, WhatDoesNotGoTogetherIsRefused) {
  const auto refused = [](const auto& change) {
    TrainOptions o = short_options();
    change(o);
    EXPECT_THROW(o.check(), Error);
  };
  refused([](TrainOptions& o) { o.strategy = "mcmc"; });
  refused([](TrainOptions& o) { o.antialias = "mip"; });
  refused([](TrainOptions& o) { o.antialias = "analytic"; });
  refused([](TrainOptions& o) { o.loss.scale_reg = 0.01; });
  refused([](TrainOptions& o) { o.convex.points = 3; });
  refused([](TrainOptions& o) { o.convex.settings = "forest"; });
}

}  // namespace
}  // namespace covary::fit
