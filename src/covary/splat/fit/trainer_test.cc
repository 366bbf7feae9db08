#include "covary/splat/fit/trainer.h"

#include <cmath>
#include <csignal>
#include <filesystem>
#include <map>
#include <set>
#include <tuple>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/report.h"
#include "covary/splat/fit/run_log.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/ply.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class TrainerTest : public testing::Test {
 protected:
  ~TrainerTest() override { set_threads(0); }
  const TemporaryFolder temporary_{"fit"};
  const fs::path folder_ = temporary_.path();
};

TrainOptions short_options(const std::string& strategy = "default", int64_t steps = 120) {
  TrainOptions o;
  o.steps = steps;
  o.strategy = strategy;
  o.sh_degree = 1;
  o.sh_every = 20;
  o.max_gaussians = 150;
  o.checkpoint_every = 50;
  o.eval_every = 60;
  o.default_strategy.start = 20;
  o.default_strategy.every = 10;
  o.default_strategy.grad_threshold = 1e-5;
  o.default_strategy.reset_every = 45;
  o.mcmc.start = 20;
  o.mcmc.every = 10;
  return o;
}

bool same_bits(const scene::Cloud& a, const scene::Cloud& b) {
  return a.means.equal(b.means) && a.quats.equal(b.quats) && a.scales.equal(b.scales) &&
         a.opacities.equal(b.opacities) && a.sh0.equal(b.sh0) && a.shN.equal(b.shN);
}

TEST_F(TrainerTest, FitsForACallerWhoNeedsNoGradient) {
  Trainer free(small_capture(), short_options()), guarded(small_capture(), short_options());
  free.start(4);
  free.step();
  const at::NoGradGuard no_gradient;
  guarded.start(4);
  guarded.step();
  EXPECT_TRUE(same_bits(free.cloud(), guarded.cloud()));
}

TEST_F(TrainerTest, LearnsASmallScene) {
  TrainOptions o = short_options("none", 250);
  o.max_gaussians = 0;
  Trainer trainer(small_capture(), o);
  trainer.start(1);
  const double before = trainer.quick_psnr();
  double first = 0, last = 0;
  for (int i = 0; i < 250; ++i) {
    const double loss = trainer.step().loss;
    if (i < 10) first += loss;
    if (i >= 240) last += loss;
  }
  EXPECT_LT(last, 0.4 * first);
  EXPECT_GT(trainer.quick_psnr(), before + 4);
  EXPECT_EQ(trainer.count(), 60);
}

TEST_F(TrainerTest, StartHasTheOpacityAndSizeAskedFor) {
  const auto started = [](const TrainOptions& options) {
    Trainer trainer(small_capture(), options);
    trainer.start(1);
    return trainer.cloud();
  };
  TrainOptions o = short_options();
  const scene::Cloud usual = started(o);
  EXPECT_NEAR(at::sigmoid(usual.opacities).mean().item<double>(), 0.1, 1e-6);
  o.init_opacity = 0.25;
  o.init_scale = 0.5;
  const scene::Cloud asked = started(o);
  EXPECT_NEAR(at::sigmoid(asked.opacities).mean().item<double>(), 0.25, 1e-6);
  EXPECT_NEAR((asked.scales - usual.scales).mean().item<double>(), std::log(0.5), 1e-5);
  const scene::Cloud mcmc = started(short_options("mcmc"));
  EXPECT_NEAR(at::sigmoid(mcmc.opacities).mean().item<double>(), 0.5, 1e-6);
  EXPECT_NEAR((mcmc.scales - usual.scales).mean().item<double>(), std::log(0.1), 1e-5);
}

TEST_F(TrainerTest, RatesFallToTheirFinalFactors) {
  TrainOptions o = short_options();
  const auto last_over_first = [](const TrainOptions& options, const char* name) {
    Trainer trainer(small_capture(), options);
    trainer.start(1);
    const nn::Schedule& rate = trainer.table().entry(name).rate;
    return rate.at(options.steps) / rate.at(0);
  };
  EXPECT_NEAR(last_over_first(o, "means"), 0.01, 1e-9);
  EXPECT_EQ(last_over_first(o, "sh0"), 1);
  o.optimizer.lr_final_factor = 0.1;
  EXPECT_NEAR(last_over_first(o, "means"), 0.01, 1e-9);
  for (const char* name : {"quats", "scales", "opacities", "sh0", "shN"})
    EXPECT_NEAR(last_over_first(o, name), 0.1, 1e-9) << name;
}

TEST_F(TrainerTest, TakesAnotherCapWhichItsRunRemembers) {
  TrainOptions o = short_options();
  o.max_gaussians = 70;
  const auto caps_at = [](const Trainer& trainer) {
    return [&trainer]() -> int64_t { return trainer.steps_done() == 40 ? 90 : 0; };
  };
  Trainer one(small_capture(), o);
  const RunResult whole = one.run({.out = folder_ / "whole", .seed = 3, .new_cap = caps_at(one)});
  EXPECT_EQ(one.max_gaussians(), 90);
  EXPECT_GT(whole.scene.size(), 70);
  EXPECT_LE(whole.scene.size(), 90);
  int64_t events = 0;
  for (const auto& record : read_log(folder_ / "whole" / "log.jsonl")) {
    if (record.value("event", "") != "cap") continue;
    ++events;
    EXPECT_EQ(record["step"], 40);
    EXPECT_EQ(record["max_gaussians"], 90);
  }
  EXPECT_EQ(events, 1);
  EXPECT_EQ(whole.metrics["caps"], nlohmann::json({{{"step", 40}, {"max_gaussians", 90}}}));

  // Stopped at step 60, resumed: the cap is that of the page, and so are the bits.
  Trainer stopped(small_capture(), o);
  stopped.run({.out = folder_ / "cut",
               .seed = 3,
               .watch = [](const Trainer& t, const nlohmann::json&) { return t.steps_done() < 60; },
               .new_cap = caps_at(stopped)});
  Trainer resumed(small_capture(), o);
  const RunResult rest = resumed.run({.out = folder_ / "cut", .resume = true, .seed = 3});
  EXPECT_EQ(resumed.max_gaussians(), 90);
  EXPECT_TRUE(same_bits(whole.scene, rest.scene));
  resumed.start(3);
  EXPECT_EQ(resumed.max_gaussians(), 70);
}

TEST_F(TrainerTest, ResumedRunEndsInTheSameBitsAsAnUninterruptedOne) {
  for (const char* strategy : {"default", "mcmc"}) {
    SCOPED_TRACE(strategy);
    const TrainOptions o = short_options(strategy);
    const fs::path whole = folder_ / strategy / "whole", cut = folder_ / strategy / "cut";
    const RunResult one = Trainer(small_capture(), o).run({.out = whole, .seed = 3});
    {
      // as a killed process leaves it: checkpoint of step 50, a log that goes on to step 70
      Trainer killed(small_capture(), o);
      killed.start(3);
      fs::create_directories(cut / "checkpoint");
      RunLog log(cut / "log.jsonl", -1);
      for (int64_t s = 1; s <= 70; ++s) {
        killed.step();
        log.write({{"step", s}});
        if (s == 50) killed.save_checkpoint(cut / "checkpoint" / "state.cov");
      }
    }
    const RunResult two = Trainer(small_capture(), o).run({.out = cut, .resume = true, .seed = 99});
    EXPECT_TRUE(same_bits(one.scene, two.scene));
    EXPECT_EQ(read_file(whole / "scene.ply"), read_file(cut / "scene.ply"));
    int64_t before = 0;
    for (const auto& record : read_log(cut / "log.jsonl")) {
      EXPECT_GE(record["step"].get<int64_t>(), before);
      before = record["step"].get<int64_t>();
    }
    EXPECT_EQ(before, 120);
    EXPECT_NE(one.scene.size(), 60);
  }
}

TEST_F(TrainerTest, SameBitsOnOneAndTwoThreads) {
  for (const char* strategy : {"default", "mcmc"}) {
    SCOPED_TRACE(strategy);
    scene::Cloud clouds[2];
    for (const int n : {1, 2}) {
      set_threads(n);
      Trainer trainer(small_capture(), short_options(strategy));
      trainer.start(5);
      for (int i = 0; i < 80; ++i) trainer.step();
      clouds[n - 1] = trainer.exported();
    }
    EXPECT_TRUE(same_bits(clouds[0], clouds[1]));
  }
}

TEST_F(TrainerTest, NeverExceedsTheCap) {
  for (const char* strategy : {"default", "mcmc"}) {
    TrainOptions o = short_options(strategy);
    o.max_gaussians = 70;
    Trainer trainer(small_capture(), o);
    trainer.start(1);
    int64_t most = 0;
    for (int i = 0; i < 120; ++i) {
      trainer.step();
      most = std::max(most, trainer.count());
    }
    EXPECT_EQ(most, 70) << strategy;
  }
  TrainOptions o = short_options();
  o.max_gaussians = 40;  // fewer than there are points
  Trainer trainer(small_capture(), o);
  trainer.start(1);
  EXPECT_EQ(trainer.count(), 40);
}

TEST_F(TrainerTest, WhatLiesUnderAnIgnoringMaskHasNoInfluence) {
  scene::Cloud clouds[2];
  for (const int garbage : {0, 1}) {
    scene::Capture capture = small_capture();
    for (auto& view : capture.views) {
      view.mask = data::Image8(view.image.height, view.image.width, 1);
      for (int y = 0; y < view.image.height; ++y)
        for (int x = 0; x < view.image.width; ++x) {
          const bool used = x < 20 || y < 10;
          *view.mask.at(y, x) = used ? 255 : 0;
          if (!used && garbage) view.image.at(y, x)[1] = static_cast<uint8_t>(7 * x + 3 * y);
        }
    }
    Trainer trainer(std::move(capture), short_options());
    trainer.start(5);
    for (int i = 0; i < 60; ++i) trainer.step();
    clouds[garbage] = trainer.exported();
  }
  EXPECT_TRUE(same_bits(clouds[0], clouds[1]));
}

TEST_F(TrainerTest, AViewWithoutAPixelCountsInNoFigure) {
  const scene::Cloud cloud = small_cloud();
  scene::Capture capture = small_capture();
  ASSERT_EQ(capture.test.size(), 2U);
  const double second = [&] {
    scene::Capture one = capture;
    one.test = {capture.test[1]};
    return evaluate(cloud, one, {.progress = false}).psnr;
  }();
  scene::View& masked = capture.views[static_cast<size_t>(capture.test[0])];
  masked.mask = data::Image8(masked.image.height, masked.image.width, 1);
  const Evaluation e = evaluate(cloud, capture, {.progress = false});
  EXPECT_EQ(e.psnr, second);
  ASSERT_EQ(e.views.size(), 1U);
  EXPECT_THAT(e.unscored, testing::ElementsAre(masked.name));
  capture.test = {capture.test[0]};
  EXPECT_THROW(evaluate(cloud, capture, {.progress = false}), Error);
}

TEST_F(TrainerTest, TransparencyShowsWhateverBackgroundIsDrawn) {
  // half transparent white, composited on black as the loader does
  scene::Capture capture = small_capture();
  scene::View& view = capture.views[0];
  view.image = data::Image8(36, 48, 3);
  view.alpha = data::Image8(36, 48, 1);
  std::fill(view.image.pixels.begin(), view.image.pixels.end(), 102);
  std::fill(view.alpha.pixels.begin(), view.alpha.pixels.end(), 102);
  const at::Tensor background = at::tensor({0.5f, 0.0f, 1.0f});
  const Target t = make_target(view, capture, "ignore", background);
  EXPECT_NEAR(t.image[3][4][0].item<double>(), 0.4 + 0.6 * 0.5, 1e-6);
  EXPECT_NEAR(t.image[3][4][1].item<double>(), 0.4, 1e-6);
  EXPECT_NEAR(t.image[3][4][2].item<double>(), 1.0, 1e-6);
  // straight colours, when the loader knows that backgrounds are random
  capture.random_background = true;
  EXPECT_NEAR(make_target(view, capture, "ignore", background).image[3][4][0].item<double>(),
              0.4 * 0.4 + 0.6 * 0.5, 1e-6);
}

TEST_F(TrainerTest, SceneIsWrittenInTheFrameOfTheCapture) {
  scene::Capture capture = small_capture();
  Eigen::Matrix4d scene_from_capture = Eigen::Matrix4d::Identity();
  scene_from_capture.topLeftCorner<3, 3>() =
      2.5 * Eigen::AngleAxisd(1.1, Eigen::Vector3d(1, 2, -0.5).normalized()).toRotationMatrix();
  scene_from_capture.topRightCorner<3, 1>() = Eigen::Vector3d(0.3, -1, 2);
  const scene::Capture as_captured = capture;
  for (auto& view : capture.views)
    view.camera = scene::transformed(view.camera, scene_from_capture);
  for (auto& p : capture.points.positions)
    p = (scene_from_capture.topLeftCorner<3, 3>() * p.cast<double>() +
         scene_from_capture.topRightCorner<3, 1>())
            .cast<float>();
  capture.scene_from_capture = scene_from_capture;
  capture.extent *= 2.5;

  Trainer trainer(capture, short_options("none", 60));
  trainer.run({.out = folder_ / "run"});
  const LoadedScene loaded = load_scene(folder_ / "run");
  const auto cameras = scene::read_cameras(folder_ / "run" / "cameras.json");
  for (const size_t i : {0u, 3u}) {
    const at::Tensor inside = drawn_by(trainer.cloud(), capture.views[i].camera);
    const at::Tensor outside = drawn_by(loaded.cloud, as_captured.views[i].camera);
    EXPECT_LT((inside - outside).abs().max().item<double>(), 2e-3) << i;
    EXPECT_GT(inside.max().item<double>(), 0.2);
    EXPECT_TRUE(cameras.cameras[i].camera.cam_from_world.isApprox(
        as_captured.views[i].camera.cam_from_world, 1e-9));
  }
  // the state alone gives the same scene
  fs::remove(folder_ / "run" / "scene.ply");
  const LoadedScene from_state = load_scene(folder_ / "run");
  EXPECT_TRUE(from_state.cloud.means.equal(loaded.cloud.means));
  EXPECT_THAT(from_state.note, HasSubstr("step 60 of 60"));
}

TEST_F(TrainerTest, RunFolderIsComplete) {
  const fs::path out = folder_ / "run";
  const RunResult run = Trainer(small_capture(), short_options()).run({.out = out});
  for (const char* name : {"config.json", "log.jsonl", "metrics.json", "scene.ply", "cameras.json",
                           "report.html", "checkpoint/state.cov", "eval/view0_render.png"})
    EXPECT_TRUE(fs::exists(out / name)) << name;
  const auto config = nlohmann::json::parse(read_file(out / "config.json"));
  EXPECT_EQ(config["verb"], "train");
  EXPECT_EQ(config["options"]["steps"], 120);
  EXPECT_EQ(config["options"]["seed"], 42);
  const auto metrics = nlohmann::json::parse(read_file(out / "metrics.json"));
  EXPECT_EQ(metrics["count"], run.scene.size());
  EXPECT_GT(metrics["eval"]["test"]["psnr"]["value"].get<double>(), 10);
  EXPECT_EQ(metrics["eval"]["test"]["lpips"], "absent");
  EXPECT_EQ(scene::read_ply(out / "scene.ply").size(), run.scene.size());
  const std::string report = read_file(out / "report.html");
  EXPECT_THAT(report, HasSubstr("data:image/jpeg;base64,"));
  EXPECT_THAT(report, HasSubstr("<polyline"));
  EXPECT_THAT(report, testing::Not(HasSubstr("http")));
}

TEST_F(TrainerTest, StagesAfterTrainingAreDoneAgainFromTheFolder) {
  const fs::path whole = folder_ / "whole", parts = folder_ / "parts";
  const TrainOptions o = short_options("none", 20);
  Trainer(small_capture(), o).run({.out = whole});
  Trainer(small_capture(), o).run({.out = parts, .until = Stage::kTrain});
  EXPECT_TRUE(fs::exists(parts / "scene.ply"));
  EXPECT_FALSE(fs::exists(parts / "eval"));
  EXPECT_FALSE(fs::exists(parts / "report.html"));
  EXPECT_THROW(report_again(parts), Error);

  const std::string log = read_file(parts / "log.jsonl");
  const RunResult again =
      Trainer(small_capture(), o)
          .run({.out = parts, .resume = true, .from = Stage::kEvaluate, .until = Stage::kEvaluate});
  EXPECT_EQ(again.steps, 20);
  EXPECT_FALSE(fs::exists(parts / "report.html"));
  EXPECT_EQ(read_file(parts / "log.jsonl"), log);
  const auto first = nlohmann::json::parse(read_file(whole / "metrics.json")),
             second = nlohmann::json::parse(read_file(parts / "metrics.json"));
  EXPECT_EQ(second["eval"]["test"]["psnr"], first["eval"]["test"]["psnr"]);
  EXPECT_EQ(second["train"]["views"], first["train"]["views"]);
  EXPECT_EQ(report_again(parts), second);
  EXPECT_THAT(read_file(parts / "report.html"), HasSubstr("data:image/jpeg;base64,"));
}

TEST_F(TrainerTest, OnlyAFinishedRunIsEvaluatedAgain) {
  const fs::path out = folder_ / "run";
  const TrainOptions o = short_options("none", 20);
  const auto refused = [&] {
    try {
      Trainer(small_capture(), o).run({.out = out, .resume = true, .from = Stage::kEvaluate});
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ExitCode::kData);
      EXPECT_THAT(e.hint(), HasSubstr("--resume"));
      return std::string(e.what());
    }
    return std::string();
  };
  EXPECT_THAT(refused(), HasSubstr("no finished run"));
  EXPECT_FALSE(fs::exists(out));
  Trainer(small_capture(), o).run({.out = out, .until = Stage::kTrain});
  Trainer half(small_capture(), o);
  half.start(42);
  half.step();
  half.save_checkpoint(out / "checkpoint" / "state.cov");
  EXPECT_THAT(refused(), HasSubstr("step 1 of 20"));
}

TEST(Evaluate, TheReferenceAgreesAndAFewViewsAndPicturesAreKept) {
  const scene::Capture capture = small_capture(16);  // 4 held out
  const scene::Cloud cloud = small_cloud();
  const Evaluation floats = evaluate(cloud, capture, {.kept_pictures = 2, .progress = false});
  const Evaluation doubles = evaluate(cloud, capture, {.precision = "double", .progress = false});
  ASSERT_EQ(doubles.views.size(), 4u);
  EXPECT_NE(doubles.psnr, floats.psnr);
  EXPECT_NEAR(doubles.psnr_8bit, floats.psnr_8bit, 0.5);
  EXPECT_NEAR(doubles.ssim, floats.ssim, 1e-4);
  EXPECT_EQ(doubles.to_json()["precision"], "double");
  ASSERT_EQ(floats.pictures.size(), 2u);
  EXPECT_EQ(floats.pictures[0].name, "view4.png");
  EXPECT_EQ(floats.pictures[0].truth.pixels, capture.views[4].image.pixels);
  EXPECT_TRUE(doubles.pictures.empty());
  EXPECT_EQ(evaluate(cloud, capture, {.max_views = 3, .progress = false}).views.size(), 3u);

  const data::Image8 sheet = contact_sheet(floats.pictures);
  EXPECT_EQ(sheet.width, 3 * 48 + 4 * 8);
  EXPECT_EQ(sheet.height, 2 * 36 + 3 * 8);
  EXPECT_TRUE(
      std::equal(sheet.at(8, 8), sheet.at(8, 8) + 3 * 48, floats.pictures[0].truth.at(0, 0)));
  EXPECT_TRUE(std::equal(sheet.at(8 + 44, 8 + 2 * 56), sheet.at(8 + 44, 8 + 2 * 56) + 3 * 48,
                         floats.pictures[1].error.at(0, 0)));
}

TEST_F(TrainerTest, UsedFolderNeedsAWord) {
  const fs::path out = folder_ / "run";
  const TrainOptions o = short_options("none", 10);
  Trainer(small_capture(), o).run({.out = out});
  try {
    Trainer(small_capture(), o).run({.out = out});
    FAIL() << "wrote over a run";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_THAT(e.hint(), HasSubstr("--overwrite"));
  }
  EXPECT_EQ(Trainer(small_capture(), o).run({.out = out, .overwrite = true}).steps, 10);
}

TEST_F(TrainerTest, ResumingWithOtherOptionsNamesTheField) {
  const fs::path out = folder_ / "run";
  TrainOptions o = short_options("none", 10);
  Trainer(small_capture(), o).run({.out = out});
  o.optimizer.lr_scales = 1;
  try {
    Trainer(small_capture(), o).run({.out = out, .resume = true});
    FAIL() << "resumed";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kUsage);
    EXPECT_EQ(e.where(), "optimizer.lr_scales");
  }
}

TEST_F(TrainerTest, InterruptWritesACheckpointAndResumesToTheSameBits) {
  const fs::path out = folder_ / "run";
  const TrainOptions o = short_options();
  const RunResult whole = Trainer(small_capture(), o).run({.out = folder_ / "whole"});
  Trainer trainer(small_capture(), o);
  trainer.terms().push_back(
      {.name = "key", .weight = nn::constant(1), .value = [](const LossContext& c) {
         if (c.step == 33) std::raise(SIGINT);
         return TermValue{at::zeros({})};
       }});
  bool thrown = false;
  try {
    trainer.run({.out = out});
  } catch (const Interrupted& i) {
    thrown = true;
    EXPECT_EQ(i.exit_code, 130);
  }
  ASSERT_TRUE(thrown);
  EXPECT_THAT(load_scene(out).note, HasSubstr("step 33 of 120"));
  const RunResult resumed = Trainer(small_capture(), o).run({.out = out, .resume = true});
  EXPECT_TRUE(same_bits(whole.scene, resumed.scene));
}

TEST_F(TrainerTest, LossThatIsNoNumberStopsAndKeepsTheCheckpoint) {
  const fs::path out = folder_ / "run";
  Trainer trainer(small_capture(), short_options());
  trainer.terms().push_back(
      {.name = "bad", .weight = nn::constant(1), .value = [](const LossContext& c) {
         return TermValue{at::full({}, c.step == 60 ? NAN : 0.0f)};
       }});
  try {
    trainer.run({.out = out});
    FAIL() << "went on";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kFailed);
    EXPECT_THAT(e.message(), HasSubstr("step 60"));
  }
  EXPECT_THAT(load_scene(out).note, HasSubstr("step 50 of 120"));
}

TEST_F(TrainerTest, EveryEpochShowsEachViewOnceAndIsAFunctionOfSeedAndStep) {
  TrainOptions o = short_options();
  o.views_per_step = 2;
  const Trainer trainer(small_capture(), o);
  std::vector<int64_t> epoch;
  for (int64_t step = 1; step <= 3; ++step)
    for (int64_t v : trainer.views_of_step(step)) epoch.push_back(v);
  EXPECT_THAT(epoch, testing::UnorderedElementsAreArray(trainer.capture().train));
  EXPECT_EQ(trainer.views_of_step(2), trainer.views_of_step(2));
}

TEST_F(TrainerTest, AStepSeesNoViewTwiceAndEveryViewAsOften) {
  for (const auto& [schedule, per_step, steps] :
       std::vector<std::tuple<std::string, int64_t, int64_t>>{
           {"full", 4, 27}, {"full", 5, 27}, {"full", 14, 40}, {"4:0.25:7,2:0.5:4", 3, 60}}) {
    SCOPED_TRACE(schedule + " " + std::to_string(per_step));
    TrainOptions o = short_options("default", steps);
    o.views_per_step = per_step;
    o.resolution_schedule = schedule;
    const Trainer trainer(small_capture(20), o);  // 15 for training
    std::map<int64_t, int64_t> seen;
    int64_t drawn = 0;
    for (int64_t step = 1; step <= steps; ++step) {
      const auto views = trainer.views_of_step(step);
      EXPECT_EQ(std::set<int64_t>(views.begin(), views.end()).size(), views.size()) << step;
      if (step <= steps / 4 && schedule != "full") {
        EXPECT_EQ(views.size(), 7);
      }
      for (const int64_t v : views) ++seen[v];
      drawn += static_cast<int64_t>(views.size());
    }
    ASSERT_EQ(seen.size(), 15);
    if (per_step > 7) continue;  // by chance
    for (const auto& [view, times] : seen)
      EXPECT_NEAR(static_cast<double>(times), static_cast<double>(drawn) / 15, 1) << view;
  }
}

TEST_F(TrainerTest, AStepOnManyViewsKeepsItsMomentsWithinTheGradients) {
  OptimizerOptions o;
  EXPECT_EQ(o.batch_of(1), 1);
  EXPECT_EQ(o.batch_of(4), 4);
  EXPECT_EQ(o.batch_of(10), 10);
  EXPECT_EQ(o.batch_of(48), 10);
  for (const double beta : {0.85, 0.95, 0.96, 0.98, 0.99}) {
    for (OptimizerOptions other :
         {OptimizerOptions{.beta1 = beta}, OptimizerOptions{.beta2 = beta}}) {
      const auto batch = static_cast<double>(other.batch_of(1000));
      EXPECT_LE(batch * (1 - other.beta1), 1);
      EXPECT_LE(batch * (1 - other.beta2), 1);
      EXPECT_GT(batch, 0.9 / (1 - std::min(other.beta1, other.beta2)) - 1.1);
    }
  }
  o.batch_scaling = false;
  EXPECT_EQ(o.batch_of(4), 1);
  TrainOptions many = short_options("none", 2);
  many.views_per_step = 15;
  Trainer trainer(small_capture(20), many);
  trainer.start(1);
  EXPECT_TRUE(std::isfinite(trainer.step().loss));
}

TEST_F(TrainerTest, ALargerStepThanThereAreViewsTakesAll) {
  TrainOptions o = short_options();
  o.views_per_step = 100;
  const Trainer trainer(small_capture(), o);
  EXPECT_THAT(trainer.views_of_step(3),
              testing::UnorderedElementsAreArray(trainer.capture().train));
}

TEST_F(TrainerTest, StepSeesThePhotosAtTheScheduledSize) {
  TrainOptions o = short_options("default", 20);
  o.resolution_schedule = "2:0.2,1.5:0.5";
  Trainer trainer(small_capture(), o);
  std::vector<int64_t> widths, heights;
  trainer.terms().push_back(
      {.name = "size", .weight = nn::constant(1), .value = [&](const LossContext& c) {
         widths.push_back(c.rendered.color.size(2));
         heights.push_back(c.target.image.size(0));
         EXPECT_EQ(c.view.camera.width, c.rendered.color.size(2));
         return TermValue{at::zeros({})};
       }});
  trainer.run({.out = folder_ / "run", .until = Stage::kTrain});
  for (size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(widths[i], i < 4 ? 24 : i < 10 ? 32 : 48) << i;
    EXPECT_EQ(heights[i], i < 4 ? 18 : i < 10 ? 24 : 36) << i;
  }
  for (const auto& record : read_log(folder_ / "run" / "log.jsonl")) {
    if (!record.contains("loss")) continue;
    const auto step = record["step"].get<int64_t>();
    EXPECT_EQ(record["division"], step <= 4 ? 2 : step <= 10 ? 1.5 : 1) << step;
  }
}

TEST_F(TrainerTest, RunResumedInsideTheScheduleEndsInTheSameBits) {
  TrainOptions o = short_options();
  o.resolution_schedule = "2:0.3,1.5:0.6";  // until steps 36 and 72
  Trainer whole(small_capture(), o);
  whole.start(3);
  for (const int64_t at : {30, 36, 50}) {
    while (whole.steps_done() < at) whole.step();
    whole.save_checkpoint(folder_ / (std::to_string(at) + ".cov"));
  }
  while (whole.steps_done() < 90) whole.step();
  for (const int64_t at : {30, 36, 50}) {
    Trainer cut(small_capture(), o);
    cut.load_checkpoint(folder_ / (std::to_string(at) + ".cov"));
    EXPECT_EQ(cut.division(), at < 36 ? 2 : 1.5);
    while (cut.steps_done() < 90) cut.step();
    EXPECT_TRUE(same_bits(whole.cloud(), cut.cloud())) << at;
  }
}

TEST_F(TrainerTest, GradientOfAStepIsTheSumOverItsViews) {
  // Adam's first moment after one step of B views is B (1 - beta1) times the gradient
  TrainOptions o = short_options("none");
  o.optimizer.visible_only = false;
  o.sh_every = 0;
  const auto moments = [&](const std::vector<int64_t>& views, const char* name) {
    Trainer trainer(small_capture(), o);
    trainer.start(1);
    trainer.step(views);
    return trainer.table().entry(name).first.clone();
  };
  for (const char* name : {"means", "quats", "scales", "opacities", "sh0", "shN"}) {
    SCOPED_TRACE(name);
    const at::Tensor sum = moments({1}, name) + moments({2}, name) + moments({3}, name);
    const at::Tensor together = moments({1, 2, 3}, name) / 3;
    const double size = sum.abs().max().item<double>();
    ASSERT_GT(size, 0);
    EXPECT_LT((together - sum).abs().max().item<double>(), 1e-5 * size);
  }
}

TEST_F(TrainerTest, GradientsOfSeveralViewsAddUp) {
  // two views a step and one term: the same as one view a step in which the other's loss is added
  TrainOptions o = short_options("none");
  o.optimizer.visible_only = false;
  Trainer both(small_capture(), o), twice(small_capture(), o);
  both.start(1);
  twice.start(1);
  const StepResult a = both.step({1, 2});
  const StepResult b = twice.step({2, 1});
  EXPECT_NEAR(a.loss, b.loss, 1e-9);
  EXPECT_LT((both.cloud().means - twice.cloud().means).abs().max().item<double>(), 1e-6);
}

TEST(TrainOptionsTest, WindowsFollowTheStepsUnlessSet) {
  TrainOptions o;
  EXPECT_EQ(o.sh_every_of(), 1000);
  o.steps = 800;
  EXPECT_EQ(o.sh_every_of(), 100);
  EXPECT_EQ(o.checkpoint_every_of(), 80);
  o.sh_every = 7;
  EXPECT_EQ(o.sh_every_of(), 7);
  o.strategy = "mcmc";
  EXPECT_EQ(o.max_gaussians_of(), 1000000);
  EXPECT_EQ(o.opacity_reg_of(), 0.01);
  EXPECT_EQ(o.mcmc_growth_of(), 1.5);
  o.steps = 15000;
  EXPECT_NEAR(o.mcmc_growth_of(), 1.05 * 1.05, 1e-12);
  o.steps = 40000;
  EXPECT_EQ(o.mcmc_growth_of(), 1.05);
}

TEST(TrainOptionsTest, AStrategysOptionsNeedTheStrategy) {
  TrainOptions o;
  OptionList list(o);
  list.set("mcmc.noise_lr", "1e5", "test");
  EXPECT_THROW(list.finish(), Error);
  list.set("strategy", "mcmc", "test");
  EXPECT_NO_THROW(list.finish());
}

TEST(Psnr, CountsOnlyPixelsOfTheMaskAndClamps) {
  const at::Tensor truth = at::full({2, 2, 3}, 0.5f);
  at::Tensor image = truth.clone();
  image[0][0].fill_(2.0f);  // clamped to 1: error 1/2
  EXPECT_NEAR(psnr(image, truth), -10 * std::log10(0.25 / 4), 1e-9);
  at::Tensor mask = at::ones({2, 2});
  mask[1][1].fill_(0.0f);
  mask[1][0].fill_(0.0f);
  EXPECT_NEAR(psnr(image, truth, mask), -10 * std::log10(0.25 / 2), 1e-9);
}

}  // namespace
}  // namespace covary::fit
