#include "covary/splat/render/rasterize.h"

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/sh/op.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/compute/test_tensors.h"

namespace covary::render {
namespace {

at::Tensor normal(uint64_t stream, at::IntArrayRef shape) {
  return compute::test_normal(5, stream, shape);
}

Primitives make_primitives(int64_t n, at::ScalarType type, int64_t bands = 16) {
  Primitives g;
  g.means = normal(1, {n, 3}).to(type);
  g.quats = normal(2, {n, 4}).to(type);
  g.scales = ((normal(3, {n, 3}) * 0.4).exp() * 0.2).to(type);
  g.opacities = normal(4, {n}).sigmoid().to(type);
  g.sh0 = (normal(5, {n, 1, 3}) * 0.5).to(type);
  g.shN = (normal(6, {n, bands - 1, 3}) * 0.2).to(type);
  return g;
}

scene::Camera camera_at(double angle) {
  scene::Camera c;
  c.width = 45;
  c.height = 37;
  c.fx = c.fy = 50;
  c.cx = 22;
  c.cy = 19;
  c.cam_from_world = Eigen::Matrix4d::Identity();
  c.cam_from_world.topLeftCorner<3, 3>() =
      Eigen::AngleAxisd(angle, Eigen::Vector3d(0.2, 1, 0.1).normalized()).toRotationMatrix();
  c.cam_from_world(2, 3) = 5;
  return c;
}

TEST(Render, ManyViewsAreSingleViewsStacked) {
  const Primitives g = make_primitives(40, at::kFloat);
  const std::vector<scene::Camera> cameras = {camera_at(0), camera_at(0.7), camera_at(-1.2)};
  RasterizeOptions o;
  o.depth = o.normal = o.median_depth = o.weights = true;
  o.top_k = 3;
  const Rendered all = rasterize(g, views_of(cameras), o);
  for (size_t v = 0; v < cameras.size(); ++v) {
    const Rendered one = rasterize(g, views_of({cameras[v]}), o);
    const auto i = static_cast<int64_t>(v);
    EXPECT_TRUE(at::equal(all.color[i], one.color[0]));
    EXPECT_TRUE(at::equal(all.alpha[i], one.alpha[0]));
    EXPECT_TRUE(at::equal(all.depth[i], one.depth[0]));
    EXPECT_TRUE(at::equal(all.normal[i], one.normal[0]));
    EXPECT_TRUE(at::equal(all.topk_ids[i], one.topk_ids[0]));
    EXPECT_TRUE(at::equal(all.footprints[v].weight_sums, one.footprints[0].weight_sums));
  }
}

TEST(Render, MovingSceneAndCameraTogetherLeavesTheImageAtEverySHDegree) {
  for (const int64_t bands : {1, 4, 9, 16, 25}) {
    Primitives g = make_primitives(40, at::kDouble, bands);
    const scene::Camera camera = camera_at(0.3);
    const at::Tensor before = rasterize(g, views_of({camera}, at::kDouble), {}).color;

    const Eigen::Quaterniond q = Eigen::Quaterniond(0.3, -0.5, 0.7, 0.2).normalized();
    const Eigen::Matrix3d r = q.toRotationMatrix();
    const Eigen::Vector3d t(0.4, -1.0, 2.0);
    const at::Tensor rt = at::empty({3, 3}, at::kDouble);
    for (int i = 0; i < 3; ++i)
      for (int j = 0; j < 3; ++j) rt.data_ptr<double>()[3 * i + j] = r(j, i);
    Primitives moved = g;
    moved.means = g.means.matmul(rt) + at::tensor({t.x(), t.y(), t.z()}, at::kDouble);
    moved.quats = at::empty_like(g.quats);
    for (int64_t i = 0; i < 40; ++i) {
      const double* p = g.quats.const_data_ptr<double>() + 4 * i;
      const Eigen::Quaterniond m = q * Eigen::Quaterniond(p[0], p[1], p[2], p[3]);
      double* o = moved.quats.data_ptr<double>() + 4 * i;
      o[0] = m.w();
      o[1] = m.x();
      o[2] = m.y();
      o[3] = m.z();
    }
    if (bands > 1)
      moved.shN = compute::rotate_sh(at::cat({g.sh0, g.shN}, 1), rt.t().contiguous())
                      .narrow(1, 1, bands - 1)
                      .contiguous();
    scene::Camera turned = camera;
    Eigen::Matrix4d old_from_new = Eigen::Matrix4d::Identity();
    old_from_new.topLeftCorner<3, 3>() = r.transpose();
    old_from_new.topRightCorner<3, 1>() = -r.transpose() * t;
    turned.cam_from_world = camera.cam_from_world * old_from_new;
    const at::Tensor after = rasterize(moved, views_of({turned}, at::kDouble), {}).color;
    EXPECT_LT((before - after).abs().max().item<double>(), 1e-9) << bands;
    EXPECT_GT(before.std().item<double>(), 0.05);
  }
}

TEST(Render, GradientsReachEveryInputThroughColourDepthAndNormals) {
  const int64_t n = 10;
  Primitives g = make_primitives(n, at::kDouble, 9);
  Views views = views_of({camera_at(0.4)}, at::kDouble);
  g.features = normal(9, {n, 2});
  at::Tensor background = at::tensor({0.1, 0.2, 0.3, 0.4, 0.5}, at::kDouble);
  RasterizeOptions o;
  o.depth = o.normal = true;
  const auto loss = [&] {
    const Rendered r = rasterize(g, views, o, background);
    // depth is a ratio that is rough where alpha is near 0, so it is weighted by alpha
    return (r.color * normal(20, r.color.sizes())).sum() +
           (r.depth * r.alpha * normal(21, r.depth.sizes())).sum() +
           (r.normal * normal(22, r.normal.sizes())).sum();
  };
  std::vector<std::pair<const char*, at::Tensor*>> inputs = {{"means", &g.means},
                                                             {"quats", &g.quats},
                                                             {"scales", &g.scales},
                                                             {"opacities", &g.opacities},
                                                             {"sh0", &g.sh0},
                                                             {"shN", &g.shN},
                                                             {"features", &g.features},
                                                             {"pose", &views.cam_from_world},
                                                             {"intrinsics", &views.intrinsics},
                                                             {"background", &background}};
  for (auto& [name, t] : inputs) t->requires_grad_(true);
  loss().backward();
  const at::NoGradGuard no_gradient;
  for (auto& [name, t] : inputs) {
    const at::Tensor g_flat = t->grad().flatten();
    const double scale = g_flat.abs().max().item<double>();
    double* x = t->mutable_data_ptr<double>();
    const int64_t count = std::string(name) == "pose" ? 12 : t->numel();
    for (int64_t i = 0; i < count; i += count > 60 ? 7 : 1) {
      const double keep = x[i], h = 1e-6;
      x[i] = keep + h;
      const double up = loss().item<double>();
      x[i] = keep - h;
      const double down = loss().item<double>();
      x[i] = keep;
      EXPECT_NEAR(g_flat[i].item<double>(), (up - down) / (2 * h), 1e-4 * scale)
          << name << " " << i;
    }
  }
}

TEST(Render, ScreenGradientsAreThoseOfTheCentres) {
  Primitives g = make_primitives(30, at::kFloat);
  g.means.requires_grad_(true);
  const Rendered r = rasterize(g, views_of({camera_at(0)}), {});
  (r.color * normal(20, r.color.sizes()).to(at::kFloat)).sum().backward();
  const at::Tensor s = r.footprints[0].screen_gradients;
  EXPECT_GT(s.narrow(1, 0, 2).abs().sum().item<double>(), 0);
  EXPECT_TRUE((s.narrow(1, 2, 2) >= s.narrow(1, 0, 2).abs() * 0.999).all().item<bool>());
}

TEST(Render, WithoutAbsoluteGradientsTheOthersAreTheSameBits) {
  std::vector<at::Tensor> screen, means;
  for (const bool absolute : {true, false}) {
    Primitives g = make_primitives(30, at::kFloat);
    g.means.requires_grad_(true);
    RasterizeOptions o;
    o.absolute_gradients = absolute;
    const Rendered r = rasterize(g, views_of({camera_at(0)}), o);
    (r.color * normal(20, r.color.sizes()).to(at::kFloat)).sum().backward();
    screen.push_back(r.footprints[0].screen_gradients);
    means.push_back(g.means.grad());
  }
  EXPECT_TRUE(at::equal(means[0], means[1]));
  EXPECT_TRUE(at::equal(screen[0].narrow(1, 0, 2), screen[1].narrow(1, 0, 2)));
  EXPECT_GT(screen[0].narrow(1, 2, 2).sum().item<double>(), 0);
  EXPECT_EQ(screen[1].narrow(1, 2, 2).abs().sum().item<double>(), 0);
}

TEST(Render, FlatDiscSeenHeadOnHasItsDepthAndNormal) {
  Primitives g;
  g.means = at::tensor({0.0, 0.0, 0.0}, at::kFloat).view({1, 3});
  g.quats = at::tensor({1.0, 0.0, 0.0, 0.0}, at::kFloat).view({1, 4});
  g.scales = at::tensor({2.0, 2.0, 0.001}, at::kFloat).view({1, 3});
  g.opacities = at::full({1}, 0.95, at::kFloat);
  g.features = at::ones({1, 1}, at::kFloat);
  RasterizeOptions o;
  o.depth = o.normal = o.median_depth = true;
  const Rendered r = rasterize(g, views_of({camera_at(0)}), o);
  EXPECT_NEAR(r.depth[0][19][22][0].item<double>(), 5, 1e-4);
  EXPECT_NEAR(r.median_depth[0][19][22][0].item<double>(), 5, 1e-4);
  const at::Tensor n = (r.normal / r.alpha)[0][19][22];
  EXPECT_NEAR(n[2].item<double>(), -1, 1e-4) << "normals face the camera";
}

TEST(Render, WrongShapesAreNamed) {
  Primitives g = make_primitives(5, at::kFloat);
  const Views v = views_of({camera_at(0)});
  Primitives bad = g;
  bad.scales = at::ones({4, 3});
  EXPECT_THROW(
      {
        try {
          rasterize(bad, v, {});
        } catch (const Error& e) {
          EXPECT_EQ(e.where(), "scales");
          throw;
        }
      },
      Error);
  EXPECT_THROW(rasterize(g, v, {}, at::ones({7})), Error);
  bad = g;
  bad.footprint = "triangle";
  EXPECT_THROW(rasterize(bad, v, {}), Error);
}

}  // namespace
}  // namespace covary::render
