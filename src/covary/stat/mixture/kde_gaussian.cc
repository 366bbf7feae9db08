#include "covary/stat/mixture/kde_gaussian.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>

#include "covary/stat/mixture/kde_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_gaussian.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/exp2-inl.h"

namespace covary::mixture {
#ifndef COVARY_STAT_MIXTURE_KDE_GAUSSIAN_SHARED
#define COVARY_STAT_MIXTURE_KDE_GAUSSIAN_SHARED

constexpr int64_t kShare = 4;  // queries that share a loaded point

struct SharedQueries {
  const double* factors;  // [kShare,d]
  std::array<double, kShare> floors, offsets, sums;
  int64_t count;
};

#endif
}  // namespace covary::mixture

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr D kD;
constexpr int64_t kVectors = 2;  // of points, a turn

template <bool kBrief>
HWY_INLINE double sum_of_powers(double* kept, int64_t n, double offset) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  const V shift = hn::Set(kD, offset);
  hn::StoreU(hn::Set(kD, -std::numeric_limits<double>::infinity()), kD, kept + n);
  V total = hn::Zero(kD);
  for (int64_t i = 0; i < n; i += lanes) {
    const V t = hn::Max(hn::Add(hn::LoadU(kD, kept + i), shift), hn::Set(kD, -2000.0));
    total = hn::Add(total, compute::HWY_NAMESPACE::exp2_negative<kBrief>(kD, t));
  }
  return hn::GetLane(hn::SumOfLanes(kD, total));
}

// kDims: d when known, else 0.
template <int kDims>
HWY_INLINE void near(const GaussianLeaf& leaf, int64_t dims, int64_t room, bool brief, double* kept,
                     SharedQueries& q) {
  const int64_t d = kDims ? kDims : dims, lanes = static_cast<int64_t>(hn::Lanes(kD));
  const int64_t count = leaf.count;
  const double* HWY_RESTRICT columns = leaf.columns;
  const double* HWY_RESTRICT starts = leaf.starts;
  const double* HWY_RESTRICT factors = q.factors;
  int64_t n[kShare] = {};
  V floors[kShare];
  for (int64_t b = 0; b < kShare; ++b) floors[b] = hn::Set(kD, q.floors[b] - q.offsets[b]);
  for (int64_t i = 0; i < count; i += kVectors * lanes) {
    V sum[kShare][kVectors];
    for (int64_t g = 0; g < kVectors; ++g) {
      const V start = hn::LoadU(kD, starts + i + g * lanes);
      for (int64_t b = 0; b < kShare; ++b) sum[b][g] = start;
    }
    for (int64_t j = 0; j < d; ++j) {
      V x[kVectors];
      for (int64_t g = 0; g < kVectors; ++g)
        x[g] = hn::LoadU(kD, columns + j * count + i + g * lanes);
      for (int64_t b = 0; b < kShare; ++b) {
        const V w = hn::Set(kD, factors[b * d + j]);
        for (int64_t g = 0; g < kVectors; ++g) sum[b][g] = hn::MulAdd(w, x[g], sum[b][g]);
      }
    }
    for (int64_t b = 0; b < kShare; ++b) {
      for (int64_t g = 0; g < kVectors; ++g) {
        n[b] += static_cast<int64_t>(
            hn::CompressStore(sum[b][g], hn::Gt(sum[b][g], floors[b]), kD, kept + b * room + n[b]));
      }
    }
  }
  for (int64_t b = 0; b < q.count; ++b) {
    q.sums[b] = brief ? sum_of_powers<true>(kept + b * room, n[b], q.offsets[b])
                      : sum_of_powers<false>(kept + b * room, n[b], q.offsets[b]);
  }
}

void near_simd(const GaussianLeaf& leaf, int64_t d, int64_t room, bool brief, double* kept,
               SharedQueries& q) {
  switch (d) {
    case 2:
      return near<2>(leaf, d, room, brief, kept, q);
    case 3:
      return near<3>(leaf, d, room, brief, kept, q);
    default:
      return near<0>(leaf, d, room, brief, kept, q);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(near_simd);

namespace {
constexpr int64_t kMostLanes = 8;
static_assert(kKdePad % (2 * kMostLanes) == 0);
}  // namespace

double gaussian_rounding(double radius, int64_t d) {
  // Terms that are not 0 lie within 38 bandwidths of their query.
  const double far = radius + 38;
  return 0x1p-53 * (static_cast<double>(d + 2) * radius * far + 2 * far * far);
}

GaussianSums::GaussianSums(int64_t d, int64_t most)
    : d_(d),
      room_(most + kMostLanes),
      factors_(static_cast<size_t>(kShare * d), 0.0),
      kept_(static_cast<size_t>(kShare * room_)) {}

void GaussianSums::add(const GaussianLeaf& leaf, const double* queries, int64_t m,
                       const double* floors, bool brief, double* sums) {
  SharedQueries q{};
  q.factors = factors_.data();
  std::array<int64_t, kShare> who{};
  const auto run = [&] {
    // Nothing is above the floor of those that are not there.
    for (int64_t b = q.count; b < kShare; ++b) {
      q.floors[static_cast<size_t>(b)] = std::numeric_limits<double>::infinity();
      q.offsets[static_cast<size_t>(b)] = 0;
    }
    HWY_DYNAMIC_DISPATCH(near_simd)(leaf, d_, room_, brief, kept_.data(), q);
    for (int64_t b = 0; b < q.count; ++b)
      sums[who[static_cast<size_t>(b)]] += q.sums[static_cast<size_t>(b)];
    q.count = 0;
  };
  for (int64_t a = 0; a < m; ++a) {
    // What the heaviest point would add at the nearest corner of the box.
    double square = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const double v = queries[a * d_ + j];
      const double gap = std::max({0.0, leaf.low[j] - v, v - leaf.high[j]});
      square += gap * gap;
    }
    if (!(leaf.heaviest - 0.5 * std::numbers::log2e * square > floors[a])) continue;
    double norm = 0;
    double* factors = factors_.data() + q.count * d_;
    for (int64_t j = 0; j < d_; ++j) {
      const double v = queries[a * d_ + j] - leaf.middle[j];
      factors[j] = v * std::numbers::log2e;
      norm += v * v;
    }
    const auto at = static_cast<size_t>(q.count);
    q.floors[at] = floors[a];
    q.offsets[at] = -0.5 * std::numbers::log2e * norm;
    who[at] = a;
    if (++q.count == kShare) run();
  }
  if (q.count > 0) run();
}

}  // namespace covary::mixture
#endif
