// Fits of captures whose photos are decoded by need: the bits of those that are held, within the bound.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/photo_cache.h"
#include "covary/splat/scene/test_captures.h"

namespace covary::fit {
namespace {

namespace fs = std::filesystem;
using namespace scene::testing_captures;
using testing::HasSubstr;

constexpr int64_t kView = 64 * 48 * (3 + 1);  // bytes of a photo with its mask

class DecodedByNeed : public testing::Test {
 protected:
  // Through a distorted lens, with masks.
  DecodedByNeed() {
    write_colmap_capture(test_, folder_);
    fs::create_directories(folder_ / "masks");
    const Random random(5);
    uint64_t e = 0;
    for (size_t k = 0; k < test_.names.size(); ++k) {
      data::Image8 photo(48, 64, 3), mask(48, 64, 1);
      for (int y = 0; y < 48; ++y)
        for (int x = 0; x < 64; ++x) {
          for (int c = 0; c < 3; ++c)
            photo.at(y, x)[c] =
                static_cast<uint8_t>((3 + c) * x + 2 * y + 17 * static_cast<int>(k) +
                                     static_cast<int>(20 * random.uniform(e++)));
          *mask.at(y, x) = x < 50 || y < 30 ? 255 : 0;
        }
      data::write_image(folder_ / "images" / test_.names[k], photo);
      data::write_image(folder_ / "masks" / test_.names[k], mask);
    }
  }
  ~DecodedByNeed() override { set_threads(0); }

  scene::Capture capture(std::optional<double> cache) const {
    scene::CaptureOptions o;
    o.photo_cache = cache;
    o.test_every = 4;
    return load(folder_, o);
  }
  static TrainOptions options() {
    TrainOptions o;
    o.steps = 40;
    o.strategy = "default";
    o.sh_degree = 1;
    o.max_gaussians = 120;
    o.default_strategy.start = 10;
    o.default_strategy.every = 5;
    o.default_strategy.grad_threshold = 1e-6;
    o.eval_every = 10;
    return o;
  }

  const TestScene test_;
  const TemporaryFolder temporary_{"need"};
  const fs::path folder_ = temporary_.path();
};

TEST_F(DecodedByNeed, TheSceneHasTheSameBits) {
  std::vector<TrainOptions> ways(4, options());
  ways[1].views_per_step = 2;
  ways[1].resolution_schedule = "2:0.5";
  ways[2].refine.pose_opt = true;
  ways[2].loss.sparse_depth_weight = 0.1;
  ways[3].exposure = "affine";
  ways[3].capture.mask_mode = "empty";
  for (TrainOptions& o : ways) {
    std::string plies[3];
    // all in memory; room for two of nine; no room
    const std::optional<double> caches[3] = {std::nullopt, 2.0 * kView, 1.0};
    for (int k = 0; k < 3; ++k) {
      o.capture.photo_cache = caches[k];
      o.capture.test_every = 4;
      Trainer trainer(load(folder_, o.capture), o);
      const RunResult run =
          trainer.run({.out = folder_ / "out", .overwrite = true, .report = false});
      EXPECT_GT(run.metrics["eval"]["test"]["psnr"]["value"].get<double>(), 3);
      plies[k] = read_file(folder_ / "out" / "scene.ply");
      const scene::PhotoCache* photos = trainer.capture().photos.get();
      ASSERT_EQ(photos == nullptr, k == 0);
      if (!photos) continue;
      EXPECT_LE(photos->peak_bytes(), std::max<int64_t>(photos->most_bytes(), kView));
      EXPECT_GT(photos->loads(), o.resolution_schedule == "full" ? 20 : 5) << "it was by need";
    }
    EXPECT_EQ(plies[0], plies[1]);
    EXPECT_EQ(plies[0], plies[2]);
  }
}

TEST_F(DecodedByNeed, DepthMapsComeAlong) {
  fs::create_directories(folder_ / "depth");
  for (size_t k = 0; k < test_.names.size(); ++k) {
    data::Image16 map(24, 32, 1);
    for (size_t i = 0; i < map.pixels.size(); ++i)
      map.pixels[i] = static_cast<uint16_t>(300 * (i % 101) + 1000 * k);
    data::write_image16(folder_ / "depth" / test_.names[k], map);
  }
  at::Tensor means[2];
  for (const int need : {0, 1}) {
    TrainOptions o = options();
    o.steps = 12;
    o.depth = (folder_ / "depth").string();
    Trainer trainer(capture(need ? std::optional<double>(3.0 * kView) : std::nullopt), o);
    trainer.start(1);
    double depth = 0;
    while (trainer.steps_done() < o.steps) depth += trainer.step().terms.at("depth");
    EXPECT_GT(depth, 0);
    means[need] = trainer.cloud().means.clone();
    if (need) {
      EXPECT_EQ(trainer.capture().photos->pictures(trainer.capture().train[0]).bytes, 2 * kView);
    }
  }
  EXPECT_TRUE(means[0].equal(means[1]));
  // Their headers are looked at when the fit begins.
  data::write_image16(folder_ / "depth" / test_.names[1], data::Image16(24, 64, 1));
  TrainOptions o = options();
  o.depth = (folder_ / "depth").string();
  const Error e = error_of([&] { Trainer(capture(0.0), o); });
  EXPECT_THAT(e.where(), HasSubstr(test_.names[1]));
  EXPECT_THAT(e.message(), HasSubstr("64 x 24"));
}

TEST_F(DecodedByNeed, APhotoThatIsDeletedUnderTheRunIsNamed) {
  TrainOptions o = options();
  Trainer trainer(capture(0.0), o);
  trainer.start(1);
  trainer.step();
  for (const std::string& name : test_.names) fs::remove(folder_ / "images" / name);
  const Error e = error_of([&] {
    for (int i = 0; i < 3; ++i) trainer.step();
  });
  EXPECT_EQ(e.code(), ExitCode::kData);
  EXPECT_THAT(e.where(), HasSubstr("images/photo"));
}

TEST_F(DecodedByNeed, ARunIsResumedWithAnotherBound) {
  TrainOptions o = options();
  o.checkpoint_every = 20;
  o.capture.test_every = 4;
  const auto finish = [&](const fs::path& out, bool resume, std::optional<double> cache) {
    o.capture.photo_cache = cache;
    Trainer trainer(load(folder_, o.capture), o);
    trainer.run({.out = out, .resume = resume, .report = false, .until = Stage::kTrain});
    return read_file(out / "scene.ply");
  };
  const std::string whole = finish(folder_ / "whole", false, {});
  {
    o.capture.photo_cache = 0;
    Trainer first(load(folder_, o.capture), o);
    first.start(42);
    while (first.steps_done() < 20) first.step();
    fs::create_directories(folder_ / "half" / "checkpoint");
    first.save_checkpoint(folder_ / "half" / "checkpoint" / "state.cov");
  }
  EXPECT_EQ(finish(folder_ / "half", true, 2.0 * kView), whole);
}

}  // namespace
}  // namespace covary::fit
