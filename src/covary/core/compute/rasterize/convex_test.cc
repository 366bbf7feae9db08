// Convexes through the whole rasteriser: gradients against finite differences in double, closed forms and
// invariances, hulls by brute force, and the SIMD kernels against the reference.
#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/every_target.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/project/convex.h"
#include "covary/core/compute/rasterize/op.h"
#include "covary/core/compute/test_tensors.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

constexpr int kWidth = 44, kHeight = 30;

at::Tensor normal(uint64_t stream, at::IntArrayRef shape) { return test_normal(5, stream, shape); }

struct Scene {
  at::Tensor extras, opacities, features, background, pose, intrinsics;
  int width = kWidth, height = kHeight;
};

// n convexes of `points` points, some units before a camera that looks a little askance.
Scene make_scene(int64_t n, int64_t points, double size = 0.5) {
  at::Tensor centres = normal(1, {n, 1, 3});
  centres.select(2, 2).mul_(0.8).add_(4.5);
  const at::Tensor corners = (centres + size * normal(2, {n, points, 3})).reshape({n, 3 * points});
  const at::Tensor delta = (0.3 * normal(3, {n, 1})).exp() * 0.004,
                   sigma = (0.3 * normal(4, {n, 1})).exp() * 0.05;
  Scene s;
  s.extras = at::cat({corners, delta, sigma}, 1);
  s.opacities = normal(6, {n}).sigmoid() * 0.8 + 0.1;
  s.features = normal(7, {n, 3}).abs();
  s.background = at::tensor({0.2, 0.5, 0.7}, at::kDouble);
  s.pose = at::eye(4, at::kDouble);
  const double a = 0.2;
  s.pose.index_put_({0, 0}, std::cos(a));
  s.pose.index_put_({0, 2}, std::sin(a));
  s.pose.index_put_({2, 0}, -std::sin(a));
  s.pose.index_put_({2, 2}, std::cos(a));
  s.pose.index_put_({0, 3}, -0.5);
  s.intrinsics = at::tensor({42.0, 40.0, 21.3, 15.9}, at::kDouble);
  return s;
}
Scene in_float(const Scene& s) {
  Scene out = s;
  for (at::Tensor* t :
       {&out.extras, &out.opacities, &out.features, &out.background, &out.pose, &out.intrinsics})
    *t = t->to(at::kFloat);
  return out;
}

struct Output {
  ProjectedTensors splats;
  std::shared_ptr<const TileLists> lists;
  at::Tensor image, transmittance, screen_gradients, features, background;
  TileGrid grid;
};
Output render(const Scene& s, bool exact = true, const TileGrid& part = {}) {
  Output o;
  const at::Tensor means = at::zeros({s.extras.size(0), 3}, s.extras.options());
  ProjectOptions options;
  options.footprint = kConvexFootprint;
  o.splats = project({means, {}, {}, {}, s.opacities, s.extras, s.pose, s.intrinsics}, s.width,
                     s.height, 0, options);
  o.grid = part.width > 0 ? part : TileGrid{.width = s.width, .height = s.height};
  const TileGrid& grid = o.grid;
  o.lists = tile_lists(o.splats, kConvexFootprint, grid, exact);
  // the depth rides along as a channel, so that its gradient is tested too
  const at::Tensor f = o.features =
      at::cat({s.features.index_select(0, o.splats.ids), o.splats.depths.unsqueeze(1) * 0.1}, 1);
  const at::Tensor b = o.background =
      at::cat({s.background, at::zeros({1}, s.background.options())});
  o.screen_gradients = at::zeros({o.splats.ids.size(0), 4}, s.extras.options());
  const Composited c =
      composite(o.splats, f, b, kConvexFootprint, grid, o.lists, o.screen_gradients);
  o.image = c.image;
  o.transmittance = c.transmittance;
  return o;
}
at::Tensor loss(const Output& o) {
  const auto like = o.image.scalar_type();
  return (o.image * normal(11, o.image.sizes()).to(like)).sum() +
         (o.transmittance * normal(12, o.transmittance.sizes()).to(like)).sum();
}

TEST(Convex, GradientsMatchFiniteDifferences) {
  for (const auto& [count, points] : {std::pair{5, 6}, {2, 4}, {2, 8}}) {
    SCOPED_TRACE(points);
    Scene s = make_scene(count, points);
    const std::pair<const char*, at::Tensor*> wanted[] = {
        {"extras", &s.extras},     {"opacities", &s.opacities},   {"pose", &s.pose},
        {"features", &s.features}, {"intrinsics", &s.intrinsics}, {"background", &s.background}};
    for (const auto& [name, t] : wanted) t->requires_grad_(true);
    const Output o = render(s);
    ASSERT_GE(o.splats.ids.numel(), count - 1);
    loss(o).backward();
    const at::NoGradGuard no_gradient;
    for (const auto& [name, t] : wanted) {
      const at::Tensor g = t->grad();
      // delta and sigma are small numbers with large gradients: each kind against its own largest
      for (int64_t kind = 0; kind < 3; ++kind) {
        const bool split = t == &s.extras;
        if (!split && kind > 0) break;
        const auto of_kind = [&](int64_t i) {
          const int64_t k = i % t->size(-1), at = 3 * points;
          return !split || (k < at ? 0 : k - at + 1) == kind;
        };
        double scale = 0;
        for (int64_t i = 0; i < g.numel(); ++i)
          if (of_kind(i)) scale = std::max(scale, std::abs(g.flatten()[i].item<double>()));
        EXPECT_GT(scale, 0) << name << ": the test sees no gradient";
        double* x = t->mutable_data_ptr<double>();
        const int64_t count = t == &s.pose ? 12 : t->numel();
        for (int64_t i = 0; i < count; ++i) {
          if (!of_kind(i)) continue;
          const double keep = x[i], h = 1e-6 * std::max(1e-2, std::abs(keep));
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
  }
}

// Params of a polygon of corners (x, y) about the origin, counter-clockwise.
std::vector<double> polygon(const std::vector<std::pair<double, double>>& corners, double scale,
                            double sigma) {
  std::vector<double> p(ConvexFootprint::kParams, 0.0);
  p[0] = static_cast<double>(corners.size());
  p[1] = sigma;
  for (size_t j = 0; j < corners.size(); ++j) {
    const auto [x, y] = corners[j];
    const auto [u, v] = corners[(j + 1) % corners.size()];
    double* e = p.data() + ConvexFootprint::kEdgesAt + 3 * j;
    e[0] = scale * (v - y);
    e[1] = scale * (x - u);
    e[2] = -(e[0] * x + e[1] * y);
  }
  return p;
}

TEST(Convex, IsThePolygonWhereItIsSharpAndHalfAtTheMiddleOfAnEdge) {
  const std::vector<std::pair<double, double>> square = {{-9, -7}, {9, -7}, {9, 7}, {-9, 7}};
  const auto sharp = polygon(square, 50, 50);
  const auto value = [](const std::vector<double>& p, double x, double y) {
    return ConvexFootprint::value<double>(x, y, p.data());
  };
  EXPECT_NEAR(value(sharp, 8.99, 6.99), 1, 1e-9);
  EXPECT_NEAR(value(sharp, 9.01, 0), 0, 1e-9);
  EXPECT_NEAR(value(sharp, 9, 0), 0.5, 1e-9);  // far from the other edges
  const auto soft = polygon(square, 0.05, 0.4);
  EXPECT_NEAR(value(soft, 9, 0), 0.5, 1e-2);
  EXPECT_GT(value(soft, 0, 0), value(soft, 6, 0));
  // a blob: rounder than the square, the same on its sides
  EXPECT_LT(value(soft, 9, 7), 0.5);
}

TEST(Convex, PhiIsTheLargestLineWithinTheLogarithmOfTheirNumber) {
  const Random random(2, 1);
  for (const double scale : {0.01, 1.0, 100.0, 1e6}) {
    const auto p = polygon({{-9, -7}, {5, -8}, {9, 3}, {0, 8}, {-8, 4}}, scale, 1);
    for (uint64_t i = 0; i < 200; ++i) {
      const double x = 40 * random.uniform(2 * i) - 20, y = 40 * random.uniform(2 * i + 1) - 20;
      double most = -1e300;
      for (int j = 0; j < 5; ++j) {
        const double* e = p.data() + ConvexFootprint::kEdgesAt + 3 * j;
        most = std::max(most, e[0] * x + e[1] * y + e[2]);
      }
      const double phi = ConvexFootprint::phi<double>(x, y, p.data(), nullptr);
      EXPECT_GE(phi, most - 1e-9 * std::abs(most));
      EXPECT_LE(phi, most + std::log(5.0) + 1e-9 * std::abs(most));
    }
  }
}

TEST(Convex, HullsAreThoseOfBruteForce) {
  const Random random(4, 2);
  uint64_t next = 0;
  int64_t flat = 0, whole = 0;
  for (int n = 0; n < 100000; ++n) {
    const int count = 4 + static_cast<int>(5 * random.uniform(next++));
    // of few places, so that many are equal or in a line
    const double places = n % 3 == 0 ? 3 : n % 3 == 1 ? 8 : 1000;
    double p[16];
    for (int k = 0; k < 2 * count; ++k) p[k] = std::floor(places * random.uniform(next++));
    const auto cross = [&](int a, int b, int c) {
      return (p[2 * b] - p[2 * a]) * (p[2 * c + 1] - p[2 * a + 1]) -
             (p[2 * b + 1] - p[2 * a + 1]) * (p[2 * c] - p[2 * a]);
    };
    // a place is a corner where it is no mean of others: not within any triangle, nor between two
    std::set<std::pair<double, double>> expected;
    const auto same = [&](int a, int b) {
      return p[2 * a] == p[2 * b] && p[2 * a + 1] == p[2 * b + 1];
    };
    bool area = false;
    for (int k = 0; k < count; ++k) {
      bool corner = true;
      for (int a = 0; a < count && (corner || !area); ++a)
        for (int b = 0; b < count && (corner || !area); ++b) {
          if (same(a, k) || same(b, k) || same(a, b)) continue;
          if (cross(a, b, k) == 0) {
            const double along = (p[2 * k] - p[2 * a]) * (p[2 * k] - p[2 * b]) +
                                 (p[2 * k + 1] - p[2 * a + 1]) * (p[2 * k + 1] - p[2 * b + 1]);
            if (along < 0) corner = false;
          } else {
            area = true;
          }
          for (int c = 0; c < count && corner; ++c) {
            if (same(c, k) || cross(a, b, c) <= 0) continue;
            if (cross(a, b, k) > 0 && cross(b, c, k) > 0 && cross(c, a, k) > 0) corner = false;
          }
        }
      if (corner) expected.insert({p[2 * k], p[2 * k + 1]});
    }
    int corners[kMostPoints];
    const int found = convex_hull(p, count, corners);
    if (!area) {
      ++flat;
      ASSERT_LT(found, 3);
      continue;
    }
    ++whole;
    std::set<std::pair<double, double>> got;
    for (int j = 0; j < found; ++j) {
      got.insert({p[2 * corners[j]], p[2 * corners[j] + 1]});
      ASSERT_GT(cross(corners[j], corners[(j + 1) % found], corners[(j + 2) % found]), 0);
    }
    ASSERT_EQ(got, expected) << n;
    ASSERT_EQ(static_cast<size_t>(found), got.size()) << n;
  }
  EXPECT_GT(flat, 100);
  EXPECT_GT(whole, 90000);
}

TEST(Convex, OrderOfPointsAndPointsInsideDoNotMatter) {
  const Scene s = make_scene(5, 6);
  const Output before = render(s);
  Scene turned = s;
  const at::Tensor points = s.extras.narrow(1, 0, 18).reshape({5, 6, 3});
  turned.extras =
      at::cat({points.roll({2}, {1}).flip({1}).reshape({5, 18}), s.extras.narrow(1, 18, 2)}, 1);
  EXPECT_TRUE(at::allclose(render(turned).image, before.image, 1e-9, 1e-12));
  Scene inside = s;  // the mean once more, twice: it stays the mean
  const at::Tensor mean = points.mean(1, true);
  inside.extras = at::cat({points.reshape({5, 18}), mean.reshape({5, 3}), mean.reshape({5, 3}),
                           s.extras.narrow(1, 18, 2)},
                          1)
                      .requires_grad_(true);
  const Output o = render(inside);
  EXPECT_TRUE(at::allclose(o.image, before.image, 1e-9, 1e-12));
}

TEST(Convex, AScaledSceneLooksTheSameWithDeltaAndSigmaDivided) {
  const Scene s = make_scene(6, 6);
  Scene large = s;
  const double factor = 3.7;
  large.extras = s.extras.clone();
  large.extras.narrow(1, 0, 18).mul_(factor);
  large.extras.narrow(1, 18, 2).div_(factor);
  large.pose = s.pose.clone();
  large.pose.narrow(0, 0, 3).select(1, 3).mul_(factor);
  const at::Tensor a = render(s).image.narrow(2, 0, 3), b = render(large).image.narrow(2, 0, 3);
  EXPECT_TRUE(at::allclose(a, b, 1e-9, 1e-10));
  large.extras.select(1, 19).mul_(factor);
  EXPECT_FALSE(at::allclose(a, render(large).image.narrow(2, 0, 3), 1e-3, 1e-3));
}

TEST(Convex, LooksTheSameAtEveryResolution) {
  const Scene s = make_scene(6, 6);
  Scene fine = s;
  fine.width = 3 * s.width;
  fine.height = 3 * s.height;
  fine.intrinsics = 3 * s.intrinsics;
  // the middle pixel of three lies where the coarse one does
  const at::Tensor a = render(s).image, b = render(fine).image;
  EXPECT_TRUE(
      at::allclose(a, b.slice(0, 1, at::nullopt, 3).slice(1, 1, at::nullopt, 3), 1e-9, 1e-10));
}

TEST(Convex, ItsRegionHoldsAllThatIsSeenAndTilesOutsideAreLeftOut) {
  for (const double size : {0.05, 0.3, 1.0}) {
    Scene s = in_float(make_scene(150, 6, size));
    s.width = 150;
    s.height = 110;
    s.intrinsics = 3.5 * s.intrinsics;
    const Output exact = render(s, true), box = render(s, false);
    EXPECT_LT(exact.lists->pairs(), box.lists->pairs());
    EXPECT_TRUE(at::equal(exact.image, box.image));
    // and the box against every pixel of the picture, one convex at a time, in double
    Scene d = make_scene(150, 6, size);
    d.intrinsics = 3.5 * d.intrinsics;
    d.width = 150;
    d.height = 110;
    const ProjectedTensors p = render(d).splats;
    const at::Tensor params = p.params.contiguous();
    for (int64_t i = 0; i < std::min<int64_t>(40, p.ids.numel()); ++i) {
      const double *q = params.const_data_ptr<double>() + i * ConvexFootprint::kParams,
                   *c = p.centres.const_data_ptr<double>() + 2 * i,
                   *h = p.halves.const_data_ptr<double>() + 2 * i;
      const double opacity = p.opacities[i].item<double>();
      for (int y = 0; y < 110; ++y)
        for (int x = 0; x < 150; ++x) {
          const double dx = x + 0.5 - c[0], dy = y + 0.5 - c[1];
          if (opacity * ConvexFootprint::value<double>(dx, dy, q) < kMinAlpha) continue;
          ASSERT_LE(std::abs(dx), h[0]);
          ASSERT_LE(std::abs(dy), h[1]);
        }
    }
  }
}

TEST(Convex, WhatCannotBeSeenIsCulledAndWhatIsNoConvexRefused) {
  Scene s = make_scene(4, 6);
  s.extras.index_put_({0, 2}, -1.0);          // a point behind the camera
  s.extras.index_put_({1, 4}, std::nan(""));  // no number
  s.extras.select(0, 2).narrow(0, 0, 18).copy_(s.extras.select(0, 2).narrow(0, 0, 3).repeat({6}));
  const at::Tensor ids = render(s).splats.ids;
  ASSERT_EQ(ids.numel(), 1);
  EXPECT_EQ(ids[0].item<int64_t>(), 3);
  const double infinite = std::numeric_limits<double>::infinity();
  for (const double sigma : {infinite, 1e308 * 1.7, std::nan(""), 0.0, -1.0}) {
    Scene sharp = s;
    sharp.extras = s.extras.clone();
    sharp.extras.index_put_({3, 19}, sigma);
    EXPECT_EQ(render(sharp).splats.ids.numel(), 0) << sigma;
    sharp.extras.index_put_({3, 19}, 1.0);
    sharp.extras.index_put_({3, 18}, sigma);
    EXPECT_EQ(render(sharp).splats.ids.numel(), 0) << sigma;
  }
  s.opacities.index_put_({3}, 1.0 / 300);
  EXPECT_EQ(render(s).splats.ids.numel(), 0);
  for (const int64_t width : {11, 13, 19, 29}) {
    Scene bad = s;
    bad.extras = at::zeros({4, width}, at::kDouble);
    EXPECT_THROW(render(bad), Error) << width;
  }
}

TEST(Convex, EverySimdTargetAgreesWithTheReference) {
  on_every_target([](const char* target) {
    SCOPED_TRACE(target);
    for (const auto& [n, points, size] : {std::tuple{300, 6, 0.25}, {60, 8, 1.0}, {100, 4, 0.4}}) {
      std::vector<at::Tensor> image, gradient, screen;
      for (const bool single : {false, true}) {
        Scene s = make_scene(n, points, size);
        s.width = 75;
        s.height = 53;
        s.intrinsics = s.intrinsics * 1.8;
        if (single) s = in_float(s);
        const std::vector<at::Tensor*> inputs = {&s.extras, &s.opacities,  &s.features,
                                                 &s.pose,   &s.intrinsics, &s.background};
        for (at::Tensor* t : inputs) t->requires_grad_(true);
        const Output o = render(s);
        loss(o).backward();
        image.push_back(o.image.detach().to(at::kDouble));
        std::vector<at::Tensor> flat;
        for (at::Tensor* t : inputs) {
          at::Tensor g = t->grad().to(at::kDouble);
          if (t == &s.extras) g = g / g.abs().amax(0, true).clamp_min(1e-12);
          flat.push_back((g / g.abs().max().clamp_min(1e-12)).flatten());
        }
        gradient.push_back(at::cat(flat));
        screen.push_back(o.screen_gradients.to(at::kDouble));
      }
      // A pixel at a threshold may fall on either side: single ones may differ, the rest may not.
      EXPECT_LT(((image[0] - image[1]).abs() > 2e-4).to(at::kDouble).mean().item<double>(), 2e-3);
      EXPECT_LT((image[0] - image[1]).abs().max().item<double>(),
                0.02 * image[0].abs().max().item<double>());
      const at::Tensor off = (gradient[0] - gradient[1]).abs() > 2e-3;
      EXPECT_LT(off.to(at::kDouble).mean().item<double>(), 5e-3);
      ASSERT_EQ(screen[0].sizes(), screen[1].sizes());
      EXPECT_LT((screen[0] - screen[1]).norm().item<double>(),
                0.01 * screen[0].norm().item<double>());
    }
  });
}

TEST(Convex, StridedImagesInterleaveToTheFullOneBitForBit) {
  const at::NoGradGuard no_gradient;
  const Scene exact = make_scene(60, 6), single = in_float(exact);
  for (const Scene& s : {exact, single}) {
    const at::Tensor whole = render(s).image;
    at::Tensor image = at::zeros_like(whole);
    constexpr int d = 3;
    for (int oy = 0; oy < d; ++oy)
      for (int ox = 0; ox < d; ++ox) {
        const TileGrid part{.width = (s.width - ox + d - 1) / d,
                            .height = (s.height - oy + d - 1) / d,
                            .stride = d,
                            .offset_x = ox,
                            .offset_y = oy};
        image.slice(0, oy, at::nullopt, d)
            .slice(1, ox, at::nullopt, d)
            .copy_(render(s, true, part).image);
      }
    EXPECT_TRUE(at::equal(image, whole));
  }
}

TEST(Convex, SensitivitiesAgreeWithTheReferenceOnEverySimdTarget) {
  const at::NoGradGuard no_gradient;
  const auto sums = [](const Scene& s) {
    const Output o = render(s);
    return squared_sensitivities(o.splats, o.features, o.background, o.image, kConvexFootprint,
                                 o.grid, *o.lists);
  };
  const Scene s = make_scene(60, 6);
  const at::Tensor reference = sums(s);
  ASSERT_GT(reference.max().item<double>(), 0.1);
  on_every_target([&](const char* target) {
    SCOPED_TRACE(target);
    EXPECT_LT((sums(in_float(s)) - reference).norm().item<double>(),
              2e-3 * reference.norm().item<double>());
  });
}

}  // namespace
}  // namespace covary::compute
