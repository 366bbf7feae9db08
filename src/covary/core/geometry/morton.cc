#include "covary/core/geometry/morton.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "covary/core/base/radix_order.h"

namespace covary::geometry {
namespace {

constexpr int kBits = 21;  // an axis

// Every third bit from the lowest on, of 21: halves part by twice their width, then their halves.
uint64_t spread_bits(uint64_t x) {
  x = (x | x << 32) & 0x001f00000000ffff;
  x = (x | x << 16) & 0x001f0000ff0000ff;
  x = (x | x << 8) & 0x100f00f00f00f00f;
  x = (x | x << 4) & 0x10c30c30c30c30c3;
  return (x | x << 2) & 0x1249249249249249;
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
  const std::vector<uint32_t> order = radix_order<uint64_t>(n, [&](int64_t i) {
    uint64_t key = 0;
    for (size_t k = 0; k < 3; ++k) {
      const double cell = (points[3 * i + static_cast<int64_t>(k)] - low[k]) * scale[k];
      const bool inside = cell > 0;  // false for what is not a number, too
      key |= spread_bits(static_cast<uint64_t>(inside ? std::min(cell, (1 << kBits) - 1.0) : 0.0))
             << k;
    }
    return key;
  });
  return {order.begin(), order.end()};
}

}  // namespace covary::geometry
