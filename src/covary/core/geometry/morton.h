// Points in the order of a Morton curve: neighbours in space are, mostly, neighbours in memory.
//
//   std::vector<int64_t> order = morton_order(means.const_data_ptr<float>(), n);   // points[order[0]] comes first
//
// The grid has 2^21 cells along each axis over the middle 98 % of the points' coordinates there; what lies beyond counts as
// the grid's border, and what is not a number as its low one. Points of one cell keep their order. No torch. Memory beside
// the result: 12 bytes a point, and 24 for the points of the fullest piles of 1/4096 of the curve.
// Source: Morton 1966, a computer oriented geodetic data base.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::geometry {

// Places 0 .. n-1 of points [n,3].
std::vector<int64_t> morton_order(const float* points, int64_t n);

}  // namespace covary::geometry
