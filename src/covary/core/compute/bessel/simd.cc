#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>

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
constexpr int64_t kSlack =
    16 * kBesselRegions;  // each region's share is filled up to whole vectors

// A block of elements sorted by region, and its results.
struct Sorted {
  alignas(64) double v[kBesselBlock + kSlack], x[kBesselBlock + kSlack];
  alignas(64) double parts[kMaxParts][kBesselBlock + kSlack];
  uint16_t place[kBesselBlock];  // of element i
  int64_t begin[kBesselRegions], end[kBesselRegions];
};

// What is wanted of the elements: log I or log K, or the ratio.
struct Request {
  BesselOptions options;
  int order = 0;  // of derivatives
  bool ratio = false;
};

template <class T>
void sort_by_region(const Request& request, const T* order, const T* argument, int64_t n,
                    Sorted& s) {
  uint8_t region[kBesselBlock];
  int64_t count[kBesselRegions] = {};
  for (int64_t i = 0; i < n; ++i) {
    const double v = order[i];
    region[i] =
        bessel_region(request.ratio ? v : bessel_order(request.options.kind, v), argument[i]);
  }
  for (int64_t i = 0; i < n; ++i) ++count[region[i]];
  int64_t next[kBesselRegions], at = 0;
  for (int r = 0; r < kBesselRegions; ++r) {
    s.begin[r] = next[r] = at;
    s.end[r] = at + count[r];
    at = (s.end[r] + 15) / 16 * 16;
  }
  for (int64_t i = 0; i < n; ++i) {
    const int64_t p = next[region[i]]++;
    const double v = order[i];
    s.v[p] = request.ratio ? v : bessel_order(request.options.kind, v);
    s.x[p] = argument[i];
    s.place[i] = static_cast<uint16_t>(p);
  }
  // Behind each region's elements stands the last of them again.
  for (int r = 0; r < kEdge; ++r) {
    if (count[r] == 0) continue;
    for (int64_t p = s.end[r]; p < (s.end[r] + 15) / 16 * 16; ++p) {
      s.v[p] = s.v[s.end[r] - 1];
      s.x[p] = s.x[s.end[r] - 1];
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

template <int N>
HWY_NOINLINE void large_lanes(BesselRegion region, bool k, bool scaled, Sorted& s) {
  for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
    bessel_large<N>(k, scaled, Doubles::load(s.v + p), Doubles::load(s.x + p))
        .store(s.parts[0] + p);
  }
}

template <int O>
HWY_NOINLINE void large_derivative_lanes(bool k, bool scaled, Sorted& s) {
  for (int region = 0; region < kMiddle; ++region) {
    for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
      Jet<Doubles, O> jet;
      bessel_large_derivatives(kBesselTerms[region], k, scaled, Doubles::load(s.v + p),
                               Doubles::load(s.x + p), jet);
      for (int i = 1; i < Jet<Doubles, O>::kParts; ++i) jet.d[i].store(s.parts[i] + p);
    }
  }
}

template <int O>
HWY_NOINLINE void other_lanes(const Request& request, bool k, Sorted& s) {
  for (const BesselRegion region : {kMiddle, kSmall}) {
    for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
      const Doubles v = Doubles::load(s.v + p), x = Doubles::load(s.x + p);
      const bool scaled = request.options.scaled;
      const BesselParts<Doubles, O> parts =
          region == kMiddle ? bessel_middle<O>(k, scaled, v, x) : bessel_small<O>(k, scaled, v, x);
      if (request.ratio) {
        parts.ratio.store(s.parts[0] + p);
        continue;
      }
      for (int i = 0; i < Jet<Doubles, O>::kParts; ++i) parts.log.d[i].store(s.parts[i] + p);
    }
  }
}

HWY_NOINLINE void large_ratio_lanes(bool k, Sorted& s) {
  for (int region = 0; region < kMiddle; ++region) {
    for (int64_t p = s.begin[region]; p < s.end[region]; p += kDoubleLanes) {
      bessel_large_ratio(kBesselTerms[region], k, Doubles::load(s.v + p), Doubles::load(s.x + p))
          .store(s.parts[0] + p);
    }
  }
}

void bessel_lanes(const Request& request, Sorted& s) {
  const bool k = request.options.kind == BesselKind::kK, scaled = request.options.scaled;
  if (request.order == 0) other_lanes<0>(request, k, s);
  if (request.order == 1) other_lanes<1>(request, k, s);
  if (request.order == 2) other_lanes<2>(request, k, s);
  if (request.ratio) return large_ratio_lanes(k, s);
  large_lanes<21>(kLarge21, k, scaled, s);
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
      sort_by_region(request, in.order + begin, in.argument + begin, n, *s);
      HWY_DYNAMIC_DISPATCH(bessel_lanes)(request, *s);
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
