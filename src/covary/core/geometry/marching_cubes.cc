#include "covary/core/geometry/marching_cubes.h"

namespace covary::geometry {
namespace {

// The corners of each face, counter-clockwise seen from outside.
constexpr std::array<std::array<int, 4>, 6> kFaces = {
    {{0, 4, 6, 2}, {1, 3, 7, 5}, {0, 1, 5, 4}, {2, 6, 7, 3}, {0, 2, 3, 1}, {4, 5, 7, 6}}};

int edge_between(int a, int b) {
  for (int e = 0; e < kCubeEdges; ++e) {
    const auto c = edge_corners(e);
    if ((c[0] == a && c[1] == b) || (c[0] == b && c[1] == a)) return e;
  }
  return -1;
}

CubeCase make_case(uint8_t inside) {
  const auto is_inside = [&](int corner) { return (inside >> corner & 1) != 0; };
  // On each face a line cuts off each run of inside corners. Where one face's line ends on an edge, that of the other
  // face begins there, as they walk the edge in opposite ways: all lines make closed loops.
  std::array<int, kCubeEdges> next;
  next.fill(-1);
  for (const auto& face : kFaces)
    for (std::size_t k = 0; k < 4; ++k) {
      if (is_inside(face[k]) || !is_inside(face[(k + 1) % 4])) continue;
      const int enters = edge_between(face[k], face[(k + 1) % 4]);
      std::size_t last = (k + 1) % 4;
      while (is_inside(face[(last + 1) % 4])) last = (last + 1) % 4;
      next[static_cast<std::size_t>(enters)] = edge_between(face[last], face[(last + 1) % 4]);
    }
  CubeCase out;
  for (std::size_t first = 0; first < kCubeEdges; ++first) {
    if (next[first] < 0) continue;
    const auto step = [&](std::size_t e) {
      const int to = next[e];
      next[e] = -1;
      return static_cast<std::size_t>(to);
    };
    std::size_t b = step(first);
    for (std::size_t c = step(b); c != first; b = c, c = step(c)) {
      const auto at = static_cast<std::size_t>(3 * out.triangles++);
      out.edges[at] = static_cast<uint8_t>(first);
      out.edges[at + 1] = static_cast<uint8_t>(b);
      out.edges[at + 2] = static_cast<uint8_t>(c);
    }
  }
  return out;
}

}  // namespace

std::array<int, 2> edge_corners(int edge) {
  const int axis = edge / 4, a = edge & 1, b = edge >> 1 & 1;
  const int u = (axis + 1) % 3, v = (axis + 2) % 3;
  const int from = a << u | b << v;
  return {from, from | 1 << axis};
}

const CubeCase& cube_case(uint8_t inside) {
  static const std::array<CubeCase, 256> all = [] {
    std::array<CubeCase, 256> cases;
    for (int mask = 0; mask < 256; ++mask)
      cases[static_cast<std::size_t>(mask)] = make_case(static_cast<uint8_t>(mask));
    return cases;
  }();
  return all[inside];
}

}  // namespace covary::geometry
