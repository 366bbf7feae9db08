#include "covary/splat/fit/depth_terms.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
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

TEST(SparseDepth, PointsStandWhereTheCameraSeesThem) {
  const scene::Camera camera = ring_camera(0.7);
  const Eigen::Matrix4d world_from_cam = camera.cam_from_world.inverse();
  std::vector<Eigen::Vector3f> points;
  const auto add = [&](double x, double y, double z) {  // px, px, depth
    const Eigen::Vector4d p((x - camera.cx) / camera.fx * z, (y - camera.cy) / camera.fy * z, z, 1);
    points.push_back((world_from_cam * p).head<3>().cast<float>());
  };
  add(10.5, 20.4, 2);    // pixel (10, 20)
  add(3.2, 5.7, 1.5);    // pixel (3, 5)
  add(10.9, 20.9, 1.2);  // before the first
  add(-0.5, 5, 2);       // outside
  add(48.1, 5, 2);       // outside
  add(30, 30, -2);       // behind
  points.emplace_back(NAN, 0, 0);
  std::vector<uint32_t> all(points.size());
  for (uint32_t i = 0; i < all.size(); ++i) all[i] = i;
  const PixelDepths seen = depths_of_points(camera, points, all);
  EXPECT_EQ(seen.pixels, (std::vector<int64_t>{5 * 48 + 3, 20 * 48 + 10}));
  ASSERT_EQ(seen.depths.size(), 2u);
  EXPECT_NEAR(seen.depths[0], 1.5, 1e-5);
  EXPECT_NEAR(seen.depths[1], 1.2, 1e-5);
  EXPECT_EQ(depths_of_points(camera, points, {0}).depths.size(), 1u) << "only those that are named";
  // The same points through a photo of half the size.
  const PixelDepths half = depths_of_points(camera.scaled(24, 18), points, all);
  EXPECT_EQ(half.pixels, (std::vector<int64_t>{2 * 24 + 1, 10 * 24 + 5}));
}

TEST(SparseDepth, GradientIsThatOfDifferences) {
  const int64_t h = 5, w = 7;
  const PixelDepths known{{0, 8, 9, 20, 34}, {2, 1.4, 3, 2.2, 1e-5}};
  at::Tensor weights = at::ones({h, w}, at::kFloat);
  weights[1][2] = 0;  // pixel 9 does not count
  const at::Tensor depth = (compute::test_normal(4, 1, {h, w}).abs() + 1).requires_grad_();
  const auto loss = [&](const at::Tensor& d) { return disparity_distance(d, known, weights, 0.5); };
  loss(depth).backward();
  const double expected = (std::abs(1 / depth[0][0].item<double>() - 0.5) +
                           std::abs(1 / depth[1][1].item<double>() - 1 / 1.4) +
                           std::abs(1 / depth[2][6].item<double>() - 1 / 2.2) +
                           std::abs(1 / depth[4][6].item<double>() - 1 / 0.5)) /
                          4;
  EXPECT_NEAR(loss(depth).item<double>(), expected, 1e-9);
  int64_t moved = 0;
  for (int64_t i = 0; i < h * w; ++i) {
    constexpr double kStep = 1e-5;
    const auto at = [&](double by) {
      at::Tensor d = depth.detach().clone();
      d.view(-1)[i] += by;
      return loss(d).item<double>();
    };
    const double slope = (at(kStep) - at(-kStep)) / (2 * kStep);
    EXPECT_NEAR(depth.grad().view(-1)[i].item<double>(), slope, 1e-7) << i;
    moved += slope != 0;
  }
  EXPECT_EQ(moved, 4);
  EXPECT_EQ(disparity_distance(depth, {}, weights, 0.5).item<double>(), 0);
  EXPECT_EQ(disparity_distance(depth, known, at::zeros({h, w}), 0.5).item<double>(), 0);
}

// Three photos from nearly one side, which say little of depth, and points that they see.
scene::Capture few_views(const scene::Cloud& truth) {
  scene::Capture capture;
  capture.name = "few";
  capture.extent = 2.2;
  const Random random(3);
  const at::NoGradGuard no_gradient;
  for (int64_t i = 0; i < 7; ++i) {
    scene::View view;
    view.name = "view" + std::to_string(i) + ".png";
    view.camera = ring_camera(0.05 * static_cast<double>(i));
    const render::Rendered r =
        render::rasterize(activated(truth), render::views_of({view.camera}), {.depth = true});
    view.image = picture(r.color.squeeze(0));
    const float *z = r.depth.const_data_ptr<float>(), *alpha = r.alpha.const_data_ptr<float>();
    view.depth = data::ImageF(36, 48, 1);
    for (int64_t p = 0; p < 36 * 48; ++p)
      view.depth.pixels[static_cast<size_t>(p)] = alpha[p] > 0.8f ? z[p] : 0.0f;
    const bool trained = i % 3 == 0;
    if (trained) {
      const Eigen::Matrix4d world_from_cam = view.camera.cam_from_world.inverse();
      for (uint64_t k = 0; k < 120; ++k) {
        const auto p =
            static_cast<int64_t>(36 * 48 * random.uniform(1000 * static_cast<uint64_t>(i) + k));
        const double d = view.depth.pixels[static_cast<size_t>(p)];
        if (d == 0) continue;
        const Eigen::Vector3d ray(
            (static_cast<double>(p % 48) + 0.5 - view.camera.cx) / view.camera.fx,
            (static_cast<double>(p / 48) + 0.5 - view.camera.cy) / view.camera.fy, 1);
        view.seen_points.push_back(static_cast<uint32_t>(capture.points.positions.size()));
        capture.points.positions.push_back(
            (world_from_cam * (d * ray).homogeneous()).head<3>().cast<float>());
        capture.points.colors.emplace_back(128, 128, 128);
      }
    }
    (trained ? capture.train : capture.test).push_back(i);
    capture.views.push_back(std::move(view));
  }
  return capture;
}

TEST(SparseDepth, BringsAFewViewsNearerToTheTruth) {
  const scene::Cloud truth = small_cloud(60, 0);
  const scene::Capture capture = few_views(truth);
  TrainOptions o;
  o.steps = 1000;
  o.strategy = "none";
  o.sh_degree = 0;
  struct Outcome {
    double depth_error = 0, psnr = 0;
  };
  const auto outcome = [&](double weight) {
    o.loss.sparse_depth_weight = weight;
    scene::Capture given = capture;
    for (scene::View& v : given.views) v.depth = {};
    Trainer trainer(given, o);
    trainer.start(1);
    while (trainer.steps_done() < o.steps) trainer.step();
    const at::NoGradGuard no_gradient;
    std::vector<double> errors;
    Outcome out;
    for (const int64_t i : capture.test) {
      const scene::View& v = capture.views[static_cast<size_t>(i)];
      const render::Rendered r = render::rasterize(activated(trainer.cloud()),
                                                   render::views_of({v.camera}), {.depth = true});
      for (size_t p = 0; p < v.depth.pixels.size(); ++p)
        if (v.depth.pixels[p] > 0)
          errors.push_back(std::abs(r.depth.const_data_ptr<float>()[p] - v.depth.pixels[p]));
    }
    std::nth_element(errors.begin(),
                     errors.begin() + static_cast<std::ptrdiff_t>(errors.size() / 2), errors.end());
    out.depth_error = errors[errors.size() / 2];
    out.psnr = evaluate(trainer.cloud(), capture, {.progress = false}).psnr;
    return out;
  };
  const Outcome without = outcome(0), with = outcome(0.1);
  EXPECT_LT(with.depth_error, 0.7 * without.depth_error) << without.depth_error;
  EXPECT_GT(with.psnr, without.psnr - 0.2) << with.psnr;
}

TEST(SparseDepth, AWeightOfNothingChangesNoBitAndPointsWithoutTracksAreRefused) {
  const scene::Capture seen = few_views(small_cloud(60, 0));
  scene::Capture unseen = seen;
  for (scene::View& v : unseen.views) v.seen_points.clear();
  at::Tensor means[2];
  for (const int k : {0, 1}) {
    TrainOptions o;
    o.steps = 10;
    Trainer trainer(k ? seen : unseen, o);
    trainer.start(1);
    while (trainer.steps_done() < o.steps) trainer.step();
    means[k] = trainer.cloud().means.clone();
  }
  EXPECT_TRUE(means[0].equal(means[1]));
  TrainOptions o;
  o.loss.sparse_depth_weight = 0.1;
  try {
    const Trainer trainer(unseen, o);
    FAIL() << "taken";
  } catch (const Error& e) {
    EXPECT_EQ(e.code(), ExitCode::kData);
    EXPECT_NE(e.message().find("says which points it sees"), std::string::npos);
    EXPECT_NE(e.hint().find("COLMAP"), std::string::npos);
  }
}

TEST(SparseDepth, CoarsePhotosHaveTheTermToo) {
  TrainOptions o;
  o.steps = 20;
  o.resolution_schedule = "2:0.5";
  o.loss.sparse_depth_weight = 0.1;
  Trainer trainer(few_views(small_cloud(60, 0)), o);
  trainer.start(1);
  EXPECT_EQ(trainer.division(), 2);
  EXPECT_GT(trainer.step().terms.at("sparse_depth"), 0);
}

TEST(DepthTerms, SameBitsOnOneAndTwoThreads) {
  at::Tensor means[2];
  for (const int n : {1, 2}) {
    set_threads(n);
    TrainOptions o;
    o.steps = 20;
    o.loss.depth_weight = 1;
    o.loss.normal_weight = 0.1;
    o.loss.sparse_depth_weight = 0.1;
    scene::Capture capture = shaped_capture();
    for (scene::View& v : capture.views) v.seen_points = {0, 3, 9, 20, 31};
    Trainer trainer(capture, o);
    trainer.start(1);
    while (trainer.steps_done() < o.steps) trainer.step();
    means[n - 1] = trainer.cloud().means.clone();
  }
  set_threads(0);
  EXPECT_TRUE(means[0].equal(means[1]));
}

}  // namespace
}  // namespace covary::fit
