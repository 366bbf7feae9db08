// The vocabulary of lanes.h for maths that needs every bit of a double: the primitives below for one double; Doubles
// (doubles-inl.h) is a Highway vector of them. doubles.inc builds log, exp and twofold arithmetic on it, the same for both.
//
//   template <class V> COVARY_INLINE V norm_error(V x, V y) { return lane_exact_fma(x, x, -(x * x)); }
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "covary/core/compute/lanes.h"

// Stands before a loop that is not to be unrolled: bodies of hundreds of operations, where that only costs compile time.
#ifdef __clang__
#define COVARY_ROLLED _Pragma("clang loop unroll(disable)")
#else
#define COVARY_ROLLED _Pragma("GCC unroll 1")
#endif

namespace covary::compute {

// a b + c with one rounding, where c is about -a b.
COVARY_INLINE double lane_exact_fma(double a, double b, double c) { return std::fma(a, b, c); }
COVARY_INLINE double lane_round(double x) { return std::nearbyint(x); }
COVARY_INLINE bool lane_any(bool m) { return m; }

// 2^n for whole n in [-1022, 1023].
COVARY_INLINE double lane_power_of_two(double n) {
  const auto bits = static_cast<uint64_t>(static_cast<int64_t>(n) + 1023) << 52;
  double power;
  std::memcpy(&power, &bits, sizeof(power));
  return power;
}

// Powers of two above are parted so that mantissas lie in [0.6875, 1.375).
constexpr int64_t kMantissaFloor = 0x3FE6000000000000;

// Normal x > 0 is 2^exponent mantissa, and scale is 2^-exponent; c, hi and lo are the row of a 128 x 4 table for the
// mantissa: c about its reciprocal, hi + lo = -log c.
template <class V>
struct LogSplit {
  V exponent, scale, c, hi, lo;
};

COVARY_INLINE LogSplit<double> lane_log_split(double x, const double* table) {
  int64_t bits;
  std::memcpy(&bits, &x, sizeof(bits));
  const int64_t above = bits - kMantissaFloor;
  const int64_t exponent = above >> 52;
  const double* row = table + 4 * ((above >> 45) & 127);
  const auto e = static_cast<double>(exponent);
  return {e, lane_power_of_two(-e), row[0], row[1], row[2]};
}

}  // namespace covary::compute
