// Where a scene stands: up and ground, one scene onto another, levels of detail as cameras ask for them.
#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <vector>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/lod.h"
#include "covary/splat/scene/registration.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/scene/test_clouds.h"
#include "covary/splat/scene/upright.h"

namespace covary::scene {
namespace {

using Eigen::Matrix4d;
using Eigen::Vector3d;
using testing_clouds::gap;
using testing_clouds::random_cloud;

// A floor at y = 0 and a thing without symmetry on it, up is -y.
Cloud room(int64_t n, uint64_t seed) {
  Cloud c = random_cloud(n, 1, seed);
  const Random random(seed, 99);
  for (int64_t i = 0; i < n; ++i) {
    const double u = random.uniform(static_cast<uint64_t>(3 * i)),
                 v = random.uniform(static_cast<uint64_t>(3 * i + 1)),
                 w = random.uniform(static_cast<uint64_t>(3 * i + 2));
    if (i % 2 == 0) {
      c.means[i][0] = 4 * u - 2;
      c.means[i][1] = 0.005 * (w - 0.5);
      c.means[i][2] = 2.4 * v - 1.2;
    } else {  // two walls of a box, of different lengths
      const bool first = i % 4 == 1;
      c.means[i][0] = first ? 0.3 + 1.5 * u : 0.3;
      c.means[i][1] = -1.1 * v;
      c.means[i][2] = first ? -0.4 : -0.4 + 0.8 * u;
    }
    c.opacities[i] = 2;
    c.sh0[i].fill_(i % 2 == 0 ? 0.0 : 1.0);
  }
  c.scales.fill_(std::log(0.03f));
  return c;
}

Matrix4d motion(double angle, const Vector3d& axis, double scale, const Vector3d& shift) {
  Matrix4d m = Matrix4d::Identity();
  m.topLeftCorner<3, 3>() = scale * Eigen::AngleAxisd(angle, axis.normalized()).toRotationMatrix();
  m.topRightCorner<3, 1>() = shift;
  return m;
}

TEST(Upright, TheGroundIsFoundAndComesToZero) {
  const Cloud level = room(1200, 1);
  const Matrix4d tilt = motion(0.5, {1, 0.3, 0.7}, 1, {0.3, 2, -1});
  const Cloud tilted = transformed(level, tilt);
  const auto ground = find_ground(tilted, {0, -1, 0}, 7);
  ASSERT_TRUE(ground.has_value());
  const Vector3d up = tilt.topLeftCorner<3, 3>() * Vector3d(0, -1, 0);
  EXPECT_LT(std::acos(std::min(1.0, ground->up.dot(up))), 0.01);
  EXPECT_NEAR(ground->height, up.dot(tilt.topRightCorner<3, 1>()), 0.02);
  EXPECT_NEAR(ground->share, 0.5, 0.1);
  const Matrix4d m = upright(ground->up, ground->height, {0, 0, 0});
  const Cloud back = transformed(tilted, m);
  EXPECT_LT(back.means.select(1, 1).slice(0, 0, 1200, 2).abs().max().item<double>(), 0.05);
  EXPECT_LT(back.means.select(1, 1).max().item<double>(), 0.05);  // the thing is above
  // Without a notion of up the side tells.
  const auto again = find_ground(tilted, {0, 0, 0}, 7);
  ASSERT_TRUE(again.has_value());
  EXPECT_GT(again->up.dot(up), 0.999);
}

TEST(Upright, ABallHasNoGround) {
  Cloud c = random_cloud(800, 0);
  c.means = c.means / c.means.norm(2, {1}, true);
  EXPECT_FALSE(find_ground(c, {0, -1, 0}, 1).has_value());
  EXPECT_FALSE(find_ground(random_cloud(2, 0), {0, -1, 0}, 1).has_value());
}

TEST(Upright, TurnsUpWithoutMovingThePivot) {
  const Vector3d up = Vector3d(1, -2, 0.5).normalized(), pivot(3, 1, 2);
  const Matrix4d m = upright(up, {}, pivot);
  EXPECT_LT((m.topLeftCorner<3, 3>() * up + Vector3d::UnitY()).norm(), 1e-12);
  EXPECT_LT(((m * pivot.homogeneous()).head<3>() - pivot).norm(), 1e-12);
}

double error_of_motion(const Matrix4d& a, const Matrix4d& b) {
  return (a - b).cwiseAbs().maxCoeff();
}

TEST(Registration, AMovedSceneComesBack) {
  const Cloud fixed = room(1500, 1);
  const Matrix4d moved = motion(0.2, {0.2, 1, -0.4}, 1, {0.2, -0.1, 0.15});
  const Registration r = registered(transformed(fixed, moved), fixed, {.overlap = 1});
  EXPECT_LT(error_of_motion(r.fixed_from_moving * moved, Matrix4d::Identity()), 1e-4);
  EXPECT_LT(r.distance, 1e-4);
}

TEST(Registration, AnotherSampleOfThePlaceTurnedFarAndOfAnotherSize) {
  const Cloud fixed = room(1500, 1), other = room(1400, 2);
  const Matrix4d moved = motion(2.6, {0.3, -1, 0.2}, 1.6, {5, -3, 2});
  const Registration r = registered(transformed(other, moved), fixed, {.scale = true});
  EXPECT_LT(error_of_motion(r.fixed_from_moving * moved, Matrix4d::Identity()), 0.05);
  set_threads(1);
  const Registration again = registered(transformed(other, moved), fixed, {.scale = true});
  set_threads(0);
  EXPECT_EQ(error_of_motion(r.fixed_from_moving, again.fixed_from_moving), 0);
}

TEST(Registration, FaintScenesAreRefused) {
  Cloud c = room(100, 1);
  c.opacities.fill_(-5);
  EXPECT_EQ(error_of([&] { registered(c, room(100, 1), {}); }).code(), ExitCode::kData);
}

TEST(Levels, AreATreeAboveTheSceneItself) {
  Cloud c = random_cloud(400, 1);
  c.columns["label"] = at::arange(400, at::kInt);
  const Cloud tree = with_levels(c, at::ones({400}, at::kDouble), {.levels = 3, .ratio = 0.5});
  tree.check();
  EXPECT_EQ(tree.size(), 400 + 200 + 100);
  EXPECT_TRUE(tree.means.narrow(0, 0, 400).equal(c.means));
  EXPECT_TRUE(tree.columns.at("label").narrow(0, 0, 400).equal(c.columns.at("label")));
  const at::Tensor level = tree.columns.at("lod"), parent = tree.columns.at("lod_parent"),
                   size = tree.columns.at("lod_size");
  for (int64_t i = 0; i < 600; ++i) {
    const int64_t p = parent[i].item<int64_t>();
    ASSERT_EQ(level[p].item<int64_t>(), level[i].item<int64_t>() + 1);
    // The ball of a part lies in that of the whole.
    EXPECT_LE((tree.means[i] - tree.means[p]).norm().item<double>() + size[i].item<double>(),
              size[p].item<double>() * (1 + 1e-5));
  }
  EXPECT_EQ(parent.narrow(0, 600, 100).eq(-1).sum().item<int64_t>(), 100);
}

TEST(Levels, ACutHoldsEverySplatOnce) {
  const Cloud c = random_cloud(500, 0);
  const Cloud tree = with_levels(c, at::ones({500}, at::kDouble), {.levels = 4, .ratio = 0.4});
  const Camera camera = camera_of_ball({0, 0, 0}, 4, {0, -1, 0}, 400, 300);
  int64_t before = 501;
  for (const double pixels : {0.0, 60.0, 200.0, 1e9}) {
    const at::Tensor rows = level_cut(tree, camera, pixels);
    std::vector<int> taken(static_cast<size_t>(tree.size()));
    for (int64_t i = 0; i < rows.size(0); ++i)
      ++taken[static_cast<size_t>(rows[i].item<int64_t>())];
    for (int64_t i = 0; i < 500; ++i) {
      int above = 0;
      for (int64_t p = i; p >= 0; p = tree.columns.at("lod_parent")[p].item<int64_t>())
        above += taken[static_cast<size_t>(p)];
      ASSERT_EQ(above, 1) << i << " at " << pixels;
    }
    EXPECT_LT(rows.size(0), before);
    before = rows.size(0);
    if (pixels == 0) {
      EXPECT_EQ(rows.size(0), 500);
    }
  }
  EXPECT_EQ(before, 500 * 0.4 * 0.4 * 0.4);
  Cloud broken = tree;
  broken.columns["lod_parent"] = at::zeros({tree.size()}, at::kInt);
  EXPECT_EQ(error_of([&] { level_cut(broken, camera, 1); }).code(), ExitCode::kData);
  EXPECT_EQ(error_of([&] { level_cut(c, camera, 1); }).code(), ExitCode::kData);
}

}  // namespace
}  // namespace covary::scene
