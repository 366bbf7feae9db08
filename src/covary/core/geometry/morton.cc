#include "covary/core/geometry/morton.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "covary/core/base/radix_order.h"
#include "covary/core/base/threads.h"

namespace covary::geometry {
namespace {

constexpr int kBits = 21;           // an axis
constexpr int kPileBits = 12;       // of a key, that name the pile in which it is sorted
constexpr int64_t kGrain = 8192;    // points
constexpr int64_t kFewKeys = 4096;  // that a comparing sort orders sooner

// Every third bit from the lowest on, of 21: halves part by twice their width, then their halves.
uint64_t spread_bits(uint64_t x) {
  x = (x | x << 32) & 0x001f00000000ffff;
  x = (x | x << 16) & 0x001f0000ff0000ff;
  x = (x | x << 8) & 0x100f00f00f00f00f;
  x = (x | x << 4) & 0x10c30c30c30c30c3;
  return (x | x << 2) & 0x1249249249249249;
}

// By key, equal ones as they stand. Piles of like keys are sorted one by one, so that the memory of sorting is that of a
// few piles.
std::vector<uint32_t> order_of(const std::vector<uint64_t>& keys) {
  const auto pile = [](uint64_t key) {
    return static_cast<size_t>(key >> (3 * kBits - kPileBits));
  };
  std::vector<uint32_t> first((size_t{1} << kPileBits) + 1);
  for (const uint64_t key : keys) ++first[pile(key) + 1];
  std::partial_sum(first.begin(), first.end(), first.begin());
  std::vector<uint32_t> order(keys.size());
  {
    std::vector<uint32_t> at = first;
    for (size_t i = 0; i < keys.size(); ++i) order[at[pile(keys[i])]++] = static_cast<uint32_t>(i);
  }
  parallel_tasks(int64_t{1} << kPileBits, [&](int64_t p) {
    uint32_t* in = order.data() + first[static_cast<size_t>(p)];
    const int64_t n = order.data() + first[static_cast<size_t>(p) + 1] - in;
    if (n <= kFewKeys) {
      std::sort(in, in + n, [&](uint32_t a, uint32_t b) {
        return keys[a] != keys[b] ? keys[a] < keys[b] : a < b;
      });
      return;
    }
    std::vector<uint32_t> sorted = radix_order<uint64_t>(n, [&](int64_t i) { return keys[in[i]]; });
    for (uint32_t& place : sorted) place = in[place];
    std::copy(sorted.begin(), sorted.end(), in);
  });
  return order;
}

}  // namespace

std::vector<int64_t> morton_order(const float* points, int64_t n) {
  std::array<double, 3> low{}, scale{};
  {
    std::vector<float> axis(static_cast<size_t>(n));
    for (int k = 0; k < 3 && n > 0; ++k) {
      for (int64_t i = 0; i < n; ++i) {
        const float x = points[3 * i + k];
        axis[static_cast<size_t>(i)] = std::isfinite(x) ? x : 0.0f;
      }
      const auto at = [&](double share) {
        const auto place = axis.begin() + std::lround(share * static_cast<double>(n - 1));
        std::nth_element(axis.begin(), place, axis.end());
        return static_cast<double>(*place);
      };
      low[static_cast<size_t>(k)] = at(0.01);
      const double width = at(0.99) - low[static_cast<size_t>(k)];
      scale[static_cast<size_t>(k)] = width > 0 ? ((1 << kBits) - 1) / width : 0;
    }
  }
  std::vector<uint64_t> keys(static_cast<size_t>(n));
  parallel_for(n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      uint64_t& key = keys[static_cast<size_t>(i)];
      for (size_t k = 0; k < 3; ++k) {
        const double cell = (points[3 * i + static_cast<int64_t>(k)] - low[k]) * scale[k];
        const bool inside = cell > 0;  // false for what is not a number, too
        key |= spread_bits(static_cast<uint64_t>(inside ? std::min(cell, (1 << kBits) - 1.0) : 0.0))
               << k;
      }
    }
  });
  const std::vector<uint32_t> order = order_of(keys);
  keys = {};
  return {order.begin(), order.end()};
}

}  // namespace covary::geometry
