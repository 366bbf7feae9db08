#include "covary/splat/fit/camera_refinement.h"

#include <cmath>
#include <filesystem>
#include <numbers>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/fit/camera_delta.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/fit/finite_differences.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/fit/pose_fit.h"
#include "covary/splat/fit/run_log.h"
#include "covary/splat/fit/small_capture.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/scene/cameras_json.h"
#include "covary/splat/scene/ply.h"

namespace covary::fit {
namespace {

using compute::test_normal;

double turned_deg(const scene::Camera& a, const scene::Camera& b) {
  const Eigen::Matrix3d turn =
      a.cam_from_world.topLeftCorner<3, 3>() * b.cam_from_world.topLeftCorner<3, 3>().transpose();
  return geometry::so3_log(turn).norm() * 180 / std::numbers::pi;
}

// Turned about its centre by `degrees`, about a random axis.
scene::Camera turned(const scene::Camera& camera, double degrees, uint64_t seed) {
  const Random random(seed);
  const Eigen::Vector3d axis =
      Eigen::Vector3d(random.normal(0), random.normal(1), random.normal(2)).normalized();
  scene::Camera out = camera;
  out.cam_from_world = geometry::rigid(geometry::so3_exp(axis * degrees * std::numbers::pi / 180),
                                       Eigen::Vector3d::Zero()) *
                       camera.cam_from_world;
  return out;
}

// Mean distance of the known scene's centres in the pictures of two cameras, px.
double apart_px(const scene::Camera& a, const scene::Camera& b) {
  const at::Tensor means = small_cloud().means;
  double sum = 0;
  for (int64_t i = 0; i < means.size(0); ++i) {
    const float* m = means.const_data_ptr<float>() + 3 * i;
    const Eigen::Vector3d p(m[0], m[1], m[2]);
    sum += (a.project(p) - b.project(p)).norm();
  }
  return sum / static_cast<double>(means.size(0));
}

PoseFrame frame_of(const scene::Camera& camera) {
  return {.cam_from_world = camera.cam_from_world, .extent = 1.7, .depth = 2.1};
}

TEST(CameraDelta, ZeroChangesNothing) {
  const scene::Camera camera = ring_camera(0.7);
  const render::Views views = render::views_of({camera}, at::kDouble);
  EXPECT_TRUE(moved_pose(at::zeros({6}, at::kDouble), frame_of(camera), at::kDouble)
                  .allclose(views.cam_from_world, 0, 1e-15));
  EXPECT_TRUE(
      changed_intrinsics(at::zeros({4}, at::kDouble), camera, at::kDouble).equal(views.intrinsics));
}

TEST(CameraDelta, CirclesAroundThePivotAndShiftsInExtents) {
  const scene::Camera camera = ring_camera(0.7);
  const double turn[6] = {0, 0, 0, 0.02, -0.01, 0.03}, shift[6] = {0.01, 0, -0.02, 0, 0, 0};
  scene::Camera a = camera, b = camera;
  a.cam_from_world = moved_pose(turn, frame_of(camera));
  EXPECT_NEAR(turned_deg(a, camera), std::sqrt(0.0014) * 180 / std::numbers::pi, 1e-9);
  const Eigen::Vector3d pivot = camera.centre() + 2.1 * camera.forward();
  EXPECT_NEAR((a.project(pivot) - camera.project(pivot)).norm(), 0, 1e-9);
  EXPECT_NEAR((a.centre() - pivot).norm(), 2.1, 1e-9);
  b.cam_from_world = moved_pose(shift, frame_of(camera));
  EXPECT_NEAR((b.centre() - camera.centre()).norm(), 1.7 * std::sqrt(0.0005), 1e-12);
  EXPECT_NEAR(turned_deg(b, camera), 0, 1e-9);
}

TEST(CameraDelta, IntrinsicsMeanTheSameAtEverySize) {
  const scene::Camera camera = ring_camera(0.7);
  const double change[4] = {std::log(1.03), std::log(0.97), 0.01, -0.02};
  const scene::Camera c = with_changed_intrinsics(camera, change);
  EXPECT_NEAR(c.fx, 1.03 * camera.fx, 1e-12);
  EXPECT_NEAR(c.cy, camera.cy - 0.02 * camera.height, 1e-12);
  const scene::Camera d = with_changed_intrinsics(camera.scaled(24, 18), change);
  EXPECT_NEAR(d.fx, c.scaled(24, 18).fx, 1e-12);
  EXPECT_NEAR(d.cy, c.scaled(24, 18).cy, 1e-12);
}

TEST(CameraDelta, DepthOfInterestIsTheMedianOfWhatIsSeen) {
  const scene::Camera camera = ring_camera(0.7);
  scene::Points points;
  for (int i = 1; i <= 11; ++i)
    points.positions.push_back((camera.centre() + 0.1 * i * camera.forward()).cast<float>());
  points.positions.push_back((camera.centre() - 5 * camera.forward()).cast<float>());
  points.positions.push_back(
      (camera.centre() + 5 * camera.ray(-100, 0)).cast<float>());  // beside the picture
  EXPECT_NEAR(depth_of_interest(camera, points, 9), 0.6, 1e-6);
  points.positions.resize(9);
  EXPECT_EQ(depth_of_interest(camera, points, 9), 9);
}

TEST(CameraDelta, PoseGradientIsThatOfFiniteDifferences) {
  const scene::Camera camera = ring_camera(1.1);
  const at::Tensor weights = test_normal(3, 1, {1, 4, 4});
  const auto f = [&](const at::Tensor& d) {
    return (moved_pose(d, frame_of(camera), at::kDouble) * weights).sum();
  };
  for (const double size : {0.0, 1e-4, 0.03, 1.5}) {
    const at::Tensor delta = size * test_normal(3, 2, {6});
    EXPECT_LT(relative_error(gradient_of(f, delta), central_differences(f, delta)), 1e-8) << size;
  }
}

TEST(CameraDelta, IntrinsicsGradientIsThatOfFiniteDifferences) {
  const scene::Camera camera = ring_camera(1.1);
  const at::Tensor weights = test_normal(3, 1, {1, 4});
  const auto f = [&](const at::Tensor& d) {
    return (changed_intrinsics(d, camera, at::kDouble) * weights).sum();
  };
  const at::Tensor change = 0.05 * test_normal(3, 2, {4});
  EXPECT_LT(relative_error(gradient_of(f, change), central_differences(f, change)), 1e-8);
}

TEST(CameraDelta, GradientThroughARenderingIsThatOfFiniteDifferences) {
  const scene::Camera camera = ring_camera(0.4, 24, 18);
  const render::Primitives splats = render::primitives_of(scene::in_double(small_cloud(20)));
  const at::Tensor weights = test_normal(3, 1, {1, 18, 24, 3});
  const auto rendered = [&](const at::Tensor& numbers) {
    render::Views views = render::views_of({camera}, at::kDouble);
    views.cam_from_world =
        moved_pose(numbers.narrow(0, 0, 6).contiguous(), frame_of(camera), at::kDouble);
    views.intrinsics =
        changed_intrinsics(numbers.narrow(0, 6, 4).contiguous(), camera, at::kDouble);
    return (render::rasterize(splats, views, {}).color * weights).sum();
  };
  const at::Tensor numbers = 0.01 * test_normal(3, 2, {10});
  // small steps: thresholds of alpha make the picture piecewise
  EXPECT_LT(
      relative_error(gradient_of(rendered, numbers), central_differences(rendered, numbers, 1e-7)),
      1e-4);
}

TEST(CameraRefinement, PhotosOfOneLensShareIt) {
  scene::Capture capture = small_capture();
  ASSERT_EQ(capture.train.size(), 6u);
  capture.views[5].camera.fx += 1;  // a training view with a lens of its own
  capture.views[4].camera.fx += 2;  // a held-out one that no training view shares
  RefineOptions options;
  options.intrinsics_opt = true;
  CameraRefinement cameras(capture, options, 100, 100);
  EXPECT_EQ(cameras.lenses(), 2);
  const scene::Capture given = capture;
  cameras.views(1, 48, 36).intrinsics.sum().backward();
  cameras.update(1, capture);
  for (const int64_t i : {0, 1, 2, 3, 6, 7})
    EXPECT_LT(capture.views[static_cast<size_t>(i)].camera.fx, 52.8) << i;
  EXPECT_EQ(capture.views[5].camera.fx, given.views[5].camera.fx);
  EXPECT_EQ(capture.views[4].camera.fx, given.views[4].camera.fx);
  cameras.reset(capture);
  EXPECT_EQ(capture.views[1].camera.fx, given.views[1].camera.fx);
}

TEST(CameraRefinement, RatesGiveEveryCameraTheSameWay) {
  RefineOptions options;
  EXPECT_NEAR(options.pose_rate_of(1e6), 1e-5, 1e-12);
  EXPECT_NEAR(options.pose_rate_of(1000), 1e-3, 1e-12);
  EXPECT_NEAR(options.pose_rate_of(3), 5e-3, 1e-12);
  options.pose_rate = 0.125;
  EXPECT_EQ(options.pose_rate_of(300), 0.125);
}

TrainOptions refining(int64_t steps = 80) {
  TrainOptions o;
  o.steps = steps;
  o.strategy = "none";
  o.sh_degree = 1;
  o.checkpoint_every = steps / 2;
  o.refine.pose_opt = true;
  o.refine.intrinsics_opt = true;
  return o;
}

// small_capture with cameras that are told wrong.
scene::Capture wrong_capture(double degrees, double focal = 1) {
  scene::Capture capture = small_capture(16);
  for (size_t i = 0; i < capture.views.size(); ++i) {
    scene::Camera& camera = capture.views[i].camera;
    camera = turned(camera, degrees, i);
    camera.fx *= focal;
    camera.fy *= focal;
  }
  return capture;
}

class RefiningTrainer : public testing::Test {
 protected:
  ~RefiningTrainer() override { set_threads(0); }
  const TemporaryFolder temporary_{"refine"};
  const std::filesystem::path folder_ = temporary_.path();
};

TEST_F(RefiningTrainer, AtRateZeroTheSceneIsThatOfAFitWithoutRefinement) {
  TrainOptions o = refining(30);
  o.refine.pose_rate = 0;
  o.refine.intrinsics_rate = 0;
  Trainer with(wrong_capture(1), o);
  o.refine = {};
  Trainer without(wrong_capture(1), o);
  for (Trainer* t : {&with, &without}) {
    t->start(1);
    for (int i = 0; i < 30; ++i) t->step();
  }
  EXPECT_EQ(without.cameras(), nullptr);
  EXPECT_TRUE(with.cloud().means.equal(without.cloud().means));
  EXPECT_TRUE(with.cloud().sh0.equal(without.cloud().sh0));
}

TEST_F(RefiningTrainer, SameBitsResumedAndOnTwoThreads) {
  const auto finish = [&](Trainer& t) {
    while (t.steps_done() < 40) t.step();
    return t.capture().views[1].camera;
  };
  scene::Camera cameras[2];
  scene::Cloud clouds[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    Trainer t(wrong_capture(1, 1.02), refining());
    t.start(5);
    while (t.steps_done() < 20) t.step();
    t.save_checkpoint(folder_ / "state.cov");
    cameras[n - 1] = finish(t);
    clouds[n - 1] = t.cloud();
  }
  Trainer resumed(wrong_capture(1, 1.02), refining());
  resumed.load_checkpoint(folder_ / "state.cov");
  const scene::Camera camera = finish(resumed);
  for (const scene::Camera& c : cameras) {
    EXPECT_EQ(c.cam_from_world, camera.cam_from_world);
    EXPECT_EQ(c.fx, camera.fx);
    EXPECT_NE(c.fx, wrong_capture(1, 1.02).views[1].camera.fx);
  }
  for (const scene::Cloud& c : clouds) EXPECT_TRUE(c.means.equal(resumed.cloud().means));
  // started again: the given cameras
  resumed.start(5);
  EXPECT_EQ(resumed.capture().views[1].camera.cam_from_world,
            wrong_capture(1, 1.02).views[1].camera.cam_from_world);
}

TEST_F(RefiningTrainer, StateOfAnotherKindOfRunIsRefused) {
  TrainOptions o = refining();
  o.refine = {};
  Trainer plain(wrong_capture(1), o);
  plain.start(1);
  plain.save_checkpoint(folder_ / "state.cov");
  Trainer other(wrong_capture(1), refining());
  EXPECT_THROW(other.load_checkpoint(folder_ / "state.cov"), Error);
}

TEST_F(RefiningTrainer, PosesComeBackAndAreWrittenInTheCapturesFrame) {
  const scene::Capture truth = small_capture(16);
  TrainOptions o = refining(200);
  o.refine.intrinsics_opt = false;
  Trainer refined(wrong_capture(1.5), o);
  refined.run({.out = folder_ / "refined"});
  o.refine.pose_opt = false;
  const RunResult plain = Trainer(wrong_capture(1.5), o).run({});

  double before = 0, after = 0;
  const auto file = scene::read_cameras(folder_ / "refined" / "cameras.json");
  for (const int64_t i : truth.train) {
    const auto v = static_cast<size_t>(i);
    before += apart_px(wrong_capture(1.5).views[v].camera, truth.views[v].camera);
    // the scene began where the truth is: the trainer's frame is still near that of the truth
    after += apart_px(refined.capture().views[v].camera, truth.views[v].camera);
  }
  EXPECT_LT(after, 0.7 * before);
  for (const int64_t i : truth.test)
    EXPECT_TRUE(file.cameras[static_cast<size_t>(i)].camera.cam_from_world.isApprox(
        wrong_capture(1.5).views[static_cast<size_t>(i)].camera.cam_from_world, 1e-9));
  // in the capture's frame scene and cameras belong together as they do in the trainer's
  const scene::Cloud written = scene::read_ply(folder_ / "refined" / "scene.ply");
  for (const size_t v : {0u, 5u}) {
    const at::Tensor inside = drawn_by(refined.cloud(), refined.capture().views[v].camera);
    EXPECT_LT((drawn_by(written, file.cameras[v].camera) - inside).abs().max().item<double>(),
              2e-3);
  }

  // whoever loads run and capture again looks from the refined cameras, and from the given one at a photo unknown to the run
  const LoadedScene loaded = load_scene(folder_ / "refined");
  scene::Capture again = wrong_capture(1.5);
  again.views[6].name = "new.png";
  take_refined_cameras(again, loaded);
  EXPECT_TRUE(again.views[5].camera.cam_from_world.isApprox(file.cameras[5].camera.cam_from_world));
  EXPECT_EQ(again.views[6].camera.cam_from_world,
            wrong_capture(1.5).views[6].camera.cam_from_world);

  const auto metrics =
      nlohmann::json::parse(read_file(folder_ / "refined" / "metrics.json"))["eval"]["test"];
  EXPECT_GT(metrics["psnr_poses_fitted"]["value"].get<double>(),
            plain.metrics["eval"]["test"]["psnr"]["value"].get<double>() + 1);
  EXPECT_GT(metrics["psnr_poses_fitted"]["value"], metrics["psnr"]["value"]);
  EXPECT_THAT(metrics["psnr_poses_fitted"]["of"], testing::HasSubstr("scene frozen"));
  EXPECT_FALSE(plain.metrics["eval"]["test"].contains("psnr_poses_fitted"));
  EXPECT_THAT(read_file(folder_ / "refined" / "report.html"), testing::HasSubstr("scene frozen"));
  double turned = 0;
  for (const auto& record : read_log(folder_ / "refined" / "log.jsonl"))
    if (record.contains("cameras")) turned = record["cameras"]["turned_deg"];
  EXPECT_GT(turned, 0.3);
}

TEST(PoseFit, AHeldOutCameraIsFoundAndColoursDoNotDisturbIt) {
  const scene::Cloud cloud = small_cloud();
  scene::Capture capture = small_capture();
  const scene::Camera truth = capture.views[4].camera;
  scene::View view = capture.views[4];
  view.camera = turned(truth, 1, 9);
  const render::Primitives splats = activated(cloud);
  for (const bool darker : {false, true}) {
    if (darker)
      for (uint8_t& p : view.image.pixels) p = static_cast<uint8_t>(0.7 * p);
    const Target target = make_target(view, capture, "ignore", at::zeros({3}));
    const scene::Camera found =
        fitted_pose(splats, view, target, {}, capture, {.any_colours = darker});
    EXPECT_LT(apart_px(found, truth), 0.15) << darker;
    EXPECT_GT(apart_px(view.camera, truth), 0.5);
  }
}

}  // namespace
}  // namespace covary::fit
