// The triangles that part a cube's corners with negative values (inside) from the others, for all 256 cases.
//
//   const CubeCase& c = cube_case(mask);                  // bit k of the mask: corner k is inside
//   for (int i = 0; i < c.triangles; ++i) use(c.edges[3 * i], c.edges[3 * i + 1], c.edges[3 * i + 2]);
//
// Corner k is (k & 1, k >> 1 & 1, k >> 2). Edge e runs along axis e / 4 from corner edge_corners(e)[0] to [1]. Triangles are
// counter-clockwise seen from outside. Where a face has two inside corners that face each other across it, they stay
// apart: both cubes of the face decide alike, so that the surface has no holes. The cases are made by walking the faces,
// not by a table that was typed.
// Source: Lorensen and Cline 1987, marching cubes; the rule for faces: Montani, Scateni and Scopigno 1994.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace covary::geometry {

constexpr int kCubeEdges = 12;

struct CubeCase {
  int triangles = 0;
  std::array<uint8_t, 30> edges{};  // three a triangle, ten triangles at most
};

const CubeCase& cube_case(uint8_t inside);
std::array<int, 2> edge_corners(int edge);

}  // namespace covary::geometry
