#include "covary/splat/fit/convex.h"

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/strategy_parts.h"
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
  // in the frame of each Gaussian: z is 1, 3/5, ..., -1, and each turns by the golden angle
  for (int64_t i = 0; i < 20; ++i) {
    const auto number = [&](const at::Tensor& t, int64_t a) { return t[i][a].item<double>(); };
    const Eigen::Quaterniond q(number(cloud.quats, 0), number(cloud.quats, 1),
                               number(cloud.quats, 2), number(cloud.quats, 3));
    for (int k = 0; k < 6; ++k) {
      const double z = 1 - 0.4 * k, ring = std::sqrt(1 - z * z), turn = k * 2.399963229728653;
      Eigen::Vector3d p(ring * std::cos(turn), ring * std::sin(turn), z);
      for (int a = 0; a < 3; ++a) p[a] *= 1.2 * std::exp(number(cloud.scales, a));
      p = q.normalized() * p;
      for (int a = 0; a < 3; ++a)
        EXPECT_NEAR(table.parameter("points")[i][k][a].item<double>(),
                    number(cloud.means, a) + p[a], 1e-5);
    }
  }
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

TEST(Convexes, SettingsAreThePublishedNumbers) {
  const std::map<std::string, std::vector<double>> published = {
      {"default", {9.5e-4, 1e-4, 4.5e-3, 2.5e-5, 0.63, 0.88, 0.01}},
      {"light", {9.5e-4, 1e-4, 4.5e-3, 2.5e-5, 0.63, 0.88, 0.01}},
      {"indoor", {9e-4, 0.8e-4, 4.5e-3, 6e-6, 0.7, 0.85, 0.02}},
      {"outdoor", {1e-3, 1e-4, 4e-3, 1e-6, 0.6, 0.88, 0.01}}};
  for (const auto& [word, numbers] : published) {
    ConvexOptions o;
    o.settings = word;
    const ConvexOptions::Settings s = o.resolved();
    EXPECT_EQ((std::vector<double>{s.start_sigma, s.lr_points, s.lr_sigma, s.split_threshold,
                                   s.shrink, s.sharpen, s.prune_mask}),
              numbers)
        << word;
    o.start_sigma = o.lr_points = o.lr_sigma = o.split_threshold = 0.5;
    const ConvexOptions::Settings own = o.resolved();
    EXPECT_EQ((std::vector<double>{own.start_sigma, own.lr_points, own.lr_sigma,
                                   own.split_threshold, own.shrink, own.sharpen, own.prune_mask}),
              (std::vector<double>{0.5, 0.5, 0.5, 0.5, numbers[4], numbers[5], numbers[6]}))
        << word;
  }
}

// One refinement at step 20, after one view whose gradients by sigma these are.
struct Refinement {
  TrainOptions options;
  nn::RowTable table;
  std::unique_ptr<Strategy> strategy;

  explicit Refinement(int64_t rows, double reset_every = 1000)
      : table(table_of(small_cloud(rows))) {
    options.primitive = "convex";
    options.steps = 100;
    options.convex.start = 10;
    options.convex.stop = 45;
    options.convex.every = 10;
    options.convex.most_split = 1;
    options.convex.reset_every = reset_every;
    for (const std::string& name : table.names()) table.entry(name).first.fill_(1);
  }
  Edits at_step_20(const std::vector<float>& gradients, double focal_of_view = kFocal) {
    strategy = make_convex_strategy(options);
    strategy->init(table, {.extent = kExtent, .focal = kFocal});
    scene::Camera camera = ring_camera(0);
    camera.fx = camera.fy = focal_of_view;
    at::Tensor extras = at::zeros({table.rows(), 20});
    extras.select(1, 19).copy_(at::tensor(gradients));
    render::Footprints footprints;
    footprints.ids = at::arange(table.rows());
    const at::Tensor none;
    strategy->after_backward({.step = 20,
                              .view = 0,
                              .camera = camera,
                              .footprints = footprints,
                              .loss = none,
                              .rendered = none,
                              .truth = none,
                              .mask = none,
                              .extras_gradient = extras});
    return strategy->after_step({.step = 20});
  }
};

TEST(ConvexStrategy, AChildStandsAtEachPointOfWhatTheLossWouldHaveSofter) {
  Refinement r(8);
  const nn::NamedTensors before = [&] {
    nn::NamedTensors rows;
    for (const auto& [name, value] : values_of(r.table)) rows[name] = value.clone();
    return rows;
  }();
  // by the published sigma, in which the threshold is: row 2 is above it
  const double unit = kExtent / 5 * 1000 / kFocal;
  const auto gradient = [&](double of_threshold) {
    return static_cast<float>(of_threshold * 2.5e-5 * unit);
  };
  // what a view's own focal length is does not matter
  const Edits edits =
      r.at_step_20({gradient(0.9), gradient(-5), gradient(1.1), 0, 0, 0, 0, 0}, 4 * kFocal);
  EXPECT_EQ(edits.split, 1);
  EXPECT_EQ(edits.pruned, 0);
  ASSERT_EQ(r.table.rows(), 13);
  for (const std::string& name : r.table.names()) {
    const at::Tensor kept = at::tensor({0, 1, 3, 4, 5, 6, 7}, at::kLong);
    EXPECT_TRUE(
        at::equal(r.table.parameter(name).narrow(0, 0, 7), before.at(name).index_select(0, kept)))
        << name;
    EXPECT_TRUE((r.table.entry(name).first.narrow(0, 0, 7) == 1).all().item<bool>()) << name;
    EXPECT_TRUE((r.table.entry(name).first.narrow(0, 7, 6) == 0).all().item<bool>()) << name;
    EXPECT_TRUE((r.table.entry(name).second.narrow(0, 7, 6) == 0).all().item<bool>()) << name;
    if (name != "points" && name != "sigma" && name != "opacities")
      for (int64_t c = 7; c < 13; ++c)
        EXPECT_TRUE(at::equal(r.table.parameter(name)[c], before.at(name)[2])) << name;
  }
  const at::Tensor parent = before.at("points")[2].to(at::kDouble), mean = parent.mean(0);
  const double sigma = before.at("sigma")[2].item<double>(),
               opacity = before.at("opacities")[2].sigmoid().item<double>();
  for (int64_t k = 0; k < 6; ++k) {
    const auto child = [&](const char* name) { return r.table.parameter(name).detach()[7 + k]; };
    EXPECT_TRUE(at::allclose(child("points").to(at::kDouble), parent[k] + 0.63 * (parent - mean),
                             1e-5, 1e-6));
    // of the published sigma the power 0.88
    EXPECT_NEAR(std::exp(child("sigma").item<double>()) * unit,
                std::pow(std::exp(sigma) * unit, 0.88), 1e-8);
    EXPECT_NEAR(child("opacities").sigmoid().item<double>(), 0.5 * opacity, 1e-6);
  }
  for (const std::string& name : r.table.statistic_names())
    EXPECT_TRUE((r.table.statistic(name) == 0).all().item<bool>()) << name;
}

TEST(ConvexStrategy, TheLargestGradientsSplitWhereThereIsRoomForFew) {
  Refinement r(12);
  r.options.max_gaussians = 24;  // two splits add ten rows
  std::vector<float> gradients(12, 1);
  gradients[3] = 3;
  gradients[8] = 2;
  const at::Tensor points = r.table.parameter("points").detach().clone();
  EXPECT_EQ(r.at_step_20(gradients).split, 2);
  ASSERT_EQ(r.table.rows(), 22);
  for (const auto& [parent, first] : {std::pair{3, 10}, std::pair{8, 16}})
    EXPECT_TRUE(at::allclose(r.table.parameter("points").detach()[first].mean(0), points[parent][0],
                             1e-5, 1e-6));
}

TEST(ConvexStrategy, WhatIsTransparentHiddenOrTooLargeGoes) {
  const auto spoilt = [](Refinement& r) {
    r.table.parameter("opacities").detach()[1] = -3.5f;  // 0.0293 is below 0.03
    r.table.parameter("opacities").detach()[2] = -3.4f;
    r.table.parameter("mask").detach()[3] = -4.6f;  // 0.00995 is below 0.01
    r.table.parameter("mask").detach()[4] = -4.5f;
    // longest axis over 0.3 extents, and under
    for (const auto& [row, size] : {std::pair{5, 1.1}, std::pair{6, 0.9}}) {
      at::Tensor p = r.table.parameter("points").detach()[row];
      p.zero_();
      for (int k = 0; k < 6; ++k) p[k][0] = (k % 2 ? -1 : 1) * size * 0.3 * kExtent;
    }
  };
  for (const bool after_the_first_reset : {false, true}) {
    Refinement r(8, after_the_first_reset ? 15 : 25);
    spoilt(r);
    const at::Tensor sh0 = r.table.parameter("sh0").detach().clone();
    const Edits edits = r.at_step_20(std::vector<float>(8, 0));
    EXPECT_EQ(edits.split, 0);
    EXPECT_FALSE(edits.reset);
    const at::Tensor kept = after_the_first_reset ? at::tensor({0, 2, 4, 6, 7}, at::kLong)
                                                  : at::tensor({0, 2, 4, 5, 6, 7}, at::kLong);
    EXPECT_EQ(edits.pruned, 8 - kept.numel());
    EXPECT_TRUE(at::equal(r.table.parameter("sh0"), sh0.index_select(0, kept)));
  }
}

// On the edge of the threshold, where float and double round apart.
TEST(ConvexStrategy, WhatIsDrawnIsWhatIsSavedAndKept) {
  Refinement r(64);
  const float edge = std::log(0.01f / 0.99f);
  for (int i = 0; i < 64; ++i)
    r.table.parameter("mask").detach()[i] = edge + static_cast<float>(i - 32) * 2.4e-7f;
  const at::Tensor drawn =
      convex_primitives(r.table, r.options.convex, false).opacities.detach() > 0;
  const int64_t count = drawn.sum().item<int64_t>();
  EXPECT_GT(count, 0);
  EXPECT_LT(count, 64);
  EXPECT_EQ(convex_cloud(values_of(r.table), r.options.convex).size(), count);
  const at::Tensor sh0 = r.table.parameter("sh0").detach().clone();
  EXPECT_EQ(r.at_step_20(std::vector<float>(64, 0)).pruned, 64 - count);
  EXPECT_TRUE(at::equal(r.table.parameter("sh0"), sh0.index_select(0, drawn.nonzero().squeeze(1))));
}

TEST(ConvexStrategy, AResetLowersOpacitiesAndForgetsTheirMoments) {
  Refinement r(4, 20);
  r.table.parameter("opacities").detach()[1] = -2;  // lower than the reset's
  const Edits edits = r.at_step_20(std::vector<float>(4, 0));
  EXPECT_TRUE(edits.reset);
  const at::Tensor opacities = r.table.parameter("opacities").detach().sigmoid();
  EXPECT_NEAR(opacities[0].item<double>(), 0.2, 1e-6);
  EXPECT_EQ(r.table.parameter("opacities")[1].item<float>(), -2);
  EXPECT_TRUE((r.table.entry("opacities").first == 0).all().item<bool>());
  EXPECT_TRUE((r.table.entry("points").first == 1).all().item<bool>());
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
  const std::string report = read_file(folder.path() / "a" / "report.html");
  EXPECT_NE(report.find("Convexes"), std::string::npos);
  EXPECT_EQ(report.find(">Gaussians"), std::string::npos);
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
  EXPECT_NO_THROW(short_options().check());
  const auto refused = [](const auto& change) {
    TrainOptions o = short_options();
    change(o);
    EXPECT_THROW(o.check(), Error);
    if (o.convex.points == 6 && o.convex.settings == "default") {  // of Gaussians it is well
      o.primitive = "gaussian";
      EXPECT_NO_THROW(o.check());
    }
  };
  refused([](TrainOptions& o) { o.strategy = "mcmc"; });
  refused([](TrainOptions& o) { o.antialias = "mip"; });
  refused([](TrainOptions& o) { o.antialias = "analytic"; });
  refused([](TrainOptions& o) { o.loss.scale_reg = 0.01; });
  refused([](TrainOptions& o) { o.filter_3d = true; });
  refused([](TrainOptions& o) { o.normals = "maps"; });
  refused([](TrainOptions& o) { o.growth.visits = true; });
  refused([](TrainOptions& o) {
    o.multi_view.augment = true;
    o.views_per_step = 2;
  });
  refused([](TrainOptions& o) { o.convex.points = 3; });
  refused([](TrainOptions& o) { o.convex.settings = "forest"; });
}

TEST(ConvexFit, CamerasThatSeeNoConvexesAreRefusedBeforeTheFirstStep) {
  for (const size_t view : {0u, 3u}) {  // held out, for training
    scene::Capture capture = small_capture();
    capture.views[view].camera.projection = scene::Projection::kOrthographic;
    try {
      Trainer(capture, short_options());
      ADD_FAILURE() << "was taken";
    } catch (const Error& e) {
      EXPECT_EQ(e.where(), capture.views[view].name);
      EXPECT_NE(e.hint().find("--primitive gaussian"), std::string::npos);
    }
    TrainOptions gaussians = short_options();
    gaussians.primitive = "gaussian";
    EXPECT_NO_THROW(Trainer(capture, gaussians));
  }
}

TEST(ConvexFit, OptionsOfTheGrowthOfGaussiansHaveNoMeaning) {
  const auto set = [](const char* primitive, const char* strategy) {
    TrainOptions o;
    OptionList list(o);
    list.set("primitive", primitive, "--primitive");
    list.set("strategy", strategy, "--strategy");
    list.set("default.start", "4", "--set");
    try {
      list.finish();
    } catch (const Error& e) {
      return std::string(e.what()) + "; " + e.hint();
    }
    return std::string();
  };
  EXPECT_EQ(set("gaussian", "default"), "");
  EXPECT_EQ(set("ges", "default"), "");
  EXPECT_NE(set("convex", "default").find("--primitive convex"), std::string::npos);
  EXPECT_NE(set("gaussian", "mcmc").find("--strategy mcmc"), std::string::npos);
}

}  // namespace
}  // namespace covary::fit
