#include "covary/core/geometry/bvh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/rigid.h"

namespace covary::geometry {
namespace {

TEST(Bvh, RaysMeetTheSphereWhereTheFormulaSays) {
  Bvh bvh;
  EXPECT_EQ(bvh.add(make_icosphere(1, 6)), 0);
  bvh.build();
  const Random rng(1);
  for (uint64_t i = 0; i < 200; ++i) {
    const auto z = rng.normal4(2 * i), y = rng.normal4(2 * i + 1);
    const Eigen::Vector3f origin = 3 * Eigen::Vector3f(z[0], z[1], z[2]).normalized();
    const Eigen::Vector3f aim = 0.9f * Eigen::Vector3f(y[0], y[1], y[2]).normalized();
    const Eigen::Vector3f d = (aim - origin).normalized();
    const float b = origin.dot(d), distance = -b - std::sqrt(b * b - 8);
    const auto hit = bvh.first_hit(origin, d);
    ASSERT_TRUE(hit);
    // A chord of angle a bulges by a^2/8 under the sphere, more along a grazing ray.
    EXPECT_NEAR(hit->distance, distance, 2e-3);
    EXPECT_GT(hit->normal.dot(origin + distance * d), 0.99f);
  }
}

TEST(Bvh, BarycentricsGiveThePointBack) {
  const Mesh m = make_torus(0.5, 0.2, 40, 20);
  Bvh bvh;
  bvh.add(m);
  bvh.build();
  const Eigen::Vector3f origin(0.3f, 0.35f, 2), d(0.05f, 0.02f, -2);
  const auto hit = bvh.first_hit(origin, d);
  ASSERT_TRUE(hit);
  EXPECT_LT((position_at(m, hit->triangle, hit->u, hit->v) - (origin + hit->distance * d)).norm(),
            1e-5f);
}

TEST(Bvh, TheNearestOfSeveralMeshesIsNamed) {
  Bvh bvh;
  Mesh low = make_plane(1, 1, 1, 1), high = low;
  transform(high, rigid(Eigen::Matrix3d::Identity(), {0, 0, 1}));
  bvh.add(low);
  EXPECT_EQ(bvh.add(high), 1);
  bvh.build();
  const auto down = bvh.first_hit({0.3f, 0.1f, 5}, {0, 0, -1});
  ASSERT_TRUE(down);
  EXPECT_EQ(down->mesh, 1);
  EXPECT_FLOAT_EQ(down->distance, 4);
  EXPECT_NEAR(down->normal.z(), 1, 1e-6);
  const auto up = bvh.first_hit({0.3f, 0.1f, -5}, {0, 0, 2});
  ASSERT_TRUE(up);
  EXPECT_EQ(up->mesh, 0);
  EXPECT_FLOAT_EQ(up->distance, 2.5);
  EXPECT_NEAR(up->normal.z(), 1, 1e-6);  // the side of the mesh, not of the ray
}

TEST(Bvh, NearAndFarLimitWhatIsSeen) {
  Bvh bvh;
  bvh.add(make_plane(1, 1, 1, 1));
  bvh.build();
  EXPECT_TRUE(bvh.occluded({0.1f, 0.2f, 1}, {0, 0, -1}));
  EXPECT_FALSE(bvh.occluded({0.1f, 0.2f, 1}, {0, 0, -1}, 0, 0.9f));
  EXPECT_FALSE(bvh.occluded({0.1f, 0.2f, 1}, {0, 0, -1}, 1.1f));
  EXPECT_FALSE(bvh.occluded({0.1f, 0.2f, 1}, {0, 0, 1}));
  EXPECT_FALSE(bvh.first_hit({0.1f, 0.2f, 1}, {0, 0, -1}, 0, 0.9f));
  EXPECT_FALSE(bvh.first_hit({3, 0, 1}, {0, 0, -1}));
}

TEST(Bvh, RaysThroughSharedEdgesDoNotSlipThrough) {
  Bvh bvh;
  bvh.add(make_plane(1, 1, 8, 8));
  bvh.build();
  for (int i = 1; i < 64; ++i) {
    const float x = -1 + i / 32.f;
    EXPECT_TRUE(bvh.occluded({x, x, 1}, {0, 0, -1})) << i;
    EXPECT_TRUE(bvh.occluded({x, 0.25f, 1}, {0, 0, -1})) << i;
  }
}

TEST(Bvh, ManyThreadsSeeTheSame) {
  Bvh bvh;
  bvh.add(make_torus_knot(2, 3, 0.5, 0.2, 0.1, 200, 20));
  bvh.build();
  const Random rng(3);
  const auto trace = [&](int n) {
    set_threads(n);
    std::vector<float> distance(5000);
    parallel_for(5000, 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const auto z = rng.normal4(static_cast<uint64_t>(i));
        const Eigen::Vector3f origin = Eigen::Vector3f(z[0], z[1], z[2]).normalized() * 2;
        const auto hit = bvh.first_hit(origin, -origin + 0.1f * Eigen::Vector3f(z[3], z[0], z[1]));
        distance[static_cast<size_t>(i)] = hit ? hit->distance : -1;
      }
    });
    set_threads(0);
    return distance;
  };
  EXPECT_EQ(trace(1), trace(4));
}

TEST(Bvh, MisuseIsRefused) {
  Bvh bvh;
  EXPECT_THROW(bvh.add(Mesh{}), Error);
  bvh.add(make_plane(1, 1, 1, 1));
  EXPECT_THROW(bvh.occluded({0, 0, 1}, {0, 0, -1}), Error);
}

}  // namespace
}  // namespace covary::geometry
