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
  std::array<const double*, kShare> factors;
  std::array<double, kShare> floors, offsets;
  std::array<double, kShare> sums;
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

// Points about the middle to columns [d][count], and what their exponents begin with.
void centre(const GaussianBlock::Leaf& leaf, const double* middle, int64_t d, double* columns,
            double* starts) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD)), count = leaf.end - leaf.begin;
  const V scale = hn::Set(kD, -0.5 * std::numbers::log2e);
  for (int64_t i = 0; i < count; i += lanes) {
    V square = hn::Zero(kD);
    for (int64_t j = 0; j < d; ++j) {
      const V v = hn::Sub(hn::LoadU(kD, leaf.columns + j * leaf.stride + leaf.begin + i),
                          hn::Set(kD, middle[j]));
      hn::StoreU(v, kD, columns + j * count + i);
      square = hn::MulAdd(v, v, square);
    }
    const V weight = hn::LoadU(kD, leaf.log2_weights + leaf.begin + i);
    hn::StoreU(hn::MulAdd(square, scale, weight), kD, starts + i);
  }
}

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
HWY_INLINE void near(const double* HWY_RESTRICT columns, const double* HWY_RESTRICT starts,
                     int64_t count, int64_t dims, int64_t room, bool brief, double* kept,
                     SharedQueries& q) {
  const int64_t d = kDims ? kDims : dims, lanes = static_cast<int64_t>(hn::Lanes(kD));
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
        const V w = hn::Set(kD, q.factors[b][j]);
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

void near_simd(const double* columns, const double* starts, int64_t count, int64_t d, int64_t room,
               bool brief, double* kept, SharedQueries& q) {
  switch (d) {
    case 2:
      return near<2>(columns, starts, count, d, room, brief, kept, q);
    case 3:
      return near<3>(columns, starts, count, d, room, brief, kept, q);
    default:
      return near<0>(columns, starts, count, d, room, brief, kept, q);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(centre);
HWY_EXPORT(near_simd);

namespace {
constexpr int64_t kMostLanes = 8;
static_assert(kKdePad % (2 * kMostLanes) == 0);
}  // namespace

GaussianBlock::GaussianBlock(const double* queries, int64_t m, int64_t d, int64_t most)
    : m_(m),
      d_(d),
      most_(most),
      middle_(static_cast<size_t>(d), 0.0),
      queries_(queries, queries + m * d),
      factors_(static_cast<size_t>(m * d)),
      offsets_(static_cast<size_t>(m)),
      columns_(static_cast<size_t>(d * most)),
      starts_(static_cast<size_t>(most)),
      kept_(static_cast<size_t>(kShare * (most + kMostLanes))) {
  for (int64_t a = 0; a < m; ++a) {
    for (int64_t j = 0; j < d; ++j)
      middle_[static_cast<size_t>(j)] += queries[a * d + j] / static_cast<double>(m);
  }
  double farthest = 0;
  for (int64_t a = 0; a < m; ++a) {
    double square = 0;
    for (int64_t j = 0; j < d; ++j) {
      double& v = queries_[static_cast<size_t>(a * d + j)];
      v -= middle_[static_cast<size_t>(j)];
      factors_[static_cast<size_t>(a * d + j)] = v * std::numbers::log2e;
      square += v * v;
    }
    offsets_[static_cast<size_t>(a)] = -0.5 * std::numbers::log2e * square;
    farthest = std::max(farthest, square);
  }
  // Terms that are not 0 lie within 38 bandwidths of their query.
  const double near = std::sqrt(farthest), far = near + 38;
  rounding_ = 0x1p-53 * (static_cast<double>(d + 2) * near * far + 2 * far * far);
}

void GaussianBlock::add(const Leaf& leaf, const double* floors, bool brief, double* sums) {
  const int64_t count = leaf.end - leaf.begin, room = most_ + kMostLanes;
  bool centred = false;
  SharedQueries q{};
  std::array<int64_t, kShare> who{};
  const auto run = [&] {
    if (q.count == 0) return;
    for (int64_t b = q.count; b < kShare; ++b) {
      q.factors[static_cast<size_t>(b)] = q.factors[0];
      // Nothing is above it.
      q.floors[static_cast<size_t>(b)] = std::numeric_limits<double>::infinity();
      q.offsets[static_cast<size_t>(b)] = 0;
    }
    if (!centred) {
      HWY_DYNAMIC_DISPATCH(centre)(leaf, middle_.data(), d_, columns_.data(), starts_.data());
      centred = true;
    }
    HWY_DYNAMIC_DISPATCH(near_simd)
    (columns_.data(), starts_.data(), count, d_, room, brief, kept_.data(), q);
    for (int64_t b = 0; b < q.count; ++b)
      sums[who[static_cast<size_t>(b)]] += q.sums[static_cast<size_t>(b)];
    q.count = 0;
  };
  for (int64_t a = 0; a < m_; ++a) {
    // What the heaviest point would add at the nearest corner of the box.
    double square = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const double v = queries_[static_cast<size_t>(a * d_ + j)] + middle_[static_cast<size_t>(j)];
      const double gap = std::max({0.0, leaf.low[j] - v, v - leaf.high[j]});
      square += gap * gap;
    }
    const double most = leaf.heaviest - 0.5 * std::numbers::log2e * square;
    if (!(most > floors[a])) continue;
    const auto at = static_cast<size_t>(q.count);
    q.factors[at] = factors_.data() + a * d_;
    q.floors[at] = floors[a];
    q.offsets[at] = offsets_[static_cast<size_t>(a)];
    who[at] = a;
    if (++q.count == kShare) run();
  }
  run();
}

}  // namespace covary::mixture
#endif
