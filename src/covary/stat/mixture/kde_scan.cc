#include "covary/stat/mixture/kde_scan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_tree.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_scan.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/stat/mixture/kde_shape-inl.h"

namespace covary::mixture {
#ifndef COVARY_STAT_MIXTURE_KDE_SCAN_SHARED
#define COVARY_STAT_MIXTURE_KDE_SCAN_SHARED

constexpr int64_t kScanTile = 96;  // points

#endif
}  // namespace covary::mixture

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

// s of a tile's points [d][count] from a query; roots: its square root. Returns the least over points of
// weight above 0.
double tile_distances_simd(Kernel kernel, bool roots, const double* x, const double* weights,
                           int64_t count, int64_t d, const double* q, double* out) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  const V far = hn::Set(kD, std::numeric_limits<double>::infinity());
  V least = far;
  for (int64_t i = 0; i < count; i += 2 * lanes) {
    V a = hn::Zero(kD), b = hn::Zero(kD);
    for (int64_t j = 0; j < d; ++j) {
      const V at = hn::Set(kD, q[j]);
      const V u = hn::Sub(hn::LoadU(kD, x + j * count + i), at);
      const V v = hn::Sub(hn::LoadU(kD, x + j * count + i + lanes), at);
      if (kernel == Kernel::kLaplacian) {
        a = hn::Add(a, hn::Abs(u));
        b = hn::Add(b, hn::Abs(v));
      } else {
        a = hn::MulAdd(u, u, a);
        b = hn::MulAdd(v, v, b);
      }
    }
    if (roots) a = hn::Sqrt(a), b = hn::Sqrt(b);
    hn::StoreU(a, kD, out + i);
    hn::StoreU(b, kD, out + i + lanes);
    const V zero = hn::Zero(kD);
    least = hn::Min(least, hn::IfThenElse(hn::Gt(hn::LoadU(kD, weights + i), zero), a, far));
    least =
        hn::Min(least, hn::IfThenElse(hn::Gt(hn::LoadU(kD, weights + i + lanes), zero), b, far));
  }
  return hn::GetLane(hn::MinOfLanes(kD, least));
}

// sums[b] += sum w exp(-rate 2^b (u - least)) for b < count; terms [points] is scratch.
void add_chain_simd(const double* u, const double* weights, int64_t points, double least,
                    double rate, int64_t count, double* terms, double* sums) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  const V shift = hn::Set(kD, least), factor = hn::Set(kD, -rate * std::numbers::log2e);
  V total = hn::Zero(kD);
  for (int64_t i = 0; i < points; i += lanes) {
    // Points of weight 0 may be nearer than the least.
    const V t = hn::Min(hn::Mul(hn::Sub(hn::LoadU(kD, u + i), shift), factor), hn::Zero(kD));
    const V term = compute::HWY_NAMESPACE::exp2_negative<false>(kD, t);
    total = hn::MulAdd(hn::LoadU(kD, weights + i), term, total);
    hn::StoreU(term, kD, terms + i);
  }
  sums[0] += hn::GetLane(hn::SumOfLanes(kD, total));
  for (int64_t b = 1; b < count; ++b) {
    V first = hn::Zero(kD), second = hn::Zero(kD);
    for (int64_t i = 0; i < points; i += 2 * lanes) {
      V v = hn::LoadU(kD, terms + i), w = hn::LoadU(kD, terms + i + lanes);
      v = hn::Mul(v, v);
      w = hn::Mul(w, w);
      first = hn::MulAdd(hn::LoadU(kD, weights + i), v, first);
      second = hn::MulAdd(hn::LoadU(kD, weights + i + lanes), w, second);
      hn::StoreU(v, kD, terms + i);
      hn::StoreU(w, kD, terms + i + lanes);
    }
    sums[b] += hn::GetLane(hn::SumOfLanes(kD, hn::Add(first, second)));
  }
}

template <Kernel kKernel>
HWY_INLINE double bounded(const double* s, const double* weights, int64_t points, double shrink) {
  V total = hn::Zero(kD);
  for (int64_t i = 0; i < points; i += static_cast<int64_t>(hn::Lanes(kD)))
    total = hn::MulAdd(
        hn::LoadU(kD, weights + i),
        kernel_of_square<kKernel, false>(hn::Mul(hn::LoadU(kD, s + i), hn::Set(kD, shrink))),
        total);
  return hn::GetLane(hn::SumOfLanes(kD, total));
}

double bounded_sum_simd(Kernel kernel, const double* s, const double* weights, int64_t points,
                        double shrink) {
  switch (kernel) {
    case Kernel::kEpanechnikov:
      return bounded<Kernel::kEpanechnikov>(s, weights, points, shrink);
    case Kernel::kTophat:
      return bounded<Kernel::kTophat>(s, weights, points, shrink);
    case Kernel::kLinear:
      return bounded<Kernel::kLinear>(s, weights, points, shrink);
    default:
      return bounded<Kernel::kCosine>(s, weights, points, shrink);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(tile_distances_simd);
HWY_EXPORT(add_chain_simd);
HWY_EXPORT(bounded_sum_simd);

namespace {

constexpr int64_t kScanQueries = 16;  // that see the tiles in one order

// Rates, each the double of the one before, and which widths they are of.
struct Chain {
  double rate = 0;  // the first
  std::vector<size_t> widths;
};

std::vector<Chain> chains_of(const std::vector<double>& rates) {
  std::vector<size_t> order(rates.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return rates[a] < rates[b]; });
  std::vector<Chain> out;
  for (const size_t b : order) {
    bool placed = false;
    for (Chain& c : out) {
      const double next = std::ldexp(c.rate, static_cast<int>(c.widths.size()));
      // As far apart as logarithms make them when a grid of factors is written down.
      if (c.widths.size() < 12 && std::abs(rates[b] - next) <= 4e-15 * next) {
        c.widths.push_back(b);
        placed = true;
        break;
      }
    }
    if (!placed) out.push_back({rates[b], {b}});
  }
  return out;
}

}  // namespace

ScanPoints::ScanPoints(const std::vector<double>& x, const std::vector<double>& weights, int64_t n,
                       int64_t d)
    : d_(d), places_(static_cast<size_t>(n)) {
  std::vector<int64_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  order_in_space(x.data(), d, ids.data(), ids.data() + n, kScanTile);
  for (int64_t begin = 0; begin < n; begin += kScanTile) {
    const int64_t own = std::min(kScanTile, n - begin);
    const int64_t count = (own + kKdePad - 1) / kKdePad * kKdePad;
    const int64_t place = static_cast<int64_t>(weights_.size());
    tiles_.push_back({place, count});
    weights_.resize(weights_.size() + static_cast<size_t>(count), 0.0);
    columns_.resize(columns_.size() + static_cast<size_t>(count * d), 0.0);
    for (int64_t j = 0; j < d; ++j) {
      double low = std::numeric_limits<double>::infinity(), high = -low;
      for (int64_t i = 0; i < own; ++i) {
        const double v = x[static_cast<size_t>(ids[static_cast<size_t>(begin + i)] * d + j)];
        columns_[static_cast<size_t>(place * d + j * count + i)] = v;
        low = std::min(low, v);
        high = std::max(high, v);
      }
      low_.push_back(low);
      high_.push_back(high);
    }
    for (int64_t i = 0; i < own; ++i) {
      const auto row = static_cast<size_t>(ids[static_cast<size_t>(begin + i)]);
      places_[row] = place + i;
      weights_[static_cast<size_t>(place + i)] = weights[row];
      total_ += weights[row];
    }
  }
}

void ScanPoints::log_sums(Kernel kernel, const double* queries, const int64_t* own, int64_t m,
                          const double* shrinks, int64_t count, double* out) const {
  const bool endless = std::isinf(kernel_radius(kernel)), roots = kernel == Kernel::kExponential;
  const double least_shrink = *std::min_element(shrinks, shrinks + count);
  std::vector<double> rates(shrinks, shrinks + count);
  for (double& r : rates) r = kernel == Kernel::kGaussian ? 0.5 * r : roots ? std::sqrt(r) : r;
  const std::vector<Chain> chains = endless ? chains_of(rates) : std::vector<Chain>{};
  std::vector<int64_t> ids(static_cast<size_t>(m));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  order_in_space(queries, d_, ids.data(), ids.data() + m, kScanQueries);
  parallel_tasks((m + kScanQueries - 1) / kScanQueries, [&](int64_t block) {
    const int64_t begin = block * kScanQueries, members = std::min(kScanQueries, m - begin);
    std::vector<double> low(static_cast<size_t>(d_), std::numeric_limits<double>::infinity());
    std::vector<double> high(static_cast<size_t>(d_), -std::numeric_limits<double>::infinity());
    for (int64_t a = 0; a < members; ++a) {
      const double* q = queries + ids[static_cast<size_t>(begin + a)] * d_;
      for (size_t j = 0; j < low.size(); ++j) {
        low[j] = std::min(low[j], q[j]);
        high[j] = std::max(high[j], q[j]);
      }
    }
    // Tiles by the least that their points can be from the block.
    std::vector<std::pair<double, size_t>> order;
    for (size_t t = 0; t < tiles_.size(); ++t) {
      double s = 0;
      for (size_t j = 0; j < low.size(); ++j) {
        const size_t at = t * low.size() + j;
        s += kernel_term(kernel, std::max({0.0, low[j] - high_[at], low_[at] - high[j]}));
      }
      order.emplace_back(roots ? std::sqrt(s) : s, t);
    }
    std::sort(order.begin(), order.end());
    double u[kScanTile], held[kScanTile], terms[kScanTile];
    std::vector<double> sums(static_cast<size_t>(count)), chain_sums(sums), reach(sums);
    for (int64_t a = 0; a < members; ++a) {
      const int64_t id = ids[static_cast<size_t>(begin + a)];
      const double* q = queries + id * d_;
      const int64_t self = own && own[id] >= 0 ? places_[static_cast<size_t>(own[id])] : -1;
      double least = std::numeric_limits<double>::infinity(), widest = least;
      std::fill(sums.begin(), sums.end(), 0.0);
      std::fill(reach.begin(), reach.end(), least);
      for (const auto& [nearest, t] : order) {
        // reach[b]: how far a tile's points must be above the least to be nothing to width b.
        if (endless ? nearest - least > widest : nearest * least_shrink >= 1) break;
        const Tile& tile = tiles_[t];
        const double* weights = weights_.data() + tile.begin;
        if (self >= tile.begin && self < tile.begin + tile.count) {
          std::copy_n(weights, tile.count, held);
          held[self - tile.begin] = 0;
          weights = held;
        }
        const double near = HWY_DYNAMIC_DISPATCH(tile_distances_simd)(
            kernel, roots, columns_.data() + tile.begin * d_, weights, tile.count, d_, q, u);
        if (std::isinf(near)) continue;  // weights of 0 alone
        if (!endless) {
          for (size_t b = 0; b < sums.size(); ++b) {
            if (near * shrinks[b] < 1)
              sums[b] += HWY_DYNAMIC_DISPATCH(bounded_sum_simd)(kernel, u, weights, tile.count,
                                                                shrinks[b]);
          }
          continue;
        }
        bool moved = false;
        if (near < least) {
          for (size_t b = 0; b < sums.size(); ++b)
            sums[b] *= std::isinf(least) ? 0 : std::exp(-rates[b] * (least - near));
          least = near;
          moved = true;
        }
        for (const Chain& chain : chains) {
          size_t length = 0;
          for (size_t b = 0; b < chain.widths.size(); ++b)
            if (near - least <= reach[chain.widths[b]]) length = b + 1;
          if (length == 0) continue;
          std::fill_n(chain_sums.begin(), length, 0.0);
          HWY_DYNAMIC_DISPATCH(add_chain_simd)
          (u, weights, tile.count, least, chain.rate, static_cast<int64_t>(length), terms,
           chain_sums.data());
          for (size_t b = 0; b < length; ++b) sums[chain.widths[b]] += chain_sums[b];
        }
        if (moved) {
          // Sums only grow from here on, until the least moves again.
          widest = 0;
          for (size_t b = 0; b < sums.size(); ++b) {
            reach[b] = (std::log(total_ / sums[b]) + 42) / rates[b];
            widest = std::max(widest, reach[b]);
          }
        }
      }
      for (size_t b = 0; b < sums.size(); ++b)
        out[id * count + static_cast<int64_t>(b)] =
            sums[b] > 0 ? std::log(sums[b]) - (endless ? rates[b] * least : 0)
                        : -std::numeric_limits<double>::infinity();
    }
  });
}

}  // namespace covary::mixture
#endif
