#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <type_traits>

#include "covary/core/base/threads.h"
#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/bessel_regions.h"
#include "covary/core/compute/bessel/bessel_tables.h"
#include "covary/core/compute/doubles.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/bessel/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/doubles-inl.h"

#ifndef COVARY_BESSEL_ONCE
#define COVARY_BESSEL_ONCE
namespace covary::compute {
namespace {

constexpr int kMaxParts = 6;
constexpr int64_t kWidest = 16;  // each region's share is filled up to this
constexpr int64_t kSlack = kWidest * kBesselRegions;

// A block of elements, the same sorted by region, and their results.
struct Sorted {
  alignas(64) double order[kBesselBlock], argument[kBesselBlock];  // as they came
  uint8_t region[kBesselBlock + kWidest];
  uint16_t place[kBesselBlock];  // of element i
  alignas(64) double v[kBesselBlock + kSlack], x[kBesselBlock + kSlack];
  alignas(64) double parts[kMaxParts][kBesselBlock + kSlack];
  int64_t begin[kBesselRegions], end[kBesselRegions];
};

// What is wanted of the elements: log I or log K, or the ratio.
struct Request {
  BesselOptions options;
  int order = 0;  // of derivatives
  bool ratio = false;
};

// s.place, and v and x at their places, from s.region.
void sort_by_region(int64_t n, Sorted& s) {
  // Four runs of elements are counted and placed side by side: one alone would wait, at each element, for the count that the
  // one before has just written.
  constexpr int64_t kRuns = 4;
  const int64_t run = (n + kRuns - 1) / kRuns;
  uint16_t next[kRuns][kBesselRegions] = {};
  const auto for_each = [&](const auto& body) {
    const int64_t full = n - (kRuns - 1) * run;  // of the last run, the shortest
    for (int64_t i = 0; i < full; ++i) {
      for (int64_t r = 0; r < kRuns; ++r) body(next[r], r * run + i);
    }
    for (int64_t r = 0; r < kRuns - 1; ++r) {
      for (int64_t i = std::max<int64_t>(full, 0); i < run; ++i) {
        if (r * run + i < n) body(next[r], r * run + i);
      }
    }
  };
  for_each([&](uint16_t* count, int64_t i) { ++count[s.region[i]]; });
  int64_t at = 0;
  for (int k = 0; k < kBesselRegions; ++k) {
    s.begin[k] = at;
    for (auto& row : next) {
      const int64_t count = row[k];
      row[k] = static_cast<uint16_t>(at);
      at += count;
    }
    s.end[k] = at;
    at = (at + kWidest - 1) / kWidest * kWidest;
  }
  for_each([&](uint16_t* to, int64_t i) {
    const uint16_t p = to[s.region[i]]++;
    s.place[i] = p;
    s.v[p] = s.order[i];
    s.x[p] = s.argument[i];
  });
  // Behind each region's elements stands the last of them again.
  for (int k = 0; k < kEdge; ++k) {
    if (s.begin[k] == s.end[k]) continue;
    for (int64_t p = s.end[k]; p % kWidest != 0; ++p) {
      s.v[p] = s.v[s.end[k] - 1];
      s.x[p] = s.x[s.end[k] - 1];
    }
  }
}

void edges(const Request& request, Sorted& s) {
  for (int64_t p = s.begin[kEdge]; p < s.end[kEdge]; ++p) {
    if (request.ratio) {
      s.parts[0][p] = bessel_edge_ratio(request.options.kind, s.v[p], s.x[p]);
      continue;
    }
    double parts[kMaxParts];
    bessel_edge(request.options, s.v[p], s.x[p], parts);
    for (int k = 0; k < kMaxParts; ++k) s.parts[k][p] = parts[k];
  }
}

}  // namespace
}  // namespace covary::compute
#endif

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

#include "covary/core/compute/bessel/bessel_math.inc"

// bessel_order and bessel_region of a block; s.order becomes the former.
HWY_NOINLINE void find_regions(bool ratio, bool k, int64_t n, Sorted& s) {
  const auto zero = hn::Zero(kDoubles), limit = hn::Set(kDoubles, kBesselLimit);
  const LongTag longs;
  const auto one = hn::Set(longs, 1);
  const hn::RebindToUnsigned<LongTag> words;
  const hn::Rebind<uint8_t, LongTag> bytes;
  for (int64_t i = 0; i < n; i += kDoubleLanes) {
    auto v = hn::Load(kDoubles, s.order + i);
    const auto x = hn::Load(kDoubles, s.argument + i);
    if (!ratio) {
      const auto even = hn::And(hn::Lt(v, zero), hn::Eq(v, hn::Floor(v)));
      v = k ? hn::Abs(v) : hn::IfThenElse(even, hn::Abs(v), v);
      hn::Store(v, kDoubles, s.order + i);
    }
    const auto h2 = hn::Add(hn::Mul(v, v), hn::Mul(x, x));
    const auto step = [&](auto mask) HWY_ATTR {
      return hn::And(hn::VecFromMask(longs, hn::RebindMask(longs, mask)), one);
    };
    auto region = hn::Zero(longs);
    for (const double square : kBesselSquares) {
      region = hn::Add(region, step(hn::Lt(h2, hn::Set(kDoubles, square))));
    }
    const auto near = hn::Lt(h2, hn::Set(kDoubles, kBesselSquares[4]));
    for (const double end : kBesselPieces) {
      region = hn::Add(region, step(hn::And(near, hn::Le(x, hn::Set(kDoubles, end)))));
    }
    const auto inside = hn::And(hn::And(hn::Ge(v, zero), hn::Le(v, limit)),
                                hn::And(hn::Gt(x, zero), hn::Le(x, limit)));
    region = hn::IfThenElse(hn::RebindMask(longs, inside), region,
                            hn::Set(longs, static_cast<int64_t>(kEdge)));
    hn::StoreU(hn::TruncateTo(bytes, hn::BitCast(words, region)), bytes, s.region + i);
  }
}

template <int N>
HWY_NOINLINE void large_lanes(BesselRegion region, bool k, bool scaled, Sorted& s) {
  for (int64_t p = s.begin[region]; p < s.end[region]; p += 2 * kDoubleLanes) {
    bessel_large<N>(k, scaled, TwinDoubles::load(s.v + p), TwinDoubles::load(s.x + p))
        .store(s.parts[0] + p);
  }
}

template <int O>
HWY_NOINLINE void large_derivative_lanes(bool k, bool scaled, Sorted& s) {
  for (int region = 0; region < kMiddle5; ++region) {
    for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
      Jet<Doubles, O> jet;
      bessel_large_derivatives(kBesselTerms[region], k, scaled, Doubles::load(s.v + p),
                               Doubles::load(s.x + p), jet);
      for (int i = 1; i < Jet<Doubles, O>::kParts; ++i) jet.d[i].store(s.parts[i] + p);
    }
  }
}

// The region P after kMiddle5. Values alone go by twins; derivatives have operations enough to overlap.
template <int P, int O>
HWY_NOINLINE void other_lanes(const Request& request, bool k, Sorted& s) {
  using V = std::conditional_t<O == 0, TwinDoubles, Doubles>;
  constexpr int kRegion = kMiddle5 + P, kStep = (O == 0 ? 2 : 1) * kDoubleLanes;
  static_assert(kStep <= kWidest);
  for (int64_t p = s.begin[kRegion]; p < s.end[kRegion]; p += kStep) {
    const V v = V::load(s.v + p), x = V::load(s.x + p);
    const bool scaled = request.options.scaled;
    BesselParts<V, O> parts;
    if constexpr (kRegion == kSmall) {
      parts = bessel_small<O>(k, scaled, v, x);
    } else {
      parts = bessel_middle<P, O>(k, scaled, v, x);
    }
    if (request.ratio) {
      parts.ratio.store(s.parts[0] + p);
      continue;
    }
    for (int i = 0; i < Jet<V, O>::kParts; ++i) parts.log.d[i].store(s.parts[i] + p);
  }
}

template <int O>
void all_other_lanes(const Request& request, bool k, Sorted& s) {
  other_lanes<0, O>(request, k, s);
  other_lanes<1, O>(request, k, s);
  other_lanes<2, O>(request, k, s);
  other_lanes<3, O>(request, k, s);
}

HWY_NOINLINE void large_ratio_lanes(bool k, Sorted& s) {
  for (int region = 0; region < kMiddle5; ++region) {
    for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
      bessel_large_ratio(kBesselTerms[region], k, Doubles::load(s.v + p), Doubles::load(s.x + p))
          .store(s.parts[0] + p);
    }
  }
}

// The first n elements of a block.
void bessel_lanes(const Request& request, int64_t n, Sorted& s) {
  const bool k = request.options.kind == BesselKind::kK, scaled = request.options.scaled;
  find_regions(request.ratio, k, n, s);
  sort_by_region(n, s);
  if (request.order == 0) all_other_lanes<0>(request, k, s);
  if (request.order == 1) all_other_lanes<1>(request, k, s);
  if (request.order == 2) all_other_lanes<2>(request, k, s);
  if (request.ratio) return large_ratio_lanes(k, s);
  large_lanes<16>(kLarge16, k, scaled, s);
  large_lanes<13>(kLarge13, k, scaled, s);
  large_lanes<9>(kLarge9, k, scaled, s);
  large_lanes<6>(kLarge6, k, scaled, s);
  large_lanes<4>(kLarge4, k, scaled, s);
  if (request.order == 1) large_derivative_lanes<1>(k, scaled, s);
  if (request.order == 2) large_derivative_lanes<2>(k, scaled, s);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {
namespace {

HWY_EXPORT(bessel_lanes);

template <class T>
int64_t all_blocks(const Request& request, const BesselInput<T>& in, const BesselOutput<T>& out) {
  T* const to[kMaxParts] = {out.value, out.dv, out.dx, out.dvv, out.dvx, out.dxx};
  const int computed = request.order == 0 ? 1 : request.order == 1 ? 3 : kMaxParts;
  const int64_t blocks = (in.count + kBesselBlock - 1) / kBesselBlock;
  std::atomic<int64_t> outside = 0;
  parallel_for(blocks, 1, [&](int64_t first, int64_t last) {
    const auto s = std::make_unique_for_overwrite<Sorted>();
    int64_t missing = 0;
    for (int64_t block = first; block < last; ++block) {
      const int64_t begin = block * kBesselBlock, n = std::min(kBesselBlock, in.count - begin);
      for (int64_t i = 0; i < n; ++i) {
        s->order[i] = in.order[begin + i];
        s->argument[i] = in.argument[begin + i];
      }
      // Whole vectors are read.
      for (int64_t i = n; i % kWidest != 0; ++i) s->order[i] = s->argument[i] = 0;
      HWY_DYNAMIC_DISPATCH(bessel_lanes)(request, n, *s);
      edges(request, *s);
      for (int64_t p = s->begin[kEdge]; p < s->end[kEdge]; ++p)
        missing += std::isnan(s->parts[0][p]);
      for (int k = 0; k < computed; ++k) {
        if (!to[k]) continue;
        for (int64_t i = 0; i < n; ++i) {
          to[k][begin + i] = static_cast<T>(s->parts[k][s->place[i]]);
        }
      }
      if (request.order == 0) continue;
      for (int64_t i = 0; i < n; ++i) {
        if (!(in.order[begin + i] < 0)) continue;
        double parts[kMaxParts] = {};
        for (int k = 0; k < computed; ++k) parts[k] = s->parts[k][s->place[i]];
        reflect_order(request.options.kind, parts);
        for (int k = 0; k < kMaxParts; ++k) {
          if (to[k]) to[k][begin + i] = static_cast<T>(parts[k]);
        }
      }
    }
    outside += missing;
  });
  return outside;
}

}  // namespace

template <class T>
int64_t log_bessel(const BesselOptions& options, const BesselInput<T>& in,
                   const BesselOutput<T>& out) {
  Request request{.options = options};
  request.order = out.dvv || out.dvx || out.dxx ? 2 : out.dv || out.dx ? 1 : 0;
  return all_blocks(request, in, out);
}

template <class T>
int64_t bessel_ratio(BesselKind kind, const BesselInput<T>& in, T* ratio) {
  return all_blocks(Request{.options = {.kind = kind}, .ratio = true}, in,
                    BesselOutput<T>{.value = ratio});
}

template int64_t log_bessel(const BesselOptions&, const BesselInput<float>&,
                            const BesselOutput<float>&);
template int64_t log_bessel(const BesselOptions&, const BesselInput<double>&,
                            const BesselOutput<double>&);
template int64_t bessel_ratio(BesselKind, const BesselInput<float>&, float*);
template int64_t bessel_ratio(BesselKind, const BesselInput<double>&, double*);

}  // namespace covary::compute
#endif
