// Which formula of bessel_math.inc serves an element, and what the edges of the domain give. Shared by the reference and the
// SIMD version.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "covary/core/compute/bessel/bessel.h"

namespace covary::compute {

// Large regions are named by the terms of Debye's expansion that leave 2e-16 of its sum from the given
// h = sqrt(v^2+x^2) on. Each of kBesselSquares that h^2 stays below takes an element one region on.
enum BesselRegion : uint8_t {
  kLarge4,   // h >= 1024
  kLarge6,   // h >= 200
  kLarge9,   // h >= 64
  kLarge13,  // h >= 32
  kLarge16,  // h >= 25
  kMiddle5,  // x > 5: a middle region for each piece of the arguments
  kMiddle2,  // x > 2
  kMiddle1,  // x > 1
  kSmall,    // x <= 1
  kEdge,     // see bessel_edge
  kBesselRegions
};

constexpr double kBesselSquares[] = {1024 * 1024, 200 * 200, 64 * 64, 32 * 32, 25 * 25};
constexpr double kBesselPieces[] = {5, 2, 1};      // below h = 25; likewise for x <= each of these
constexpr int kBesselTerms[] = {4, 6, 9, 13, 16};  // of the large regions

constexpr double kBesselLimit = 1e100;  // of orders and arguments

inline BesselRegion bessel_region(double v, double x) {
  if (!(v >= 0 && v <= kBesselLimit && x > 0 && x <= kBesselLimit)) return kEdge;
  const double h2 = v * v + x * x;
  int region = kLarge4;
  for (const double square : kBesselSquares) region += h2 < square;
  if (region == kMiddle5) {
    for (const double end : kBesselPieces) region += x <= end;
  }
  return static_cast<BesselRegion>(region);
}

// The order that the formulas see; negative where it is outside the domain.
inline double bessel_order(BesselKind kind, double v) {
  return kind == BesselKind::kK || (v < 0 && v == std::floor(v)) ? std::fabs(v) : v;
}

// Value, v, x, vv, vx, xx for an element of kEdge; all NaN outside the domain. v as bessel_order gives it.
inline void bessel_edge(const BesselOptions& options, double v, double x, double* parts) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  for (int i = 0; i < 6; ++i) parts[i] = std::numeric_limits<double>::quiet_NaN();
  if (!(v >= 0 && x >= 0)) return;
  const bool k = options.kind == BesselKind::kK;
  const double sign = k ? -1 : 1;
  if (x == 0 && v <= kBesselLimit) {
    parts[0] = k ? kInf : v == 0 ? 0 : -kInf;
    parts[1] = k && v == 0 ? 0 : -sign * kInf;
    // I_0 is flat at 0; scaled, it falls as e^-x.
    parts[2] = k || v > 0 ? sign * kInf : options.scaled ? -1 : 0;
  } else if (x == kInf && v <= kBesselLimit) {
    parts[0] = options.scaled ? -kInf : sign * kInf;
    parts[1] = 0;
    parts[2] = options.scaled ? 0 : sign;
  } else if (v == kInf && x <= kBesselLimit) {
    parts[0] = -sign * kInf;
    parts[1] = -sign * kInf;
    parts[2] = sign * kInf;
  }
}

// Derivatives at a negative order from those at its opposite: K is even; of I, whole orders alone are in the domain, where the
// function agrees with its reflection but its slope does not.
inline void reflect_order(BesselKind kind, double* parts) {
  parts[1] = -parts[1];
  parts[4] = -parts[4];
  if (kind == BesselKind::kI) {
    parts[1] = parts[3] = parts[4] = std::numeric_limits<double>::quiet_NaN();
  }
}

// Likewise for the ratio of order v + 1 to order v.
inline double bessel_edge_ratio(BesselKind kind, double v, double x) {
  constexpr double kInf = std::numeric_limits<double>::infinity();
  const bool k = kind == BesselKind::kK;
  if (v >= 0 && v <= kBesselLimit && x == 0) return k ? kInf : 0;
  if (v >= 0 && v <= kBesselLimit && x == kInf) return 1;
  if (v == kInf && x >= 0 && x <= kBesselLimit) return k ? kInf : 0;
  return std::numeric_limits<double>::quiet_NaN();
}

}  // namespace covary::compute
