#include "covary/core/compute/sort/tile_lists.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <numeric>
#include <optional>

#include "covary/core/base/error.h"
#include "covary/core/base/radix_order.h"
#include "covary/core/base/stages.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/rasterize/footprints.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/rasterize/footprints.inc"

constexpr int64_t kChunk = 2048;  // primitives a task

struct TileRange {
  int x0, x1;  // tiles [x0, x1)
};

// First and one past the last rendered pixel whose centre lies in [low, high], clamped to [0, n).
template <class T>
COVARY_INLINE void pixel_range(T low, T high, int stride, int offset, int n, int& first,
                               int& last) {
  const T inv = T(1) / static_cast<T>(stride), shift = static_cast<T>(offset) + T(0.5);
  // ceil and floor + 1, of what is clamped first: a conversion and a comparison instead of a call.
  const T a = std::clamp((low - shift) * inv, T(0), static_cast<T>(n)),
          b = std::clamp((high - shift) * inv + T(1), T(0), static_cast<T>(n));
  first = static_cast<int>(a);
  first += static_cast<T>(first) < a;
  last = static_cast<int>(b);
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
  const auto outline = F::template outline<T>(p, s.extents[i]);
  const T shift = static_cast<T>(grid.offset_y) + T(0.5) - y, step = static_cast<T>(grid.stride);
  for (int row = row0; row <= row1; ++row) {
    const T first = static_cast<T>(std::max(row * kTile, py0)),
            last = static_cast<T>(std::min(row * kTile + kTile, py1) - 1);
    T left, right;
    if (!F::span(outline, first * step + shift - T(0.001), last * step + shift + T(0.001), left,
                 right))
      continue;
    int a, b;
    pixel_range(x + left - T(0.001), x + right + T(0.001), grid.stride, grid.offset_x, grid.width,
                a, b);
    if (a >= b) continue;
    use(row, TileRange{a / kTile, (b - 1) / kTile + 1});
  }
}

// Neighbouring tiles of one row: [tile, tile + count).
struct Run {
  uint32_t tile, count;
};

template <class F, class T>
TileLists build(const TileGrid& grid, const TileSplats<T>& s, bool exact) {
  const int64_t m = s.count, chunks = (m + kChunk - 1) / kChunk;
  const int tiles = grid.tiles(), tiles_x = grid.tiles_x();
  std::optional<StageTimer> stage(std::in_place, "sort");
  const std::vector<uint32_t> order = order_by_depth(s.depths, m);
  stage.reset();
  stage.emplace("bin");
  TileLists lists;
  lists.first_entry.assign(static_cast<size_t>(m) + 1, 0);
  // Each chunk of ranks lists its tiles on its own: front to back, so that what follows reads them
  // one after the other, and only here are primitives picked here and there.
  std::vector<std::vector<Run>> parts(static_cast<size_t>(chunks));
  std::vector<uint32_t> runs_of(static_cast<size_t>(m));  // by rank
  parallel_tasks(chunks, [&](int64_t chunk) {
    std::vector<Run>& part = parts[static_cast<size_t>(chunk)];
    part.reserve(4 * kChunk);
    const int64_t end = std::min(m, (chunk + 1) * kChunk);
    for (int64_t r = chunk * kChunk; r < end; ++r) {
      const auto ahead = static_cast<int64_t>(order[static_cast<size_t>(std::min(r + 8, end - 1))]);
      __builtin_prefetch(s.centres + 2 * ahead);
      __builtin_prefetch(s.halves + 2 * ahead);
      __builtin_prefetch(s.extents + ahead);
      __builtin_prefetch(s.params + F::kParams * ahead);
      const int64_t i = order[static_cast<size_t>(r)];
      const size_t before = part.size();
      int64_t entries = 0;
      for_tile_rows<F>(grid, s, i, exact, [&](int row, TileRange range) {
        const auto count = static_cast<uint32_t>(range.x1 - range.x0);
        part.push_back({static_cast<uint32_t>(row * tiles_x + range.x0), count});
        entries += count;
      });
      runs_of[static_cast<size_t>(r)] = static_cast<uint32_t>(part.size() - before);
      lists.first_entry[static_cast<size_t>(i) + 1] = entries;
    }
  });
  std::partial_sum(lists.first_entry.begin(), lists.first_entry.end(), lists.first_entry.begin());
  const int64_t pairs = lists.first_entry[static_cast<size_t>(m)];
  if (pairs > int64_t{0xffffffff}) {
    throw Error(ExitCode::kFailed, "more than 2^32 pairs of primitives and tiles", "rasterizer",
                "render a smaller image or fewer primitives");
  }
  stage->add_items(pairs);
  stage.reset();
  stage.emplace("sort");
  stage->add_items(pairs);

  // Counting sort by tile. Blocks of consecutive chunks count on their own; a block's entries of a
  // tile follow those of the blocks before it, so that the order is that of one serial pass.
  const int64_t most = threads() == 1 ? 1 : std::min<int64_t>(chunks, 2 * threads()),
                blocks = std::clamp<int64_t>(pairs / 65536, 1, std::max<int64_t>(most, 1));
  const auto chunks_of = [&](int64_t block, auto&& use) {
    for (int64_t c = chunks * block / blocks; c < chunks * (block + 1) / blocks; ++c) use(c);
  };
  std::vector<uint32_t> position(static_cast<size_t>(blocks * tiles), 0);
  parallel_tasks(blocks, [&](int64_t block) {
    uint32_t* count = position.data() + block * tiles;
    chunks_of(block, [&](int64_t chunk) {
      for (const Run run : parts[static_cast<size_t>(chunk)])
        for (uint32_t k = 0; k < run.count; ++k) ++count[run.tile + k];
    });
  });
  lists.begin.resize(static_cast<size_t>(tiles) + 1);
  int64_t at = 0;
  for (int t = 0; t < tiles; ++t) {
    lists.begin[static_cast<size_t>(t)] = at;
    for (int64_t b = 0; b < blocks; ++b) {
      uint32_t& p = position[static_cast<size_t>(b * tiles + t)];
      const uint32_t n = p;
      p = static_cast<uint32_t>(at);
      at += n;
    }
  }
  lists.begin[static_cast<size_t>(tiles)] = at;
  lists.splat.resize(static_cast<size_t>(pairs));
  lists.entry.resize(static_cast<size_t>(pairs));
  parallel_tasks(blocks, [&](int64_t block) {
    uint32_t* next = position.data() + block * tiles;
    uint32_t* const to_splat = lists.splat.data();
    chunks_of(block, [&](int64_t chunk) {
      const Run* run = parts[static_cast<size_t>(chunk)].data();
      for (int64_t r = chunk * kChunk; r < std::min(m, (chunk + 1) * kChunk); ++r) {
        const uint32_t i = order[static_cast<size_t>(r)];
        uint32_t* entry = lists.entry.data() + lists.first_entry[i];
        for (uint32_t n = runs_of[static_cast<size_t>(r)]; n > 0; --n, ++run) {
          for (uint32_t k = 0; k < run->count; ++k) {
            const uint32_t e = next[run->tile + k]++;
            to_splat[e] = i;
            *entry++ = e;
          }
        }
      }
    });
  });
  return lists;
}

}  // namespace

std::vector<uint32_t> order_by_depth(const float* keys, int64_t n) {
  // Positive floats order like their bits.
  return radix_order<uint32_t>(n, [&](int64_t i) { return std::bit_cast<uint32_t>(keys[i]); });
}
std::vector<uint32_t> order_by_depth(const double* keys, int64_t n) {
  return radix_order<uint64_t>(n, [&](int64_t i) { return std::bit_cast<uint64_t>(keys[i]); });
}

template <class T>
TileLists build_tile_lists(const TileGrid& grid, const TileSplats<T>& splats, bool exact) {
  return with_footprint(splats.footprint, [&]<class F>() { return build<F>(grid, splats, exact); });
}
template TileLists build_tile_lists(const TileGrid&, const TileSplats<float>&, bool);
template TileLists build_tile_lists(const TileGrid&, const TileSplats<double>&, bool);

}  // namespace covary::compute
