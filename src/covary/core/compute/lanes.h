// The small vocabulary in which kernel maths is written once for every kind of number: double (the
// reference), float, and Lanes, a Highway vector of floats (lanes-inl.h). A maths file (*.inc)
// holds templates over a number type V, knows no header, and is included inside the namespace of
// each user: the reference, each SIMD target, and CUDA.
//
//   template <class V> COVARY_INLINE V norm(V x, V y) { return lane_sqrt(x * x + y * y); }
//   V r = lane_select(x < V(0), -x, x);
#pragma once

#include <cmath>

#define COVARY_INLINE inline __attribute__((always_inline))
// Stands before the brace of a lambda in a maths file: lanes-inl.h gives it the target's attribute,
// which a lambda does not take from its surroundings.
#define COVARY_ATTR

namespace covary::compute {

#define COVARY_SCALAR_LANES(T)                                            \
  COVARY_INLINE T lane_sqrt(T x) { return std::sqrt(x); }                 \
  COVARY_INLINE T lane_log(T x) { return std::log(x); }                   \
  COVARY_INLINE T lane_atan(T x) { return std::atan(x); }                 \
  COVARY_INLINE T lane_abs(T x) { return std::fabs(x); }                  \
  COVARY_INLINE T lane_min(T a, T b) { return a < b ? a : b; }            \
  COVARY_INLINE T lane_max(T a, T b) { return a > b ? a : b; }            \
  COVARY_INLINE T lane_select(bool c, T a, T b) { return c ? a : b; }     \
  /* exp for arguments that are at most 0; anything below -80 may be 0 */ \
  COVARY_INLINE T lane_exp_negative(T x) { return std::exp(x); }          \
  COVARY_INLINE T lane_fma(T a, T b, T c) { return a * b + c; }
COVARY_SCALAR_LANES(float)
COVARY_SCALAR_LANES(double)
#undef COVARY_SCALAR_LANES

}  // namespace covary::compute
