#include "covary/splat/render/fast.h"

#include <cmath>

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/test_tensors.h"
#include "covary/core/eval/image.h"
#include "covary/splat/render/truth_splats.h"

namespace covary::render {
namespace {

at::Tensor normal(uint64_t stream, at::IntArrayRef shape) {
  return compute::test_normal(9, stream, shape).to(at::kFloat);
}

scene::Camera camera(double angle = 0) {
  scene::Camera c;
  c.width = 61;
  c.height = 45;
  c.fx = c.fy = 60;
  c.cx = 30.5;  // the axis goes through a pixel's centre
  c.cy = 22.5;
  c.cam_from_world.topLeftCorner<3, 3>() =
      Eigen::AngleAxisd(angle, Eigen::Vector3d::UnitY()).toRotationMatrix();
  c.cam_from_world(2, 3) = 5;
  return c;
}

// Around the origin, and as many far to all sides, where cameras at 5 from the origin see few of them.
Primitives random_scene(int64_t n, int64_t bands = 16) {
  Primitives g;
  g.means = at::cat({normal(1, {n, 3}), normal(2, {n, 3}) * 40}, 0);
  g.quats = normal(3, {2 * n, 4});
  g.scales = (normal(4, {2 * n, 3}) * 0.5).exp() * 0.15;
  g.opacities = normal(5, {2 * n}).sigmoid();
  g.sh0 = normal(6, {2 * n, 1, 3}) * 0.5;
  if (bands > 1) g.shN = normal(7, {2 * n, bands - 1, 3}) * 0.2;
  return g;
}

// Round Gaussians on the optical axis or beside it.
Primitives round_gaussians(const std::vector<std::array<float, 5>>& x_y_z_size_opacity) {
  const auto n = static_cast<int64_t>(x_y_z_size_opacity.size());
  Primitives g;
  g.means = at::empty({n, 3});
  g.scales = at::empty({n, 3});
  g.opacities = at::empty({n});
  for (int64_t i = 0; i < n; ++i) {
    const auto& v = x_y_z_size_opacity[static_cast<size_t>(i)];
    g.means[i] = at::tensor({v[0], v[1], v[2]});
    g.scales[i].fill_(v[3]);
    g.opacities[i] = v[4];
  }
  g.quats = at::tensor({1.0F, 0.0F, 0.0F, 0.0F}).repeat({n, 1});
  g.sh0 = at::zeros({n, 1, 3});
  return g;
}

std::vector<int64_t> numbers(const at::Tensor& t) {
  return {t.const_data_ptr<int64_t>(), t.const_data_ptr<int64_t>() + t.numel()};
}

Pruned all_of(const Primitives& g) {
  const int64_t n = g.means.size(0);
  return {at::arange(n), g.opacities, at::full({n}, 1000.0)};
}

double worst_psnr(FastScene& fast, const Primitives& g, const std::vector<scene::Camera>& cameras) {
  double worst = 1000;
  for (const auto& c : cameras)
    worst = std::min(worst, eval::psnr(fast.draw(c, {}).color, pictures(g, c, {}).color));
  return worst;
}

TEST(Fast, DropsWhatIsHiddenAndKeepsWhatIsSeen) {
  const Primitives g = round_gaussians({{0, 0, 0, 20, 0.95F},        // three walls
                                        {0, 0, 0.5F, 20, 0.95F},     //
                                        {0, 0, 1, 20, 0.95F},        //
                                        {0, 0, 2, 0.2F, 0.9F},       // behind them
                                        {0, 0, -1, 0.1F, 0.5F},      // before them
                                        {0, 0.3F, -1, 0.2F, 0.01F},  // before them, faint
                                        {0, 0, -20, 0.1F, 0.5F}});   // behind the camera
  const Contributions c = contributions(g, {camera()}, false);
  const auto largest = [&](int64_t i) { return c.largest[i].item<double>(); };
  EXPECT_LT(largest(3), 1e-4);
  EXPECT_NEAR(largest(2), 0.05 * 0.05 * 0.95, 0.002);
  EXPECT_NEAR(largest(4), 0.5, 1e-4);
  EXPECT_NEAR(largest(5), 0.01, 0.002);
  EXPECT_FALSE(c.seen[6].item<bool>());
  EXPECT_THAT(numbers(prune(g, c, 0.02, 0.5).rows), testing::ElementsAre(0, 1, 4, 6));
  EXPECT_THAT(numbers(prune(g, c, 0.005, 0.5).rows), testing::ElementsAre(0, 1, 4, 5, 6));
  EXPECT_THAT(numbers(prune(g, c, 0, 0.5).rows), testing::SizeIs(7));
}

TEST(Fast, ACutGaussianEndsWhereItsWeightIsTheShareAndKeepsItsTotal) {
  const Primitives g = round_gaussians({{0, 0, 0, 0.5F, 0.4F}, {0, 0, -20, 0.5F, 0.4F}});
  const Contributions c = contributions(g, {camera()}, false);
  const double largest = c.largest[0].item<double>(), threshold = 0.1;
  const Pruned p = prune(g, c, threshold, 0.25);
  const double reach = p.reach[0].item<double>();
  EXPECT_NEAR(largest / reach, threshold / 4, 1e-6);
  // The integral of opacity exp(-q / 2) over {q <= 2 ln r} is proportional to opacity (1 - 1 / r).
  EXPECT_NEAR(p.opacities[0].item<double>() * (1 - 1 / reach), 0.4 * (1 - 1 / (255 * 0.4)), 1e-5);
  EXPECT_EQ(p.opacities[1].item<float>(), 0.4F);  // that no view holds
}

TEST(Fast, ContributionsAreTheLargestOfAllPixels) {
  const Primitives g = random_scene(40);
  const int64_t n = g.means.size(0);
  RasterizeOptions how;
  how.top_k = static_cast<int>(n);
  const std::vector<scene::Camera> cameras = {camera(), camera(1.1)};
  const Rendered r = rasterize(g, views_of(cameras), how);
  at::Tensor expected = at::zeros({n + 1});  // -1, none, counts for the last
  const at::Tensor ids = r.topk_ids.flatten();
  expected.scatter_reduce_(0, at::where(ids < 0, n, ids), r.topk_weights.flatten(), "amax");
  compute::on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    const Contributions c = contributions(g, cameras, false);
    EXPECT_LT((c.largest - expected.narrow(0, 0, n)).abs().max().item<double>(), 1e-4);
    EXPECT_GT(c.largest.max().item<double>(), 0.5);
  });
}

TEST(Fast, PackedScenesDrawTheSamePicture) {
  for (const int64_t bands : {1, 4, 16}) {
    const Primitives g = in_morton_order(random_scene(300, bands));
    const compute::PackedScene packed = pack(g, all_of(g));
    EXPECT_EQ(packed.count, 600);
    EXPECT_EQ(packed.groups.size(), 10U);
    for (const auto projection : {scene::Projection::kPinhole, scene::Projection::kOrthographic,
                                  scene::Projection::kFisheye})
      for (const bool antialiased : {false, true}) {
        scene::Camera c = camera(0.4);
        c.projection = projection;
        if (projection == scene::Projection::kOrthographic) c.fx = c.fy = 15;
        compute::ProjectOptions how;
        how.shape.antialiased = antialiased;
        const auto exact = rasterize(g, views_of({c}), {.antialiased = antialiased});
        compute::on_every_target([&](const char* target) {
          SCOPED_TRACE(target);
          compute::PackedView view;
          compute::project_packed(packed, parameters_of(c), how, view);
          // What lies on the border of being seen may fall to either side by rounding.
          EXPECT_NEAR(static_cast<double>(view.count),
                      static_cast<double>(exact.footprints[0].ids.numel()), 4);
        });
        FastScene fast(g, {c}, {.psnr = 45, .antialiased = antialiased});
        EXPECT_GT(fast.facts().psnr_packed, 50);
        EXPECT_GE(eval::psnr(fast.draw(c, {}).color, exact.color[0]), 45);
        EXPECT_LT((fast.draw(c, {}).alpha - exact.alpha[0]).abs().mean().item<double>(), 0.02);
      }
  }
}

TEST(Fast, KeepsTheAskedPsnrOnTheSampleScene) {
  SplatsOptions sample;
  sample.count = 3000;
  sample.camera.views = 20;
  const SplatsTruth truth = make_splats(sample, {});
  const Primitives g = primitives_of(truth.cloud);
  for (const double psnr : {40.0, 50.0}) {
    FastScene fast(g, truth.cameras, {.psnr = psnr});
    const FastFacts& f = fast.facts();
    EXPECT_GE(f.psnr, psnr);
    EXPECT_GE(worst_psnr(fast, g, truth.cameras), psnr - 1);  // views that no one compared
    EXPECT_GT(f.threshold, 0);
    EXPECT_LE(f.kept, f.gaussians);
    EXPECT_EQ(f.gaussians, 3000);
    EXPECT_EQ(f.judged, 20);
    EXPECT_EQ(f.compared, 8);
    EXPECT_EQ(f.checked, 4);
  }
  const std::vector<scene::Camera> few(truth.cameras.begin(), truth.cameras.begin() + 3);
  FastScene fast(g, few, {.psnr = 40});
  EXPECT_GE(worst_psnr(fast, g, few), 40);  // every one of them is compared
  EXPECT_NEAR(worst_psnr(fast, g, few), fast.facts().psnr, 1e-6);
}

TEST(Fast, DrawsTheSameBitsOnAnyNumberOfThreads) {
  const Primitives g = random_scene(2000);
  const std::vector<scene::Camera> cameras = {camera(), camera(0.5)};
  FastScene first(g, cameras, {});
  const at::Tensor picture = first.draw(cameras[0], {}).color;
  set_threads(1);
  FastScene second(g, cameras, {});
  EXPECT_TRUE(at::equal(second.draw(cameras[0], {}).color, picture));
  set_threads(0);
  EXPECT_EQ(first.facts().threshold, second.facts().threshold);
  EXPECT_EQ(first.facts().share, second.facts().share);
}

TEST(Fast, DrawsTheBackgroundWhereNothingIsLeft) {
  Primitives g = round_gaussians({{0, 0, -20, 0.1F, 0.5F}, {0, 0, 0, 0.1F, 0.5F}});
  g.means[1][0] = std::nanf("");
  FastScene fast(g, {camera()}, {});
  EXPECT_EQ(fast.facts().kept, 1);  // what is no number is left out
  PictureOptions how;
  how.background = at::tensor({0.25F, 0.5F, 0.75F});
  how.supersample = 2;
  const Pictures p = pictures(fast, camera(), how);
  EXPECT_TRUE(at::equal(p.color, how.background.expand({45, 61, 3})));
  EXPECT_EQ(p.alpha.abs().max().item<float>(), 0);
}

TEST(Fast, RefusesWhatItCannotKeep) {
  const Primitives g = random_scene(50);
  const auto hint_of = [&](const Primitives& what, const std::vector<scene::Camera>& cameras,
                           const FastOptions& options) {
    try {
      FastScene fast(what, cameras, options);
    } catch (const Error& e) {
      return std::string(e.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_THAT(hint_of(g, {camera()}, {.psnr = 100}), testing::HasSubstr("16-bit numbers keep"));
  EXPECT_THAT(hint_of(g, {camera()}, {.psnr = -1}), testing::HasSubstr("no PSNR"));
  EXPECT_THAT(hint_of(g, {camera()}, {.judged = 0}), testing::HasSubstr("at least one view"));
  EXPECT_THAT(hint_of(g, {}, {}), testing::HasSubstr("no camera"));
  Primitives no_colors = g;
  no_colors.sh0 = at::Tensor();
  EXPECT_THAT(hint_of(no_colors, {camera()}, {}), testing::HasSubstr("SH colours"));
  FastScene fast(g, {camera()}, {});
  PictureOptions how;
  how.depth = true;
  EXPECT_THROW(pictures(fast, camera(), how), Error);
}

}  // namespace
}  // namespace covary::render
