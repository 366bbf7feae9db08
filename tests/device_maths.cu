// Compiled for a GPU by tests/device_maths.sh: the Bessel maths with a vocabulary of doubles that the device has.
#define __global__ __attribute__((global))
#pragma clang force_cuda_host_device begin
#define COVARY_INLINE inline __attribute__((always_inline))
#define COVARY_ATTR
#define COVARY_ROLLED _Pragma("clang loop unroll(disable)")
#include "covary/core/compute/bessel/bessel_tables.h"
namespace covary::compute {
COVARY_INLINE double lane_sqrt(double x) { return __builtin_sqrt(x); }
COVARY_INLINE double lane_abs(double x) { return __builtin_fabs(x); }
COVARY_INLINE double lane_min(double a, double b) { return a < b ? a : b; }
COVARY_INLINE double lane_max(double a, double b) { return a > b ? a : b; }
COVARY_INLINE double lane_select(bool c, double a, double b) { return c ? a : b; }
COVARY_INLINE double lane_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
COVARY_INLINE double lane_exact_fma(double a, double b, double c) { return __builtin_fma(a, b, c); }
COVARY_INLINE double lane_round(double x) { return __builtin_rint(x); }
COVARY_INLINE bool lane_any(bool m) { return m; }
COVARY_INLINE double lane_power_of_two(double n) {
  return __builtin_bit_cast(double, (static_cast<unsigned long long>(static_cast<long long>(n) + 1023)) << 52);
}
template <class V>
struct LogSplit {
  V exponent, scale, c, hi, lo;
};
COVARY_INLINE LogSplit<double> lane_log_split(double x, const double* table) {
  const auto above = __builtin_bit_cast(long long, x) - 0x3FE6000000000000;
  const long long exponent = above >> 52;
  const double* row = table + 4 * ((above >> 45) & 127);
  const auto e = static_cast<double>(exponent);
  return {e, lane_power_of_two(-e), row[0], row[1], row[2]};
}
#include "covary/core/compute/bessel/bessel_math.inc"
}
#pragma clang force_cuda_host_device end
using namespace covary::compute;
__global__ void kernel(const double* v, const double* x, double* out) {
  out[0] = bessel_large<16>(false, true, v[0], x[0]);
  out[1] = bessel_middle<0, 2>(true, true, v[0], x[0]).log.d[3];
  out[2] = bessel_small<2>(false, true, v[0], x[0]).log.d[1];
  out[3] = bessel_large_ratio(9, true, v[0], x[0]);
}
