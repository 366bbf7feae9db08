#include <cmath>

#include "covary/core/compute/bessel/bessel.h"
#include "covary/core/compute/bessel/bessel_regions.h"
#include "covary/core/compute/bessel/bessel_tables.h"
#include "covary/core/compute/doubles.h"

namespace covary::compute {
namespace {

#include "covary/core/compute/bessel/bessel_math.inc"

double large(BesselRegion region, bool k, bool scaled, double v, double x) {
  switch (region) {
    case kLarge16:
      return bessel_large<16>(k, scaled, v, x);
    case kLarge13:
      return bessel_large<13>(k, scaled, v, x);
    case kLarge9:
      return bessel_large<9>(k, scaled, v, x);
    case kLarge6:
      return bessel_large<6>(k, scaled, v, x);
    default:
      return bessel_large<4>(k, scaled, v, x);
  }
}

template <int O>
BesselParts<double, O> small(BesselRegion region, bool k, bool scaled, double v, double x) {
  switch (region) {
    case kMiddle5:
      return bessel_middle<0, O>(k, scaled, v, x);
    case kMiddle2:
      return bessel_middle<1, O>(k, scaled, v, x);
    case kMiddle1:
      return bessel_middle<2, O>(k, scaled, v, x);
    default:
      return bessel_small<O>(k, scaled, v, x);
  }
}

template <int O>
Jet<double, O> in_region(BesselRegion region, bool k, bool scaled, double v, double x) {
  if (region >= kMiddle5) return small<O>(region, k, scaled, v, x).log;
  Jet<double, O> jet;
  jet.d[0] = large(region, k, scaled, v, x);
  if constexpr (O > 0) bessel_large_derivatives(kBesselTerms[region], k, scaled, v, x, jet);
  return jet;
}

// Value, v, x, vv, vx, xx; those up to the order.
template <int O>
void element(const BesselOptions& options, double order, double x, double* parts) {
  const double v = bessel_order(options.kind, order);
  const BesselRegion region = bessel_region(v, x);
  if (region == kEdge) {
    bessel_edge(options, v, x, parts);
  } else {
    const Jet<double, O> j =
        in_region<O>(region, options.kind == BesselKind::kK, options.scaled, v, x);
    for (int i = 0; i < Jet<double, O>::kParts; ++i) parts[i] = j.d[i];
  }
  if (order < 0) reflect_order(options.kind, parts);
}

template <int O, class T>
int64_t all(const BesselOptions& options, const BesselInput<T>& in, const BesselOutput<T>& out) {
  T* const to[6] = {out.value, out.dv, out.dx, out.dvv, out.dvx, out.dxx};
  int64_t outside = 0;
  for (int64_t i = 0; i < in.count; ++i) {
    double parts[6] = {};
    element<O>(options, in.order[i], in.argument[i], parts);
    outside += std::isnan(parts[0]);
    for (int p = 0; p < 6; ++p) {
      if (to[p]) to[p][i] = static_cast<T>(parts[p]);
    }
  }
  return outside;
}

}  // namespace

template <class T>
int64_t log_bessel_reference(const BesselOptions& options, const BesselInput<T>& in,
                             const BesselOutput<T>& out) {
  if (out.dvv || out.dvx || out.dxx) return all<2>(options, in, out);
  return out.dv || out.dx ? all<1>(options, in, out) : all<0>(options, in, out);
}

template <class T>
int64_t bessel_ratio_reference(BesselKind kind, const BesselInput<T>& in, T* ratio) {
  int64_t outside = 0;
  for (int64_t i = 0; i < in.count; ++i) {
    const double r = bessel_ratio(kind, in.order[i], in.argument[i]);
    outside += std::isnan(r);
    ratio[i] = static_cast<T>(r);
  }
  return outside;
}

double log_bessel(const BesselOptions& options, double order, double argument) {
  double parts[6] = {};
  element<0>(options, order, argument, parts);
  return parts[0];
}

double bessel_ratio(BesselKind kind, double order, double argument) {
  const bool k = kind == BesselKind::kK;
  const BesselRegion region = bessel_region(order, argument);
  if (region == kEdge) return bessel_edge_ratio(kind, order, argument);
  if (region >= kMiddle5) return small<0>(region, k, false, order, argument).ratio;
  return bessel_large_ratio(kBesselTerms[region], k, order, argument);
}

template int64_t log_bessel_reference(const BesselOptions&, const BesselInput<float>&,
                                      const BesselOutput<float>&);
template int64_t log_bessel_reference(const BesselOptions&, const BesselInput<double>&,
                                      const BesselOutput<double>&);
template int64_t bessel_ratio_reference(BesselKind, const BesselInput<float>&, float*);
template int64_t bessel_ratio_reference(BesselKind, const BesselInput<double>&, double*);

}  // namespace covary::compute
