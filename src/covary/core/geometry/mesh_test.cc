#include "covary/core/geometry/mesh.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <Eigen/Geometry>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/geometry/rigid.h"

namespace covary::geometry {
namespace {

constexpr double kPi = std::numbers::pi;

// Volume by the divergence theorem: right only if every face is there and turned outward.
double volume(const Mesh& mesh) {
  double sum = 0;
  for (const Eigen::Vector3i& t : mesh.triangles) {
    const auto p = [&](int k) { return Eigen::Vector3d(mesh.vertices[t[k]].cast<double>()); };
    sum += p(0).dot(p(1).cross(p(2))) / 6;
  }
  return sum;
}

// Every vertex normal agrees with the triangles that use it.
void expect_outward_normals(const Mesh& mesh, double least_cosine) {
  ASSERT_EQ(mesh.normals.size(), mesh.vertices.size());
  for (const Eigen::Vector3i& t : mesh.triangles) {
    const auto p = [&](int k) { return Eigen::Vector3d(mesh.vertices[t[k]].cast<double>()); };
    const Eigen::Vector3d n = (p(1) - p(0)).cross(p(2) - p(0));
    if (n.norm() < 1e-9) continue;
    for (int k = 0; k < 3; ++k) {
      EXPECT_NEAR(mesh.normals[t[k]].norm(), 1, 1e-5);
      EXPECT_GT(mesh.normals[t[k]].cast<double>().dot(n.normalized()), least_cosine);
    }
  }
}

TEST(Mesh, BoxHasItsAreaAndVolume) {
  const Mesh m = make_box({1, 2, 3}, 4);
  m.check();
  EXPECT_NEAR(surface_area(m), 8 * (1 * 2 + 2 * 3 + 3 * 1), 1e-4);
  EXPECT_NEAR(volume(m), 48, 1e-4);
  expect_outward_normals(m, 0.999);
}

TEST(Mesh, TorusAreaIsWithinHalfAPercent) {
  const Mesh m = make_torus(0.4, 0.1, 96, 48);
  EXPECT_NEAR(surface_area(m), 4 * kPi * kPi * 0.4 * 0.1, 0.005 * 4 * kPi * kPi * 0.04);
  EXPECT_NEAR(volume(m), 2 * kPi * kPi * 0.4 * 0.01, 0.01 * 2 * kPi * kPi * 0.004);
  expect_outward_normals(m, 0.98);
}

TEST(Mesh, SpheresHaveTheirAreaAndVolume) {
  for (const Mesh& m : {make_sphere(2, 96, 48), make_icosphere(2, 4)}) {
    m.check();
    EXPECT_NEAR(surface_area(m), 16 * kPi, 0.005 * 16 * kPi);
    EXPECT_NEAR(volume(m), 32 * kPi / 3, 0.01 * 32 * kPi / 3);
    expect_outward_normals(m, 0.98);
  }
  EXPECT_EQ(make_icosphere(1, 3).triangles.size(), 20u * 64);
  EXPECT_EQ(make_icosphere(1, 3).vertices.size(), 10u * 64 + 2);
}

TEST(Mesh, IcosahedronHasTwentyEqualFaces) {
  const Mesh m = make_icosahedron(1);
  ASSERT_EQ(m.triangles.size(), 20u);
  const double edge = 1 / std::sin(2 * kPi / 5);
  for (int64_t t = 0; t < 20; ++t)
    EXPECT_NEAR(triangle_area(m, t), std::sqrt(3.0) / 4 * edge * edge, 1e-6);
  expect_outward_normals(m, 0.999);
}

TEST(Mesh, CylinderAndDiscAndPlaneHaveTheirAreas) {
  const Mesh c = make_cylinder(0.5, 2, 128, 3);
  EXPECT_NEAR(surface_area(c), 2 * kPi * 0.5 * (2 + 0.5), 0.01);
  EXPECT_NEAR(volume(c), kPi * 0.25 * 2, 0.01);
  expect_outward_normals(c, 0.99);
  EXPECT_NEAR(surface_area(make_disc(1, 8, 128)), kPi, 0.005);
  expect_outward_normals(make_disc(1, 8, 128), 0.999);
  EXPECT_NEAR(surface_area(make_plane(1, 2, 3, 4)), 8, 1e-5);
}

TEST(Mesh, RoundedBoxHasItsVolume) {
  const double r = 0.2;
  const Eigen::Vector3d h(1, 0.8, 0.6), in = h - Eigen::Vector3d::Constant(r);
  const Mesh m = make_rounded_box(h, r, 24);
  m.check();
  // Steiner: core, slabs, quarter cylinders and the sphere's eighths.
  const double expected = 8 * in.prod() + 8 * r * (in[0] * in[1] + in[1] * in[2] + in[2] * in[0]) +
                          2 * kPi * r * r * in.sum() + 4 * kPi / 3 * r * r * r;
  EXPECT_NEAR(volume(m), expected, 0.003 * expected);
  expect_outward_normals(m, 0.95);
  EXPECT_THROW(make_rounded_box(h, 0.7), Error);
}

TEST(Mesh, LatheOfAConeHasTheConesSide) {
  const Mesh m = make_lathe([](double t) { return Eigen::Vector2d(1 - t, 2 * t); }, 128, 16);
  EXPECT_NEAR(surface_area(m), kPi * std::sqrt(5.0), 0.01);
  expect_outward_normals(m, 0.9);
}

TEST(Mesh, ClosedTubeMeetsItself) {
  const Mesh m = make_torus_knot(2, 3, 0.4, 0.15, 0.05, 300, 16);
  m.check();
  expect_outward_normals(m, 0.9);
  for (int r = 0; r <= 16; ++r) {
    const Eigen::Vector3f first = m.vertices[r * 301], last = m.vertices[r * 301 + 300];
    EXPECT_LT((first - last).norm(), 1e-4f) << r;
  }
}

TEST(Mesh, NormalsOfASoupMatchTheSphere) {
  Mesh m = make_icosphere(1, 4);
  const auto exact = m.normals;
  m.normals.clear();
  compute_normals(m);
  for (size_t i = 0; i < exact.size(); ++i) EXPECT_GT(m.normals[i].dot(exact[i]), 0.999);
}

TEST(Mesh, TransformMovesVerticesAndTurnsNormals) {
  Mesh m = make_sphere(1, 32, 16);
  Eigen::Matrix4d squash = rigid(Eigen::Vector3d(1, 1, 0.5).asDiagonal(), {0, 0, 3});
  transform(m, squash);
  expect_outward_normals(m, 0.9);
  EXPECT_NEAR(m.vertices.back().z(), 3.5, 1e-6);
  squash(2, 2) = -1;
  EXPECT_THROW(transform(m, squash), Error);
}

TEST(Mesh, AppendKeepsBothAndShiftsIndices) {
  Mesh m = make_box({1, 1, 1});
  append(m, make_plane(1, 1, 1, 1));
  m.check();
  EXPECT_NEAR(surface_area(m), 24 + 4, 1e-5);
}

TEST(Mesh, CheckRefusesWhatIsBroken) {
  Mesh m = make_plane(1, 1, 1, 1);
  m.triangles[0][1] = 99;
  EXPECT_THROW(m.check(), Error);
  m = make_plane(1, 1, 1, 1);
  m.vertices[0].x() = NAN;
  EXPECT_THROW(m.check(), Error);
  m = make_plane(1, 1, 1, 1);
  m.uvs.pop_back();
  EXPECT_THROW(m.check(), Error);
}

TEST(Mesh, SamplesLieOnTheSurfaceAndSpreadByArea) {
  const Mesh m = make_sphere(1, 128, 64);
  const auto points = sample_surface(m, 20000, Random(7));
  ASSERT_EQ(points.size(), 20000u);
  Eigen::Vector3d mean = Eigen::Vector3d::Zero();
  int above = 0;  // z > 1/2 is a quarter of a sphere's area
  for (const SurfacePoint& p : points) {
    EXPECT_NEAR(p.position.norm(), 1, 2e-3);
    EXPECT_GT(p.normal.dot(p.position), 0.99f);
    mean += p.position.cast<double>() / 20000;
    above += p.position.z() > 0.5f;
  }
  EXPECT_LT(mean.norm(), 0.02);
  EXPECT_NEAR(above / 20000.0, 0.25, 0.01);
  EXPECT_EQ(sample_surface(m, 10, Random(7))[3].position,
            sample_surface(m, 10, Random(7))[3].position);
  EXPECT_THAT(sample_surface(m, 0, Random(7)), ::testing::IsEmpty());
  EXPECT_THROW(sample_surface(Mesh{}, 3, Random(7)), Error);
}

}  // namespace
}  // namespace covary::geometry
