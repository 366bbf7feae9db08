// The rasteriser's operators: gradients against finite differences in double, closed forms,
// invariances, and the SIMD kernels against the reference.
#include "covary/core/compute/rasterize/op.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/rasterize/rasterize.h"
#include "covary/core/compute/test_tensors.h"

namespace covary::compute {
namespace {

at::Tensor normal(uint64_t stream, at::IntArrayRef shape) {
  return compute::test_normal(7, stream, shape);
}

struct Scene {
  ProjectTensors in;
  at::Tensor features, background;
  int width = 40, height = 28, kind = 0;
  ProjectOptions options;
  TileGrid grid() const { return {.width = width, .height = height}; }
};

// n Gaussians a few units before a camera that looks a little askance.
Scene make_scene(int64_t n, at::ScalarType type, int kind = 0, bool covariances = false,
                 double size = 0.25) {
  Scene s;
  s.kind = kind;
  at::Tensor means = normal(1, {n, 3});
  means.select(1, 2).mul_(0.8).add_(4.5);
  at::Tensor pose = at::eye(4, at::kDouble);
  const double a = 0.2;
  pose.index_put_({0, 0}, std::cos(a));
  pose.index_put_({0, 2}, std::sin(a));
  pose.index_put_({2, 0}, -std::sin(a));
  pose.index_put_({2, 2}, std::cos(a));
  pose.index_put_({0, 3}, -0.5);
  pose.index_put_({1, 3}, 0.1);
  at::Tensor quats = normal(2, {n, 4}), scales = (normal(3, {n, 3}) * 0.4).exp() * size;
  at::Tensor opacities = (normal(4, {n}) * 1.2).sigmoid() * 0.9 + 0.02;
  at::Tensor k = at::tensor({42.0, 40.0, 19.3, 14.9}, at::kDouble);
  if (kind == 1) k = at::tensor({9.0, 8.0, 19.3, 14.9}, at::kDouble);
  if (kind == 2) k = at::tensor({30.0, 29.0, 19.3, 14.9}, at::kDouble);
  s.in = {means.to(type), quats.to(type), scales.to(type), {}, opacities.to(type), {},
          pose.to(type),  k.to(type)};
  if (covariances) {
    const at::Tensor b = normal(8, {n, 3, 3}) * size;
    const at::Tensor c = b.matmul(b.transpose(1, 2)) + 0.01 * at::eye(3, at::kDouble);
    s.in.covariances =
        c.reshape({n, 9}).index_select(1, at::tensor({0, 1, 2, 4, 5, 8}, at::kLong)).to(type);
    s.in.quats = s.in.scales = at::Tensor();
  }
  s.features = normal(5, {n, 3}).abs().to(type);
  s.background = at::tensor({0.2, 0.5, 0.7}, at::kDouble).to(type);
  return s;
}

// The same primitives with another footprint; shapes of generalised ones are spread about 2.
Scene with_footprint(Scene s, const std::string& name) {
  s.options.footprint = footprint_index(name);
  if (footprint_extras(s.options.footprint) > 0) {
    const int64_t n = s.in.means.size(0);
    s.in.extras =
        (normal(9, {n, 1}) * 0.7).exp().mul(2.2).clamp(1.1, 7.5).to(s.in.means.scalar_type());
  }
  return s;
}

struct Output {
  at::Tensor image, transmittance, depth_sum;
  ProjectedTensors splats;
  at::Tensor screen_gradients;
  std::shared_ptr<const TileLists> lists;
};
Output render(const Scene& s, bool exact = true, TileGrid grid = {}) {
  if (grid.width == 0) grid = s.grid();
  Output o;
  o.splats = project(s.in, s.width, s.height, s.kind, s.options);
  // the depth rides along as a channel, so that its gradient is tested too
  const at::Tensor f =
      at::cat({s.features.index_select(0, o.splats.ids), o.splats.depths.unsqueeze(1) * 0.1}, 1);
  const at::Tensor b = at::cat({s.background, at::zeros({1}, s.background.options())});
  o.lists = tile_lists(o.splats, s.options.footprint, grid, exact);
  o.screen_gradients = at::zeros({o.splats.ids.size(0), 4}, s.in.means.options());
  const Composited c =
      composite(o.splats, f, b, s.options.footprint, grid, o.lists, o.screen_gradients);
  o.image = c.image;
  o.transmittance = c.transmittance;
  return o;
}
at::Tensor loss(const Output& o) {
  const at::Tensor w = normal(11, o.image.sizes()).to(o.image.scalar_type());
  const at::Tensor u = normal(12, o.transmittance.sizes()).to(o.image.scalar_type());
  return (o.image * w).sum() + (o.transmittance * u).sum();
}

using Member = at::Tensor ProjectTensors::*;

// Central differences of every element against autograd; relative to the largest gradient of the
// tensor.
void expect_gradients_match(Scene s) {
  std::vector<std::pair<std::string, at::Tensor*>> wanted = {
      {"means", &s.in.means},         {"quats", &s.in.quats},
      {"scales", &s.in.scales},       {"covariances", &s.in.covariances},
      {"opacities", &s.in.opacities}, {"extras", &s.in.extras},
      {"pose", &s.in.cam_from_world}, {"intrinsics", &s.in.intrinsics},
      {"features", &s.features},      {"background", &s.background}};
  for (auto& [name, t] : wanted)
    if (t->defined()) t->requires_grad_(true);
  loss(render(s)).backward();
  const at::NoGradGuard no_gradient;
  for (auto& [name, t] : wanted) {
    if (!t->defined()) continue;
    const at::Tensor g = t->grad();
    ASSERT_TRUE(g.defined()) << name;
    const double scale = g.abs().max().item<double>();
    EXPECT_GT(scale, 0) << name << ": the test sees no gradient";
    double* x = t->mutable_data_ptr<double>();
    int64_t count = t->numel();
    if (name == "pose") count = 12;
    for (int64_t i = 0; i < count; ++i) {
      const double keep = x[i], h = 1e-6;
      x[i] = keep + h;
      const double up = loss(render(s)).item<double>();
      x[i] = keep - h;
      const double down = loss(render(s)).item<double>();
      x[i] = keep;
      EXPECT_NEAR(g.flatten()[i].item<double>(), (up - down) / (2 * h), 1e-4 * scale)
          << name << " " << i;
    }
  }
}

// Those that are made of a mean and a covariance; convexes have tests of their own.
std::vector<std::string> footprints_of_gaussians() {
  std::vector<std::string> names = footprint_names();
  std::erase(names, "convex");
  return names;
}

TEST(RasterizeGradients, PinholeMatchesFiniteDifferences) {
  expect_gradients_match(make_scene(12, at::kDouble));
}
TEST(RasterizeGradients, AntialiasedMatchesFiniteDifferences) {
  Scene s = make_scene(12, at::kDouble, 0, false, 0.1);
  s.options.shape.antialiased = true;
  expect_gradients_match(s);
}
TEST(RasterizeGradients, OrthographicMatchesFiniteDifferences) {
  expect_gradients_match(make_scene(10, at::kDouble, 1));
}
TEST(RasterizeGradients, FisheyeMatchesFiniteDifferences) {
  expect_gradients_match(make_scene(12, at::kDouble, 2));
}
TEST(RasterizeGradients, FisheyeNearTheAxisMatchesFiniteDifferences) {
  Scene s = make_scene(3, at::kDouble, 2);
  s.in.cam_from_world = at::eye(4, at::kDouble);
  s.in.means =
      at::tensor({0.01, 0.02, 4.0, 0.3, 0.2, 5.0, -0.41, 0.05, 4.5}, at::kDouble).view({3, 3});
  expect_gradients_match(s);
}
TEST(RasterizeGradients, CovariancesMatchFiniteDifferences) {
  expect_gradients_match(make_scene(10, at::kDouble, 0, true));
}
TEST(RasterizeGradients, BesideTheFrustumWhereTheJacobianIsClamped) {
  Scene s = make_scene(4, at::kDouble, 0, false, 1.2);
  s.in.means.select(1, 0).add_(3.4);
  expect_gradients_match(s);
}

TEST(RasterizeGradients, AnalyticMatchesFiniteDifferences) {
  for (const double size : {0.25, 0.05, 0.01}) {  // px: 2, 1/2, 1/10
    SCOPED_TRACE(size);
    Scene s = with_footprint(make_scene(10, at::kDouble, 0, false, size), "analytic");
    if (size < 0.1) s.in.means.narrow(1, 0, 2).mul_(0.3);
    s.in.opacities = s.in.opacities * 0.2 + 0.75;
    expect_gradients_match(s);
  }
}
TEST(RasterizeGradients, AnalyticCovariancesMatchFiniteDifferences) {
  expect_gradients_match(with_footprint(make_scene(8, at::kDouble, 2, true), "analytic"));
}
TEST(RasterizeGradients, AnalyticNearlyRoundMatchesFiniteDifferences) {
  Scene s = with_footprint(make_scene(6, at::kDouble, 1), "analytic");
  s.in.scales = at::full({6, 3}, 0.1, at::kDouble) * (1 + 0.01 * normal(3, {6, 3}));
  expect_gradients_match(s);
}
TEST(RasterizeGradients, GeneralizedMatchesFiniteDifferences) {
  Scene s = with_footprint(make_scene(12, at::kDouble), "generalized");
  const double shapes[] = {1.2, 1.5, 2.0, 3.0, 6.0};
  for (int64_t i = 0; i < 12; ++i) s.in.extras[i][0] = shapes[i % 5];
  expect_gradients_match(s);
}

TEST(Rasterize, GeneralizedOfShapeTwoIsTheGaussian) {
  for (const auto type : {at::kDouble, at::kFloat}) {
    for (const bool antialiased : {false, true}) {
      std::vector<at::Tensor> images, gradients;
      for (const char* name : {"gaussian", "generalized"}) {
        Scene s = with_footprint(make_scene(400, type, 0, false, 0.1), name);
        if (s.in.extras.defined()) s.in.extras.fill_(2);
        s.options.shape.antialiased = antialiased;
        std::vector<at::Tensor> all;
        for (at::Tensor* t : {&s.in.means, &s.in.quats, &s.in.scales, &s.in.opacities, &s.features})
          t->requires_grad_(true);
        const Output o = render(s);
        loss(o).backward();
        images.push_back(o.image.detach());
        for (at::Tensor* t : {&s.in.means, &s.in.quats, &s.in.scales, &s.in.opacities, &s.features})
          all.push_back(t->grad().flatten());
        gradients.push_back(at::cat(all));
      }
      EXPECT_TRUE(at::equal(images[0], images[1]));
      if (type == at::kDouble) {
        EXPECT_TRUE(at::equal(gradients[0], gradients[1]));
      } else {  // lanes are added up in another order
        EXPECT_LT((gradients[0] - gradients[1]).abs().max().item<double>(),
                  1e-6 * gradients[0].abs().max().item<double>());
      }
    }
  }
}

TEST(Rasterize, OneIsotropicGaussianIsItsClosedForm) {
  Scene s = make_scene(1, at::kDouble);
  s.in.means = at::tensor({0.0, 0.0, 4.0}, at::kDouble).view({1, 3});
  s.in.cam_from_world = at::eye(4, at::kDouble);
  s.in.intrinsics = at::tensor({40.0, 40.0, 20.0, 14.0}, at::kDouble);
  s.in.scales = at::full({1, 3}, 0.3, at::kDouble);
  s.in.opacities = at::full({1}, 0.8, at::kDouble);
  const Output o = render(s);
  const double variance = std::pow(0.3 * 40 / 4, 2) + 0.3;
  for (int y = 0; y < s.height; ++y)
    for (int x = 0; x < s.width; ++x) {
      const double r2 = std::pow(x + 0.5 - 20, 2) + std::pow(y + 0.5 - 14, 2);
      double alpha = 0.8 * std::exp(-0.5 * r2 / variance);
      if (alpha < 1.0 / 255) alpha = 0;
      EXPECT_NEAR(o.transmittance[y][x].item<double>(), 1 - alpha, 1e-12) << x << " " << y;
      for (int c = 0; c < 3; ++c)
        ASSERT_NEAR(
            o.image[y][x][c].item<double>(),
            alpha * s.features[0][c].item<double>() + (1 - alpha) * s.background[c].item<double>(),
            1e-12);
    }
}

TEST(Rasterize, NearerOneComesFirstAndSwapsWithDepth) {
  Scene s = make_scene(2, at::kDouble);
  s.in.cam_from_world = at::eye(4, at::kDouble);
  s.in.means = at::tensor({0.0, 0.0, 4.0, 0.0, 0.0, 5.0}, at::kDouble).view({2, 3});
  s.in.scales = at::full({2, 3}, 1.0, at::kDouble);
  s.in.opacities = at::tensor({0.9, 0.9}, at::kDouble);
  s.features = at::tensor({1.0, 0.0, 0.0, 0.0, 1.0, 0.0}, at::kDouble).view({2, 3});
  const at::Tensor front_red = render(s).image[14][19];
  EXPECT_GT(front_red[0].item<double>(), 0.8);
  EXPECT_LT(front_red[1].item<double>(), 0.2);
  s.in.means[1][2] = 3.0;
  const at::Tensor front_green = render(s).image[14][19];
  EXPECT_GT(front_green[1].item<double>(), 0.8);
  EXPECT_LT(front_green[0].item<double>(), 0.2);
}

TEST(Rasterize, OrderOfInputsLeavesTheImageBitEqual) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    Scene s = make_scene(60, type);
    const at::Tensor image = render(s).image;
    const std::vector<int64_t> p = Random(3, 1).permutation(60);
    const at::Tensor order = at::tensor(p, at::kLong);
    for (at::Tensor* t : {&s.in.means, &s.in.quats, &s.in.scales, &s.in.opacities, &s.features})
      *t = t->index_select(0, order);
    EXPECT_TRUE(at::equal(image, render(s).image));
  }
}

TEST(Rasterize, WeightsAndTransmittanceSumToOne) {
  const Scene s = make_scene(80, at::kDouble);
  const Output o = render(s);
  const Inspected i = inspect(o.splats, 0, s.grid(), *o.lists, 0, false, true);
  EXPECT_NEAR(i.weight_sums.sum().item<double>() + o.transmittance.sum().item<double>(),
              s.width * s.height, 1e-6 * s.width * s.height);
  EXPECT_GT(i.hits.sum().item<int64_t>(), s.width * s.height / 4);
}

TEST(Rasterize, ExactTilesDropPairsAndChangeNothing) {
  for (const std::string& footprint : footprints_of_gaussians()) {
    SCOPED_TRACE(footprint);
    const Scene s = with_footprint(make_scene(200, at::kFloat, 0, false, 0.1), footprint);
    const Output exact = render(s, true), box = render(s, false);
    EXPECT_LT(exact.lists->pairs(), box.lists->pairs());
    EXPECT_TRUE(at::equal(exact.image, box.image));
  }
}

TileGrid strided(const Scene& s, int d, int ox, int oy) {
  return {.width = (s.width - ox + d - 1) / d,
          .height = (s.height - oy + d - 1) / d,
          .stride = d,
          .offset_x = ox,
          .offset_y = oy};
}

void expect_strides_to_interleave(const Scene& s, int d) {
  const Output whole = render(s);
  at::Tensor image = at::zeros_like(whole.image), left = at::zeros_like(whole.transmittance);
  for (int oy = 0; oy < d; ++oy)
    for (int ox = 0; ox < d; ++ox) {
      const Output part = render(s, true, strided(s, d, ox, oy));
      image.slice(0, oy, at::nullopt, d).slice(1, ox, at::nullopt, d).copy_(part.image);
      left.slice(0, oy, at::nullopt, d).slice(1, ox, at::nullopt, d).copy_(part.transmittance);
    }
  EXPECT_TRUE(at::equal(image, whole.image));
  EXPECT_TRUE(at::equal(left, whole.transmittance));
}

// At strides that divide neither side, too.
TEST(Rasterize, StridedImagesInterleaveToTheFullOneBitForBitForEveryFootprint) {
  const at::NoGradGuard no_gradient;
  for (const std::string& footprint : footprints_of_gaussians())
    for (const int d : {2, 3}) {
      SCOPED_TRACE(footprint + " " + std::to_string(d));
      expect_strides_to_interleave(
          with_footprint(make_scene(60, at::kDouble, 0, false, 0.1), footprint), d);
      const Scene s = with_footprint(make_scene(200, at::kFloat, 0, false, 0.1), footprint);
      on_every_target([&](const char* target) {
        SCOPED_TRACE(target);
        expect_strides_to_interleave(s, d);
      });
    }
}

TEST(Rasterize, GradientsOfStridedImagesSumToThoseOfTheFullOneForEveryFootprint) {
  for (const auto type : {at::kFloat, at::kDouble})
    for (const std::string& footprint : footprints_of_gaussians()) {
      SCOPED_TRACE(footprint);
      constexpr int d = 2;
      const Scene plain = with_footprint(make_scene(80, type, 0, false, 0.15), footprint);
      const at::Tensor v_image = normal(30, {plain.height, plain.width, 4}).to(type),
                       v_left = normal(31, {plain.height, plain.width}).to(type);
      const auto gradients = [&](const std::vector<TileGrid>& grids) {
        Scene s = plain;
        std::vector<at::Tensor*> inputs = {&s.in.means,     &s.in.quats, &s.in.scales,
                                           &s.in.opacities, &s.features, &s.background};
        if (s.in.extras.defined()) inputs.push_back(&s.in.extras);
        for (at::Tensor* t : inputs) *t = t->detach().clone().requires_grad_(true);
        for (const TileGrid& g : grids) {
          const Output o = render(s, true, g);
          const auto picked = [&](const at::Tensor& t) {
            return t.slice(0, g.offset_y, at::nullopt, g.stride)
                .slice(1, g.offset_x, at::nullopt, g.stride);
          };
          ((o.image * picked(v_image)).sum() + (o.transmittance * picked(v_left)).sum()).backward();
        }
        std::vector<at::Tensor> out;
        for (const at::Tensor* t : inputs) out.push_back(t->grad());
        return out;
      };
      const auto whole = gradients({plain.grid()});
      const auto parts = gradients({strided(plain, d, 0, 0), strided(plain, d, 1, 0),
                                    strided(plain, d, 0, 1), strided(plain, d, 1, 1)});
      for (size_t i = 0; i < whole.size(); ++i) {
        ASSERT_GT(whole[i].norm().item<double>(), 0) << i;
        EXPECT_LT((whole[i] - parts[i]).norm().item<double>(),
                  (type == at::kFloat ? 2e-5 : 1e-12) * whole[i].norm().item<double>())
            << i;
      }
    }
}

// Of each pixel and channel by itself, from the gradient by the opacity, which is that by the value times value over
// opacity.
TEST(Rasterize, SensitivitiesAreSquaredGradientsByTheValuesOfAllPixels) {
  Scene s = make_scene(25, at::kDouble);
  s.in.opacities.clamp_max_(0.9).requires_grad_(true);
  const TileGrid grid = strided(s, 4, 1, 2);
  const Output o = render(s, true, grid);
  const int64_t m = o.splats.ids.numel();
  std::vector<double> expected(static_cast<size_t>(m));
  for (int64_t y = 0; y < grid.height; ++y)
    for (int64_t x = 0; x < grid.width; ++x)
      for (int64_t c = 0; c < 4; ++c) {
        o.image[y][x][c].backward({}, /*retain_graph=*/true);
        const at::Tensor by_opacity = s.in.opacities.grad().index_select(0, o.splats.ids);
        for (int64_t i = 0; i < m; ++i) {
          const double g = by_opacity[i].item<double>();
          if (g == 0) continue;
          const auto number = [&](const at::Tensor& t, int64_t k) {
            return t[i][k].item<double>();
          };
          const double dx = grid.offset_x + 4 * static_cast<double>(x) + 0.5 -
                            number(o.splats.centres, 0),
                       dy = grid.offset_y + 4 * static_cast<double>(y) + 0.5 -
                            number(o.splats.centres, 1);
          const double value = std::exp(-0.5 * (number(o.splats.params, 0) * dx * dx +
                                                2 * number(o.splats.params, 1) * dx * dy +
                                                number(o.splats.params, 2) * dy * dy));
          const double by_value = g * o.splats.opacities[i].item<double>() / value;
          expected[static_cast<size_t>(i)] += by_value * by_value;
        }
        s.in.opacities.mutable_grad() = at::Tensor();
      }
  const at::NoGradGuard no_gradient;
  const at::Tensor features = at::cat({s.features.index_select(0, o.splats.ids),
                                       o.splats.depths.unsqueeze(1) * 0.1},
                                      1),
                   background = at::cat({s.background, at::zeros({1}, at::kDouble)});
  const at::Tensor sums =
      squared_sensitivities(o.splats, features, background, o.image, 0, grid, *o.lists);
  ASSERT_GT(*std::max_element(expected.begin(), expected.end()), 0.1);
  for (int64_t i = 0; i < m; ++i)
    EXPECT_NEAR(sums[i].item<double>(), expected[static_cast<size_t>(i)],
                1e-9 * (1 + expected[static_cast<size_t>(i)]))
        << i;
}

TEST(Rasterize, SensitivitiesAgreeWithTheReferenceOnEverySimdTargetForEveryFootprint) {
  const at::NoGradGuard no_gradient;
  for (const std::string& footprint : footprints_of_gaussians()) {
    SCOPED_TRACE(footprint);
    const auto sums = [&](at::ScalarType type) {
      const Scene s = with_footprint(make_scene(150, type, 0, false, 0.15), footprint);
      const TileGrid grid = strided(s, 2, 1, 0);
      const Output o = render(s, true, grid);
      const at::Tensor features = at::cat({s.features.index_select(0, o.splats.ids),
                                           o.splats.depths.unsqueeze(1) * 0.1},
                                          1),
                       background = at::cat({s.background, at::zeros({1}, type)});
      return squared_sensitivities(o.splats, features, background, o.image, s.options.footprint,
                                   grid, *o.lists);
    };
    const at::Tensor reference = sums(at::kDouble);
    ASSERT_GT(reference.max().item<double>(), 0.1);
    on_every_target([&](const char* target) {
      SCOPED_TRACE(target);
      EXPECT_LT((sums(at::kFloat) - reference).norm().item<double>(),
                1e-4 * reference.norm().item<double>());
    });
  }
}

TEST(Rasterize, SameBitsForAnyNumberOfThreads) {
  const int before = threads();
  std::vector<at::Tensor> images, gradients, poses;
  for (const int n : {1, 2, 5}) {
    set_threads(n);
    Scene s = make_scene(3000, at::kFloat, 0, false, 0.1);
    for (at::Tensor* t : {&s.in.means, &s.in.scales, &s.in.cam_from_world}) t->requires_grad_(true);
    const Output o = render(s);
    loss(o).backward();
    images.push_back(o.image.detach());
    gradients.push_back(at::cat({s.in.means.grad(), s.in.scales.grad()}));
    poses.push_back(s.in.cam_from_world.grad());
  }
  set_threads(before);
  for (size_t i = 1; i < images.size(); ++i) {
    EXPECT_TRUE(at::equal(images[0], images[i]));
    EXPECT_TRUE(at::equal(gradients[0], gradients[i]));
    EXPECT_TRUE(at::equal(poses[0], poses[i]));
  }
}

TEST(Rasterize, NothingVisibleIsTheBackground) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    Scene s = make_scene(5, type);
    s.in.means.select(1, 2).sub_(100);
    s.in.means.requires_grad_(true);
    const Output o = render(s);
    EXPECT_EQ(o.splats.ids.size(0), 0);
    EXPECT_TRUE(at::equal(o.image.narrow(2, 0, 3), s.background.expand({s.height, s.width, 3})));
    loss(o).backward();
    EXPECT_EQ(s.in.means.grad().abs().sum().item<double>(), 0);
  }
}

TEST(Rasterize, BrokenNumbersAreCulledAndHarmNoOther) {
  Scene s = make_scene(20, at::kFloat);
  const at::Tensor clean = render(s).image;
  const double nan = std::nan("");
  const at::Tensor bad_mean = at::tensor({nan, 0.0, 4.0}, at::kFloat).view({1, 3});
  Scene broken = s;
  broken.in.means =
      at::cat({s.in.means, bad_mean, at::tensor({0.0, 0.0, 4.0}, at::kFloat).view({1, 3})});
  broken.in.quats = at::cat({s.in.quats, at::zeros({2, 4})});
  broken.in.scales = at::cat({s.in.scales, at::full({2, 3}, 0.5)});
  broken.in.opacities = at::cat({s.in.opacities, at::full({2}, 0.5)});
  broken.features = at::cat({s.features, at::ones({2, 3})});
  EXPECT_TRUE(at::equal(render(broken).image, clean));
}

TEST(Rasterize, CulledOnesMayAsWellBeLeftOut) {
  for (const auto type : {at::kFloat, at::kDouble}) {
    Scene s = make_scene(300, type);
    s.in.means.select(1, 0).mul_(3);
    for (at::Tensor* t : {&s.in.means, &s.in.opacities}) t->requires_grad_(true);
    const Output all = render(s);
    loss(all).backward();
    const at::Tensor ids = all.splats.ids;
    ASSERT_GT(ids.size(0), 20);
    ASSERT_LT(ids.size(0), 280);
    Scene packed = s;
    for (at::Tensor* t : {&packed.in.means, &packed.in.quats, &packed.in.scales,
                          &packed.in.opacities, &packed.features})
      *t = t->detach().index_select(0, ids);
    for (at::Tensor* t : {&packed.in.means, &packed.in.opacities}) t->requires_grad_(true);
    const Output part = render(packed);
    loss(part).backward();
    EXPECT_TRUE(at::equal(all.image, part.image));
    EXPECT_TRUE(at::equal(s.in.means.grad().index_select(0, ids), packed.in.means.grad()));
    EXPECT_TRUE(at::equal(s.in.opacities.grad().index_select(0, ids), packed.in.opacities.grad()));
    EXPECT_EQ(s.in.means.grad().abs().sum(1).count_nonzero().item<int64_t>(),
              packed.in.means.grad().abs().sum(1).count_nonzero().item<int64_t>());
  }
}

TEST(Rasterize, TopWeightsAndMedianDepthAgreeWithBruteForce) {
  Scene s = make_scene(50, at::kDouble);
  const Output o = render(s);
  const Inspected i = inspect(o.splats, 0, s.grid(), *o.lists, 4, true, false);
  // feature = one-hot of the splat, so that its image is the splat's weight
  const at::Tensor one_hot = at::eye(o.splats.ids.size(0), at::kDouble);
  const Composited all = composite(o.splats, one_hot, {}, 0, s.grid(), o.lists);
  const auto [weights, ids] = all.image.topk(4, 2);
  EXPECT_TRUE(at::allclose(weights, i.topk_weights, 0, 1e-12));
  const at::Tensor same = (ids == i.topk) | (weights == 0);
  EXPECT_TRUE(same.all().item<bool>());
  const at::Tensor has_median = o.transmittance < 0.5;
  EXPECT_TRUE(at::equal(has_median, i.median_depth > 0));
}

// The SIMD kernels (float) against the reference (double).
void expect_agreement_with_the_reference() {
  struct Case {
    int64_t n;
    int kind;
    bool covariances, antialiased;
    double size;
    int channels;
    const char* footprint = "gaussian";
  };
  for (const Case c : {Case{300, 0, false, false, 0.15, 3}, Case{300, 0, false, true, 0.02, 3},
                       Case{100, 1, true, false, 0.2, 5}, Case{100, 2, false, false, 0.2, 3},
                       Case{1, 0, false, false, 3.0, 3}, Case{2000, 0, false, false, 0.6, 1},
                       Case{300, 0, false, false, 0.15, 3, "analytic"},
                       Case{300, 0, false, false, 0.02, 5, "analytic"},
                       Case{100, 1, true, false, 0.4, 2, "analytic"},
                       Case{300, 0, false, false, 0.15, 3, "generalized"},
                       Case{100, 2, false, true, 0.3, 1, "generalized"}}) {
    SCOPED_TRACE(testing::Message()
                 << c.footprint << " " << c.n << " kind " << c.kind << " channels " << c.channels);
    std::vector<at::Tensor> image, gradient, screen;
    for (const auto type : {at::kDouble, at::kFloat}) {
      Scene s = with_footprint(make_scene(c.n, type, c.kind, c.covariances, c.size), c.footprint);
      s.width = 75;
      s.height = 53;
      s.in.intrinsics = s.in.intrinsics * 1.8;
      s.options.shape.antialiased = c.antialiased;
      s.features = normal(5, {c.n, c.channels}).abs().to(type);
      s.background = at::full({c.channels}, 0.3, at::kDouble).to(type);
      std::vector<at::Tensor*> inputs = {&s.in.means,          &s.in.opacities,  &s.features,
                                         &s.in.cam_from_world, &s.in.intrinsics, &s.background};
      if (c.covariances) {
        inputs.push_back(&s.in.covariances);
      } else {
        inputs.push_back(&s.in.quats);
        inputs.push_back(&s.in.scales);
      }
      if (s.in.extras.defined()) inputs.push_back(&s.in.extras);
      for (at::Tensor* t : inputs) t->requires_grad_(true);
      const Output o = render(s);
      loss(o).backward();
      image.push_back(o.image.detach().to(at::kDouble));
      std::vector<at::Tensor> flat;
      for (at::Tensor* t : inputs)
        flat.push_back(
            (t->grad() / t->grad().abs().max().clamp_min(1e-12)).flatten().to(at::kDouble));
      gradient.push_back(at::cat(flat));
      screen.push_back(o.screen_gradients.to(at::kDouble));
    }
    // A pixel at a threshold (1/255, 0.99, 1e-4) may fall on either side: single ones may differ,
    // the rest may not.
    const at::Tensor wrong = (image[0] - image[1]).abs() > 2e-4;
    EXPECT_LT(wrong.to(at::kDouble).mean().item<double>(), 2e-3);
    EXPECT_LT((image[0] - image[1]).abs().max().item<double>(),
              0.02 * image[0].abs().max().item<double>());
    const at::Tensor off = (gradient[0] - gradient[1]).abs() > 2e-3;
    EXPECT_LT(off.to(at::kDouble).mean().item<double>(), 5e-3);
    ASSERT_EQ(screen[0].sizes(), screen[1].sizes());
    EXPECT_LT((screen[0] - screen[1]).norm().item<double>(),
              0.01 * screen[0].norm().item<double>());
  }
}

TEST(Rasterize, EverySimdTargetAgreesWithTheReference) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    expect_agreement_with_the_reference();
  });
}

TEST(Rasterize, LargestWeightsAreThoseOfThePixelsOnEverySimdTarget) {
  const int64_t n = 60;
  const Scene s = make_scene(n, at::kFloat);
  const Output o = render(s);
  const int64_t m = o.splats.ids.numel();
  const Inspected i = inspect(o.splats, 0, s.grid(), *o.lists, static_cast<int>(m), false, false);
  std::vector<float> expected(static_cast<size_t>(m));
  const at::Tensor ids = i.topk.flatten(), weights = i.topk_weights.flatten();
  for (int64_t k = 0; k < ids.numel(); ++k) {
    const int64_t id = ids[k].item<int64_t>();
    if (id < 0) continue;
    float& largest = expected[static_cast<size_t>(id)];
    largest = std::max(largest, weights[k].item<float>());
  }
  EXPECT_GT(*std::max_element(expected.begin(), expected.end()), 0.5);
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    std::vector<float> largest(static_cast<size_t>(m), -1.0f);
    largest_weights({.count = m,
                     .grid = s.grid(),
                     .lists = o.lists.get(),
                     .centres = o.splats.centres.const_data_ptr<float>(),
                     .params = o.splats.params.const_data_ptr<float>(),
                     .opacities = o.splats.opacities.const_data_ptr<float>(),
                     .extents = o.splats.extents.const_data_ptr<float>()},
                    largest.data());
    EXPECT_THAT(largest, testing::Pointwise(testing::FloatNear(1e-5f), expected));
  });
}

}  // namespace
}  // namespace covary::compute
