#include "covary/splat/fit/exposure.h"

#include <cmath>
#include <filesystem>
#include <map>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/fit/checkpoint.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"

namespace covary::fit {
namespace {

TrainOptions options_with(const std::string& exposure, int64_t steps = 60) {
  TrainOptions o;
  o.steps = steps;
  o.strategy = "none";
  o.sh_degree = 1;
  o.checkpoint_every = steps / 2;
  o.exposure = exposure;
  o.bilateral.grid_width = o.bilateral.grid_height = 4;
  return o;
}

double gain_of(size_t view) { return 0.7 + 0.7 * Random(5).uniform(view); }

// small_capture whose training photos have gains.
scene::Capture gained_capture() {
  scene::Capture capture = small_capture(16);
  for (const int64_t i : capture.train)
    for (uint8_t& p : capture.views[static_cast<size_t>(i)].image.pixels)
      p = static_cast<uint8_t>(std::min(255.0, std::round(gain_of(static_cast<size_t>(i)) * p)));
  return capture;
}

class ExposedTrainer : public testing::Test {
 protected:
  ~ExposedTrainer() override { set_threads(0); }
  const TemporaryFolder temporary_{"exposure"};
  const std::filesystem::path folder_ = temporary_.path();
};

TEST_F(ExposedTrainer, AtRateZeroTheSceneIsThatOfAFitWithoutExposure) {
  for (const char* kind : {"affine", "bilateral", "embedding"}) {
    TrainOptions o = options_with(kind, 20);
    o.affine.affine_rate = 0;
    o.bilateral.grid_rate = 0;
    o.embedding.network_rate = 0;  // embeddings and features move, and nothing comes of it
    Trainer with(gained_capture(), o), without(gained_capture(), options_with("none", 20));
    for (Trainer* t : {&with, &without}) {
      t->start(1);
      while (t->steps_done() < 20) t->step();
    }
    EXPECT_EQ(without.exposure(), nullptr);
    EXPECT_TRUE(with.cloud().means.equal(without.cloud().means)) << kind;
    EXPECT_TRUE(with.cloud().sh0.equal(without.cloud().sh0)) << kind;
  }
}

TEST_F(ExposedTrainer, SameBitsResumedAndOnTwoThreads) {
  for (const char* kind : {"affine", "bilateral", "embedding"}) {
    SCOPED_TRACE(kind);
    scene::Cloud clouds[2];
    nlohmann::json maps[2];
    for (const int n : {1, 2}) {
      set_threads(n);
      Trainer t(gained_capture(), options_with(kind));
      t.start(5);
      while (t.steps_done() < 20) t.step();
      t.save_checkpoint(folder_ / "state.cov");
      while (t.steps_done() < 40) t.step();
      clouds[n - 1] = t.cloud();
      maps[n - 1] = t.exposure()->to_json();
    }
    Trainer resumed(gained_capture(), options_with(kind));
    resumed.load_checkpoint(folder_ / "state.cov");
    while (resumed.steps_done() < 40) resumed.step();
    for (const int i : {0, 1}) {
      EXPECT_TRUE(clouds[i].sh0.equal(resumed.cloud().sh0));
      EXPECT_EQ(maps[i], resumed.exposure()->to_json());
    }
    EXPECT_LT(maps[0]["gain_least"], maps[0]["gain_largest"]);
  }
}

TEST_F(ExposedTrainer, StateOfAnotherShapeIsRefused) {
  Trainer affine(gained_capture(), options_with("affine"));
  affine.start(1);
  nn::NamedTensors arrays;
  nlohmann::json document;
  affine.exposure()->save(arrays, document);
  nn::RowTable rows;
  for (const char* kind : {"bilateral", "embedding"}) {
    const auto other = make_exposure(options_with(kind), gained_capture());
    EXPECT_THROW(other->restore(rows, arrays, document), Error) << kind;
    EXPECT_THROW(other->restore(rows, {}, nlohmann::json::object()), Error) << kind;
  }
}

TEST_F(ExposedTrainer, GainsAreFoundAndTheMeanLookStays) {
  Trainer t(gained_capture(), options_with("affine", 300));
  const RunResult run = t.run({.out = folder_ / "run"});
  const auto file = nlohmann::json::parse(read_file(folder_ / "run" / "exposure.json"));
  EXPECT_EQ(file["kind"], "affine");
  ASSERT_EQ(file["photos"].size(), t.capture().train.size());
  double mean = 0;
  for (const int64_t i : t.capture().train) mean += gain_of(static_cast<size_t>(i));
  mean /= static_cast<double>(t.capture().train.size());
  double looks = 0;
  for (size_t k = 0; k < file["photos"].size(); ++k) {
    const auto v = static_cast<size_t>(t.capture().train[k]);
    EXPECT_EQ(file["photos"][k]["name"], t.capture().views[v].name);
    const nlohmann::json& green = file["photos"][k]["map"][1];
    const double found = green[0].get<double>() + green[1].get<double>() + green[2].get<double>() +
                         2 * green[3].get<double>();  // of a grey of 1/2
    EXPECT_NEAR(found, gain_of(v) / mean, 0.15) << v;
    looks += found;
  }
  EXPECT_NEAR(looks / static_cast<double>(file["photos"].size()), 1, 1e-9);

  const RunResult none = Trainer(gained_capture(), options_with("none", 300)).run({});
  const auto& eval = run.metrics["eval"]["test"];
  EXPECT_GT(eval["psnr_colours_corrected"]["value"].get<double>(),
            none.metrics["eval"]["test"]["psnr"]["value"].get<double>() + 0.5);
  EXPECT_THAT(eval["psnr_colours_corrected"]["of"], testing::HasSubstr("least squares"));
  EXPECT_FALSE(none.metrics["eval"]["test"].contains("psnr_colours_corrected"));
  EXPECT_LT(run.metrics["exposure"]["gain_least"], 0.85);
}

TEST_F(ExposedTrainer, GridsAreWrittenByName) {
  Trainer t(gained_capture(), options_with("bilateral", 30));
  t.run({.out = folder_ / "run"});
  const State state = read_state(folder_ / "run" / "exposure.cov");
  EXPECT_EQ(state.document["photos"].size(), t.capture().train.size());
  EXPECT_EQ(state.arrays.at("grids").sizes(), at::IntArrayRef({12, 8, 4, 4, 12}));
  EXPECT_GT(state.arrays.at("grids").abs().max().item<double>(), 0);
}

TEST_F(ExposedTrainer, ATransparentPixelKeepsItsBackground) {
  const scene::Capture capture = gained_capture();
  const auto exposure = make_exposure(options_with("affine"), capture);
  nn::NamedTensors arrays;
  nlohmann::json document;
  exposure->save(arrays, document);
  arrays.at("exposure/parameter/value").fill_(0.25);  // shared with the exposure itself
  data::Image8 alpha(2, 1, 1);
  alpha.pixels = {0, 255};
  const at::Tensor color = at::full({2, 1, 3}, 0.5f);
  const at::Tensor seen = exposure->applied(capture.train[0], color, alpha);
  EXPECT_EQ(seen[0][0][0].item<float>(), 0.5f);
  EXPECT_NEAR(seen[1][0][0].item<float>(), 0.5 + 0.25 * 2.5, 1e-6);
}

TEST_F(ExposedTrainer, FeaturesGoWhereTheirGaussiansGo) {
  for (const char* strategy : {"default", "mcmc"}) {
    TrainOptions o = options_with("embedding", 60);
    o.strategy = strategy;
    o.max_gaussians = 150;
    o.default_strategy.start = o.mcmc.start = 10;
    o.default_strategy.every = o.mcmc.every = 10;
    o.default_strategy.grad_threshold = 1e-5;
    Trainer t(gained_capture(), o);
    t.start(1);
    const int64_t before = t.count();
    while (t.steps_done() < 30) t.step();
    EXPECT_GT(t.count(), before) << strategy;
    ASSERT_EQ(t.table().parameter("features").sizes(), at::IntArrayRef({t.count(), 32}));
    t.save_checkpoint(folder_ / "state.cov");
    Trainer resumed(gained_capture(), o);
    resumed.load_checkpoint(folder_ / "state.cov");
    for (Trainer* each : {&t, &resumed})
      while (each->steps_done() < 50) each->step();
    EXPECT_TRUE(t.cloud().sh0.equal(resumed.cloud().sh0)) << strategy;
    EXPECT_TRUE(t.table().parameter("features").equal(resumed.table().parameter("features")));
  }
}

// small_capture in which the right half of the scene is brighter in every second photo and the left half in the others: no map
// of a photo's colours can tell the halves apart.
scene::Capture capture_of_two_lights() {
  scene::Cloud cloud = small_cloud(60, 0);
  cloud.sh0.mul_(0.5);
  scene::Capture capture = small_capture(16, cloud);
  for (size_t k = 0; k < capture.views.size(); ++k) {
    scene::Cloud lit = cloud;
    lit.sh0 = cloud.sh0.clone();
    const at::Tensor right = cloud.means.select(1, 0) > 0, bright = k % 2 == 0 ? right : ~right;
    lit.sh0.add_(1.2 * bright.to(at::kFloat).view({-1, 1, 1}));
    capture.views[k].image = picture(drawn_by(lit, capture.views[k].camera));
  }
  return capture;
}

TEST_F(ExposedTrainer, AnEmbeddingExplainsWhatNoMapOfColoursCan) {
  std::map<std::string, double> seen, held_out;
  for (const char* kind : {"affine", "embedding"}) {
    TrainOptions o = options_with(kind, 500);
    o.sh_degree = 0;
    o.optimizer.lr_sh0 = 0.01;
    o.optimizer.lr_opacities = 0.1;
    o.embedding.network_rate = 3e-3;
    o.eval_every = 0;
    Trainer t(capture_of_two_lights(), o);
    const int64_t last = 48;
    t.terms().push_back(
        {.name = "look", .weight = nn::constant(1), .value = [&](const LossContext& c) {
           if (c.step > o.steps - last)
             seen[kind] += psnr(c.rendered.color.squeeze(0).detach(), c.target.image) /
                           static_cast<double>(last);
           return TermValue{at::zeros({})};
         }});
    const RunResult run = t.run({});
    held_out[kind] = run.metrics["eval"]["test"]["psnr_colours_corrected"]["value"];
  }
  EXPECT_GT(seen["embedding"], seen["affine"] + 1.5);
  EXPECT_GT(held_out["embedding"], held_out["affine"]);
}

TEST_F(ExposedTrainer, AllRatesFollowTheLengthOfTheRun) {
  for (const char* kind : {"affine", "bilateral", "embedding"}) {
    Trainer t(gained_capture(), options_with(kind));
    t.start(1);
    t.retime(35);
    nn::NamedTensors arrays;
    nlohmann::json document;
    t.exposure()->save(arrays, document);
    document["table"] = t.table().description();
    for (const auto& [of, description] : document.items())
      for (const auto& parameter : description["parameters"]) {
        EXPECT_EQ(parameter["rate"]["steps"], 35) << kind << " " << of << " " << parameter["name"];
      }
    EXPECT_EQ(document.contains("exposure_network"), kind == std::string("embedding"));
  }
}

TEST_F(ExposedTrainer, TheRunHoldsAllThatAPhotosLookIsMadeOf) {
  scene::Capture capture = gained_capture();
  capture.scene_from_capture(0, 3) = 0.25;
  Trainer t(capture, options_with("embedding", 30));
  const RunResult run = t.run({.out = folder_ / "run"});
  const State state = read_state(folder_ / "run" / "exposure.cov");
  EXPECT_EQ(state.document["kind"], "embedding");
  EXPECT_EQ(state.document["photos"].size(), t.capture().train.size());
  EXPECT_EQ(state.document["training_from_scene"][0][3], 0.25);
  const at::Tensor embeddings = state.arrays.at("embeddings");
  EXPECT_EQ(embeddings.sizes(), at::IntArrayRef({12, 16}));
  EXPECT_LT(embeddings.mean(0).abs().max().item<double>(), 1e-6);
  EXPECT_EQ(state.arrays.at("features").size(0), run.scene.size());
  EXPECT_EQ(state.arrays.at("out").sizes(), at::IntArrayRef({64, 3}));
  EXPECT_GT(state.arrays.at("out").abs().max().item<double>(), 0);
  EXPECT_TRUE(run.metrics["eval"]["test"].contains("psnr_colours_corrected"));
  EXPECT_LT(run.metrics["exposure"]["gain_least"], run.metrics["exposure"]["gain_largest"]);
}

// gained_capture whose photos' EXIF says what was done to them.
scene::Capture stated_capture() {
  scene::Capture capture = gained_capture();
  for (const int64_t i : capture.train)
    capture.views[static_cast<size_t>(i)].log2_exposure =
        2.2 * std::log2(gain_of(static_cast<size_t>(i)));
  return capture;
}

TEST_F(ExposedTrainer, MapsBeginWithTheGainsOfTheirExif) {
  for (const char* kind : {"affine", "bilateral"}) {
    TrainOptions o = options_with(kind);
    Trainer stated(stated_capture(), o);
    stated.start(1);
    double mean = 0;
    for (const int64_t i : stated.capture().train) mean += gain_of(static_cast<size_t>(i)) / 12;
    const auto index = static_cast<int64_t>(stated.capture().train[3]);
    const at::Tensor grey = at::full({2, 2, 3}, 0.5f),
                     seen = const_cast<Exposure*>(stated.exposure())->applied(index, grey, {});
    EXPECT_NEAR(seen.mean().item<double>(), 0.5 * gain_of(static_cast<size_t>(index)) / mean, 1e-5)
        << kind;
    // nobody asked, or nothing stated: the identity
    o.exposure_start = "none";
    const auto asked_not = make_exposure(o, stated_capture());
    o.exposure_start = "exif";
    const auto stated_not = make_exposure(o, gained_capture());
    for (Exposure* e : {asked_not.get(), stated_not.get()}) {
      nn::RowTable rows;
      e->start(rows, 1);
      EXPECT_TRUE(e->applied(index, grey, {}).equal(grey)) << kind;
    }
  }
}

}  // namespace
}  // namespace covary::fit
