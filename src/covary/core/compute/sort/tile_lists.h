// Which primitives touch which 16x16 tile of the screen, front to back.
//
//   TileLists lists = build_tile_lists(grid, splats, /*exact=*/true);
//   for (int64_t e = lists.begin[t]; e < lists.begin[t + 1]; ++e)
//     use(lists.splat[e]);   // nearest first
//
// Every (primitive, tile) pair is an entry of its tile's list. `entry` names those of a primitive, tile
// by tile, so that what tiles write for their entries, one after the other, can be added up by primitive
// in a fixed order. Equal depths keep the order of the primitives. Cost: one radix sort of M depths, then
// a counting sort of the pairs by tile: O(M + pairs) with no 64-bit keys.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::compute {

constexpr int kTile = 16;  // px

// The pixels that are rendered: centres at offset + stride * i + 1/2 in the camera's pixels.
struct TileGrid {
  int width = 0, height = 0;  // rendered pixels
  int stride = 1, offset_x = 0, offset_y = 0;
  int tiles_x() const { return (width + kTile - 1) / kTile; }
  int tiles_y() const { return (height + kTile - 1) / kTile; }
  int tiles() const { return tiles_x() * tiles_y(); }
};

// What the lists need of M projected primitives (see project.h for the arrays).
template <class T>
struct TileSplats {
  int64_t count = 0;
  int footprint = 0;
  const T* centres = nullptr;  // [M,2]
  const T* depths = nullptr;   // [M] > 0
  const T* params = nullptr;   // [M,P]
  const T* extents = nullptr;  // [M]
  const T* halves = nullptr;   // [M,2]
};

struct TileLists {
  std::vector<int64_t> begin;        // [tiles + 1] into splat
  std::vector<uint32_t> splat;       // [pairs] by tile, front to back
  std::vector<int64_t> first_entry;  // [M + 1] into entry
  std::vector<uint32_t> entry;       // [pairs] by primitive: the pair's place in splat
  int64_t pairs() const { return static_cast<int64_t>(splat.size()); }
};

// exact: only tiles that the footprint's region truly crosses; else all tiles of its box.
// Error(kFailed) beyond 2^32 pairs.
template <class T>
TileLists build_tile_lists(const TileGrid& grid, const TileSplats<T>& splats, bool exact);

// Indices 0 .. n-1 in ascending order of key, equal keys in index order; keys are positive and
// finite.
std::vector<uint32_t> order_by_depth(const float* keys, int64_t n);
std::vector<uint32_t> order_by_depth(const double* keys, int64_t n);

}  // namespace covary::compute
