#include "covary/splat/fit/shape.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/ply.h"

namespace covary::fit {
namespace {

GesOptions with_kernel(const std::string& kernel) {
  GesOptions o;
  o.kernel = kernel;
  o.strength = 0.5;
  return o;
}

at::Tensor some_shapes(int64_t n) { return at::linspace(-0.9, 3, n, at::kFloat); }

TEST(Shape, OfZeroLeavesThePictureToTheBit) {
  const scene::Cloud cloud = small_cloud();
  const scene::Camera camera = ring_camera(0.3);
  for (const char* kernel : {"fast", "gef"}) {
    render::Primitives p = activated(cloud);
    shaped(at::zeros({cloud.size()}), with_kernel(kernel), p);
    const at::Tensor image = render::rasterize(p, render::views_of({camera}), {}).color[0];
    EXPECT_TRUE(at::equal(image, drawn_by(cloud, camera))) << kernel;
  }
}

TEST(Shape, GradientsOfScalesMatchFiniteDifferences) {
  const int64_t n = 7;
  const at::Tensor scales = at::rand({n, 3}).add_(0.1).requires_grad_(true);
  const at::Tensor raw = some_shapes(n).requires_grad_(true);
  const at::Tensor weights = at::linspace(-1, 2, 3 * n).view({n, 3});
  render::Primitives p;
  p.scales = scales;
  shaped(raw, with_kernel("fast"), p);
  (p.scales * weights).sum().backward();
  for (int64_t i = 0; i < n; ++i) {
    const double r = raw[i].item<double>(), h = 1e-5;
    const auto phi = [](double x) { return 2 / (1 + std::exp(-0.5 * x)); };
    const double by_phi = (scales[i] * weights[i]).sum().item<double>();
    EXPECT_NEAR(raw.grad()[i].item<double>(), by_phi * (phi(r + h) - phi(r - h)) / (2 * h), 1e-4);
    for (int64_t k = 0; k < 3; ++k)
      EXPECT_NEAR(scales.grad()[i][k].item<double>(), phi(r) * weights[i][k].item<double>(), 1e-6);
  }
}

TEST(Shape, WhatIsSavedLooksLikeWhatIsFitted) {
  const scene::Cloud cloud = small_cloud();
  const scene::Camera camera = ring_camera(0.3);
  const TemporaryFolder folder("shape");
  for (const char* kernel : {"fast", "gef"}) {
    render::Primitives p = activated(cloud);
    shaped(some_shapes(cloud.size()), with_kernel(kernel), p);
    const at::Tensor fitted = render::rasterize(p, render::views_of({camera}), {}).color[0];
    EXPECT_GT((fitted - drawn_by(cloud, camera)).abs().max().item<double>(), 0.02) << kernel;
    scene::Cloud saved = cloud;
    with_shape(some_shapes(cloud.size()), with_kernel(kernel), saved);
    scene::write_ply(folder.path() / "s.ply", saved);
    const scene::Cloud read = scene::read_ply(folder.path() / "s.ply");
    EXPECT_EQ(read.columns.count("shape"), kernel == std::string("gef") ? 1u : 0u);
    EXPECT_LT((drawn_by(read, camera) - fitted).abs().max().item<double>(), 1e-5) << kernel;
  }
}

TEST(Shape, PrimitivesThatItMakesTinyGo) {
  GesOptions o;
  o.strength = 1;
  const auto left = [&](int64_t step, int64_t steps) {
    nn::RowTable table;
    // phi of 0.0049, 0.0051 and 1
    table.add(kShape, at::tensor({-6.0115f, -5.9715f, 0.f}), nn::constant(1e-3));
    const int64_t gone = prune_shapes(table, o, step, steps);
    EXPECT_EQ(table.rows() + gone, 3);
    return table.rows();
  };
  EXPECT_EQ(left(600, 30000), 2);
  EXPECT_EQ(left(500, 30000), 3);  // too early
  EXPECT_EQ(left(650, 30000), 3);  // not a hundredth step
  EXPECT_EQ(left(200, 1000), 2);
  o.shape_prune = 0;
  EXPECT_EQ(left(600, 30000), 3);
  o = {};
  EXPECT_EQ(left(600, 30000), 3);  // strength 0.1: phi is at least 0.7
  o.shape_prune = 0.9;
  o.kernel = "gef";
  EXPECT_EQ(left(600, 30000), 3);
}

TrainOptions short_options(int64_t steps = 60) {
  TrainOptions o;
  o.steps = steps;
  o.primitive = "ges";
  o.sh_degree = 1;
  o.sh_every = 20;
  o.max_gaussians = 150;
  o.checkpoint_every = 25;
  o.default_strategy.start = 10;
  o.default_strategy.every = 10;
  o.default_strategy.grad_threshold = 1e-5;
  o.ges.shape_reset_every = 20;
  return o;
}

TEST(ShapeFit, WithoutShapeAndEdgesItIsTheGaussiansToTheBit) {
  for (const char* kernel : {"fast", "gef"}) {
    TrainOptions o = short_options();
    o.ges.kernel = kernel;
    o.ges.lr_shape = 0;
    o.ges.edge_weight = 0;
    Trainer shaped_ones(small_capture(), o);
    o.primitive = "gaussian";
    Trainer gaussians(small_capture(), o);
    for (Trainer* t : {&shaped_ones, &gaussians}) {
      t->start(3);
      t->step();
    }
    const auto same = [&](const char* name, double tolerance) {
      const at::Tensor a = shaped_ones.table().parameter(name),
                       b = gaussians.table().parameter(name);
      return tolerance == 0 ? at::equal(a, b) : at::allclose(a, b, 0, tolerance);
    };
    const bool exact = kernel == std::string("fast");
    for (const char* name : {"means", "scales", "opacities", "sh0"})
      EXPECT_TRUE(same(name, exact ? 0 : 1e-3)) << kernel << " " << name;
  }
}

TEST(ShapeFit, ShapesMoveAreResetAndTravelWithTheRun) {
  const TemporaryFolder folder("shape");
  TrainOptions o = short_options();
  o.ges.kernel = "gef";
  o.ges.lr_shape = 0.02;
  o.ges.shape_reset_stop = 30;
  Trainer trainer(small_capture(), o);
  trainer.start(3);
  for (int i = 0; i < 19; ++i) trainer.step();
  EXPECT_GT(trainer.table().parameter("shape").abs().max().item<double>(), 0.05);
  trainer.step();
  EXPECT_EQ(trainer.table().parameter("shape").abs().max().item<double>(), 0);
  EXPECT_EQ(trainer.table().entry("shape").first.abs().max().item<double>(), 0);

  const RunResult whole = Trainer(small_capture(), o).run({.out = folder.path() / "a", .seed = 3});
  EXPECT_EQ(whole.scene.footprint, "generalized");
  {
    Trainer killed(small_capture(), o);
    RunContext context{.out = folder.path() / "b", .seed = 3};
    context.watch = [](const Trainer& t, const nlohmann::json&) { return t.steps_done() < 40; };
    context.until = Stage::kTrain;
    killed.run(context);
  }
  const LoadedScene a = load_scene(folder.path() / "a");
  EXPECT_EQ(a.cloud.footprint, "generalized");
  EXPECT_TRUE(at::equal(a.cloud.columns.at("shape"), whole.scene.columns.at("shape")));
  const LoadedScene state = load_scene(folder.path() / "b");
  EXPECT_EQ(state.cloud.footprint, "generalized");
  const RunResult rest =
      Trainer(small_capture(), o).run({.out = folder.path() / "b", .resume = true});
  EXPECT_TRUE(at::equal(rest.scene.columns.at("shape"), whole.scene.columns.at("shape")));
  EXPECT_TRUE(at::equal(rest.scene.means, whole.scene.means));
}

TEST(ShapeFit, AnalyticPixelsAreFittedSavedAndScoredAlike) {
  const TemporaryFolder folder("analytic");
  TrainOptions o = short_options();
  o.primitive = "gaussian";
  o.antialias = "analytic";
  Trainer trainer(small_capture(), o);
  const RunResult run = trainer.run({.out = folder.path() / "a", .seed = 3});
  EXPECT_EQ(run.scene.footprint, "analytic");
  const LoadedScene loaded = load_scene(folder.path() / "a");
  EXPECT_EQ(loaded.cloud.footprint, "analytic");
  const double saved = evaluate(loaded.cloud, trainer.capture(), {.progress = false}).psnr;
  EXPECT_NEAR(saved, run.metrics.at("eval").at("test").at("psnr").at("value").get<double>(), 1e-3);
  o.primitive = "ges";
  o.ges.kernel = "gef";
  EXPECT_THROW(o.check(), Error);
}

}  // namespace
}  // namespace covary::fit
