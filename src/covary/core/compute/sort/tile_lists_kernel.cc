#include "covary/core/compute/sort/tile_lists.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/rasterize/footprints.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

constexpr int64_t kChunk = 4096;  // primitives a task

struct TileRange {
  int x0, x1;  // tiles [x0, x1)
};

// First and one past the last rendered pixel whose centre lies in [low, high], clamped to [0, n).
template <class T>
COVARY_INLINE void pixel_range(T low, T high, int stride, int offset, int n, int& first,
                               int& last) {
  const T inv = T(1) / static_cast<T>(stride), shift = static_cast<T>(offset) + T(0.5);
  const T a = std::ceil((low - shift) * inv), b = std::floor((high - shift) * inv) + 1;
  first = static_cast<int>(std::clamp(a, T(0), static_cast<T>(n)));
  last = static_cast<int>(std::clamp(b, T(0), static_cast<T>(n)));
}

// Calls use(tile_row, TileRange) for each row of tiles that primitive i touches. A little slack
// keeps pixels on the very border, where rounding decides: a tile too many costs time, one too few
// would change the picture.
template <class F, class T, class Use>
COVARY_INLINE void for_tile_rows(const TileGrid& grid, const TileSplats<T>& s, int64_t i,
                                 bool exact, Use&& use) {
  const T x = s.centres[2 * i], y = s.centres[2 * i + 1];
  const T hx = s.halves[2 * i] * T(1.0001) + T(0.001),
          hy = s.halves[2 * i + 1] * T(1.0001) + T(0.001);
  int px0, px1, py0, py1;
  pixel_range(x - hx, x + hx, grid.stride, grid.offset_x, grid.width, px0, px1);
  pixel_range(y - hy, y + hy, grid.stride, grid.offset_y, grid.height, py0, py1);
  if (px0 >= px1 || py0 >= py1) return;
  const int row0 = py0 / kTile, row1 = (py1 - 1) / kTile;
  const TileRange box{px0 / kTile, (px1 - 1) / kTile + 1};
  if (!exact || (row0 == row1 && box.x1 - box.x0 == 1)) {
    for (int row = row0; row <= row1; ++row) use(row, box);
    return;
  }
  const T* p = s.params + i * F::kParams;
  const T extent = s.extents[i] * T(1.001) + T(0.001);
  for (int row = row0; row <= row1; ++row) {
    const T first = static_cast<T>(std::max(row * kTile, py0)),
            last = static_cast<T>(std::min(row * kTile + kTile, py1) - 1);
    const T shift = static_cast<T>(grid.offset_y) + T(0.5) - y, step = static_cast<T>(grid.stride);
    T left, right;
    if (!F::span(p, extent, first * step + shift - T(0.001), last * step + shift + T(0.001), left,
                 right))
      continue;
    int a, b;
    pixel_range(x + left - T(0.001), x + right + T(0.001), grid.stride, grid.offset_x, grid.width,
                a, b);
    if (a >= b) continue;
    use(row, TileRange{a / kTile, (b - 1) / kTile + 1});
  }
}

template <class F, class T>
TileLists build(const TileGrid& grid, const TileSplats<T>& s, bool exact) {
  const int64_t m = s.count, chunks = (m + kChunk - 1) / kChunk;
  const int tiles = grid.tiles(), tiles_x = grid.tiles_x();
  std::optional<StageTimer> stage(std::in_place, "bin");
  TileLists lists;
  lists.first_entry.assign(static_cast<size_t>(m) + 1, 0);
  // Each chunk of primitives lists its tiles on its own; then the chunks are joined.
  std::vector<std::vector<uint32_t>> parts(static_cast<size_t>(chunks));
  parallel_tasks(chunks, [&](int64_t chunk) {
    std::vector<uint32_t>& part = parts[static_cast<size_t>(chunk)];
    part.reserve(4 * kChunk);
    for (int64_t i = chunk * kChunk; i < std::min(m, (chunk + 1) * kChunk); ++i) {
      const size_t before = part.size();
      for_tile_rows<F>(grid, s, i, exact, [&](int row, TileRange r) {
        for (int x = r.x0; x < r.x1; ++x) part.push_back(static_cast<uint32_t>(row * tiles_x + x));
      });
      lists.first_entry[static_cast<size_t>(i) + 1] = static_cast<int64_t>(part.size() - before);
    }
  });
  std::partial_sum(lists.first_entry.begin(), lists.first_entry.end(), lists.first_entry.begin());
  const int64_t pairs = lists.first_entry[static_cast<size_t>(m)];
  if (pairs > int64_t{0xffffffff}) {
    throw Error(ExitCode::kFailed, "more than 2^32 pairs of primitives and tiles", "rasterizer",
                "render a smaller image or fewer primitives");
  }
  std::vector<uint32_t>& tile_of = lists.entry;  // until the pair's place is known
  tile_of.reserve(static_cast<size_t>(pairs));
  for (const auto& part : parts) tile_of.insert(tile_of.end(), part.begin(), part.end());

  stage->add_items(pairs);
  stage.reset();
  stage.emplace("sort");
  stage->add_items(pairs);

  // Counting sort by tile in depth order. Blocks of consecutive ranks count on their own; a block's
  // entries of a tile follow those of the blocks before it, so that the order is that of one serial
  // pass.
  const std::vector<uint32_t> order = order_by_depth(s.depths, m);
  const int64_t blocks = std::clamp<int64_t>(pairs / 65536, 1, 2 * threads()),
                per_block = (m + blocks - 1) / blocks;
  std::vector<int64_t> position(static_cast<size_t>(blocks * tiles), 0);
  const auto each_pair = [&](int64_t block, auto&& use) {
    for (int64_t r = block * per_block; r < std::min(m, (block + 1) * per_block); ++r) {
      const uint32_t i = order[static_cast<size_t>(r)];
      for (int64_t k = lists.first_entry[i]; k < lists.first_entry[i + 1]; ++k)
        use(i, tile_of[static_cast<size_t>(k)]);
    }
  };
  parallel_tasks(blocks, [&](int64_t block) {
    int64_t* count = position.data() + block * tiles;
    each_pair(block, [&](uint32_t, uint32_t tile) { ++count[tile]; });
  });
  lists.begin.resize(static_cast<size_t>(tiles) + 1);
  int64_t at = 0;
  for (int t = 0; t < tiles; ++t) {
    lists.begin[static_cast<size_t>(t)] = at;
    for (int64_t b = 0; b < blocks; ++b) {
      int64_t& p = position[static_cast<size_t>(b * tiles + t)];
      const int64_t n = p;
      p = at;
      at += n;
    }
  }
  lists.begin[static_cast<size_t>(tiles)] = at;
  lists.splat.resize(static_cast<size_t>(pairs));
  parallel_tasks(blocks, [&](int64_t block) {
    int64_t* next = position.data() + block * tiles;
    each_pair(block, [&](uint32_t i, uint32_t& entry) {
      const int64_t e = next[entry]++;
      lists.splat[static_cast<size_t>(e)] = i;
      entry = static_cast<uint32_t>(e);
    });
  });
  return lists;
}

// Least significant digit first, 11 bits a pass; positive floats order like their bits.
template <class Bits, class T>
std::vector<uint32_t> radix_order(const T* keys, int64_t n) {
  constexpr int kDigit = 11, kBuckets = 1 << kDigit;
  struct Item {
    Bits key;
    uint32_t index;
  };
  std::vector<Item> a(static_cast<size_t>(n)), b(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    a[static_cast<size_t>(i)] = {std::bit_cast<Bits>(keys[i]), static_cast<uint32_t>(i)};
  for (int shift = 0; shift < static_cast<int>(8 * sizeof(Bits)); shift += kDigit) {
    std::array<int64_t, kBuckets> count{};
    for (const Item& item : a) ++count[(item.key >> shift) & (kBuckets - 1)];
    if (std::find(count.begin(), count.end(), n) != count.end()) continue;  // one digit for all
    int64_t at = 0;
    for (int64_t& c : count) at += std::exchange(c, at);
    for (const Item& item : a)
      b[static_cast<size_t>(count[(item.key >> shift) & (kBuckets - 1)]++)] = item;
    a.swap(b);
  }
  std::vector<uint32_t> order(static_cast<size_t>(n));
  for (size_t i = 0; i < order.size(); ++i) order[i] = a[i].index;
  return order;
}

}  // namespace

std::vector<uint32_t> order_by_depth(const float* keys, int64_t n) {
  return radix_order<uint32_t>(keys, n);
}
std::vector<uint32_t> order_by_depth(const double* keys, int64_t n) {
  return radix_order<uint64_t>(keys, n);
}

template <class T>
TileLists build_tile_lists(const TileGrid& grid, const TileSplats<T>& splats, bool exact) {
  return with_footprint(splats.footprint, [&]<class F>() { return build<F>(grid, splats, exact); });
}
template TileLists build_tile_lists(const TileGrid&, const TileSplats<float>&, bool);
template TileLists build_tile_lists(const TileGrid&, const TileSplats<double>&, bool);

}  // namespace covary::compute
