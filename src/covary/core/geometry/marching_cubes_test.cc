#include "covary/core/geometry/marching_cubes.h"

#include <map>
#include <set>
#include <utility>

#include <gtest/gtest.h>
#include <Eigen/Core>
#include <Eigen/Geometry>

namespace covary::geometry {
namespace {

Eigen::Vector3d middle_of(int edge) {
  Eigen::Vector3d p = Eigen::Vector3d::Zero();
  for (const int c : edge_corners(edge)) p += 0.5 * Eigen::Vector3d(c & 1, c >> 1 & 1, c >> 2);
  return p;
}

TEST(MarchingCubes, EdgesJoinNeighboursAlongTheirAxis) {
  std::set<std::pair<int, int>> all;
  for (int e = 0; e < kCubeEdges; ++e) {
    const auto c = edge_corners(e);
    EXPECT_EQ(c[1] - c[0], 1 << (e / 4));
    all.emplace(c[0], c[1]);
  }
  EXPECT_EQ(all.size(), 12u);
}

TEST(MarchingCubes, EachCasePartsInsideFromOutside) {
  for (int mask = 0; mask < 256; ++mask) {
    SCOPED_TRACE(mask);
    const CubeCase& c = cube_case(static_cast<uint8_t>(mask));
    std::set<int> used;
    std::map<std::pair<int, int>, int> sides;
    for (int i = 0; i < c.triangles; ++i)
      for (int k = 0; k < 3; ++k) {
        const int a = c.edges[static_cast<size_t>(3 * i + k)],
                  b = c.edges[static_cast<size_t>(3 * i + (k + 1) % 3)];
        used.insert(a);
        ++sides[{a, b}];
      }
    for (int e = 0; e < kCubeEdges; ++e) {
      const auto ends = edge_corners(e);
      EXPECT_EQ(used.contains(e), (mask >> ends[0] & 1) != (mask >> ends[1] & 1));
    }
    // A side that two triangles share lies within; one that stands alone lies on a face of the cube.
    for (const auto& [side, count] : sides) {
      EXPECT_EQ(count, 1);
      if (sides.contains({side.second, side.first})) continue;
      const Eigen::Vector3d a = middle_of(side.first), b = middle_of(side.second);
      bool on_face = false;
      for (int k = 0; k < 3; ++k)
        for (const double face : {0.0, 1.0}) on_face |= a[k] == face && b[k] == face;
      EXPECT_TRUE(on_face);
    }
  }
}

TEST(MarchingCubes, TrianglesFaceAwayFromALoneCorner) {
  for (int corner = 0; corner < 8; ++corner) {
    const CubeCase& c = cube_case(static_cast<uint8_t>(1 << corner));
    ASSERT_EQ(c.triangles, 1);
    const Eigen::Vector3d p = middle_of(c.edges[0]), q = middle_of(c.edges[1]),
                          r = middle_of(c.edges[2]);
    const Eigen::Vector3d from(corner & 1, corner >> 1 & 1, corner >> 2);
    EXPECT_GT((q - p).cross(r - p).dot(p - from), 0);
  }
}

}  // namespace
}  // namespace covary::geometry
