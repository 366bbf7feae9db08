#include "covary/core/geometry/mesh_repair.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>
#include <Eigen/Geometry>

namespace covary::geometry {
namespace {

Mesh whole_sphere(double radius, int subdivisions) {
  Mesh m = make_icosphere(radius, subdivisions);
  merge_vertices(m);
  return m;
}

int64_t euler(const Mesh& m) {  // of a closed mesh
  return static_cast<int64_t>(m.vertices.size()) - static_cast<int64_t>(m.triangles.size()) / 2;
}

TEST(MeshRepair, SeamsBecomeOne) {
  Mesh box = make_box({1, 1, 1}, 2);
  EXPECT_FALSE(edge_facts(box).closed());
  merge_vertices(box);
  EXPECT_TRUE(edge_facts(box).closed());
  EXPECT_EQ(euler(box), 2);
}

TEST(MeshRepair, SmallPartsGo) {
  Mesh m = whole_sphere(1, 2), small = whole_sphere(0.05, 1);
  const size_t before = m.triangles.size();
  for (Eigen::Vector3f& v : small.vertices) v += Eigen::Vector3f(3, 0, 0);
  append(m, small);
  EXPECT_EQ(keep_components(m, 0.001), 0);
  EXPECT_EQ(keep_components(m, 0.01), 1);
  EXPECT_EQ(m.triangles.size(), before);
  for (const Eigen::Vector3f& v : m.vertices) EXPECT_LT(v.norm(), 1.01f);
}

TEST(MeshRepair, HolesAreClosed) {
  Mesh m = whole_sphere(1, 3);
  m.colors.assign(m.vertices.size(), Eigen::Vector3f(0.2f, 0.4f, 0.6f));
  // Two round holes and one of a single triangle.
  int64_t single = -1;
  std::erase_if(m.triangles, [&](const Eigen::Vector3i& t) {
    float z = 0, x = 0;
    for (int k = 0; k < 3; ++k) {
      z += m.vertices[static_cast<size_t>(t[k])].z() / 3;
      x += m.vertices[static_cast<size_t>(t[k])].x() / 3;
    }
    if (x > 0.95f && single < 0) return (single = 1) == 1;
    return std::abs(z) > 0.8f;
  });
  EXPECT_GT(edge_facts(m).open, 0);
  EXPECT_EQ(close_holes(m), 3);
  EXPECT_TRUE(edge_facts(m).closed());
  m.check();
  for (const Eigen::Vector3f& c : m.colors) EXPECT_LT((c - m.colors[0]).norm(), 1e-5f);
  // The volume by signed tetrahedra is that of a ball without its caps: all triangles face outward.
  double volume = 0;
  for (const Eigen::Vector3i& t : m.triangles)
    volume += m.vertices[static_cast<size_t>(t[0])].cast<double>().dot(
                  m.vertices[static_cast<size_t>(t[1])].cast<double>().cross(
                      m.vertices[static_cast<size_t>(t[2])].cast<double>())) /
              6;
  EXPECT_NEAR(volume, 2 * std::numbers::pi * (0.8 - 0.8 * 0.8 * 0.8 / 3), 0.12);
}

TEST(MeshRepair, ASimplerSphereIsNearlyTheSame) {
  Mesh m = whole_sphere(1, 4);  // 5120 triangles
  simplify(m, 500);
  EXPECT_LE(m.triangles.size(), 500u);
  EXPECT_GE(m.triangles.size(), 490u);
  EXPECT_TRUE(edge_facts(m).closed());
  EXPECT_EQ(euler(m), 2);
  for (const Eigen::Vector3f& v : m.vertices) EXPECT_NEAR(v.norm(), 1, 0.02);
  EXPECT_NEAR(surface_area(m), 4 * std::numbers::pi, 0.03 * 4 * std::numbers::pi);
}

TEST(MeshRepair, FlatFacesTakeAllThatIsSaved) {
  Mesh box = make_box({1, 1, 1}, 8);
  merge_vertices(box);
  simplify(box, 60);
  EXPECT_LE(box.triangles.size(), 60u);
  EXPECT_NEAR(surface_area(box), 24, 1e-3) << "edges and corners stay";
}

TEST(MeshRepair, OpenBordersStayAndATorusStaysATorus) {
  Mesh plane = make_plane(1, 1, 20, 20);
  simplify(plane, 10);
  EXPECT_NEAR(surface_area(plane), 4, 1e-4);
  Mesh torus = make_torus(1, 0.4, 48, 24);
  // Both sides of the seam, to the bit.
  for (Eigen::Vector3f& v : torus.vertices) v = (v.array() * 4096).round() / 4096;
  merge_vertices(torus);
  simplify(torus, 300);
  EXPECT_TRUE(edge_facts(torus).closed());
  EXPECT_EQ(euler(torus), 0);
}

}  // namespace
}  // namespace covary::geometry
