// The study's own reference for log I and log K, by other means than the kernel that it measures, in wider arithmetic:
//
//   h - v asinh(v/x), the leading term, in 113 bits, with square root and logarithm of our own;
//   I, h >= 100: the trapezoid rule along the steepest descent of (1/2 pi i) int exp(x cosh w - v w) dw through its saddle;
//   I, h < 100:  the power series; its logarithm of Gamma is the C library's;
//   K:           the trapezoid rule for int exp(-x cosh t + v t) dt about its peak; all the rest in 64 bits (long double).
//
// h = sqrt(v^2 + x^2). How good it is is a bar of the study: it is held against mpmath at 60 digits. Costs some
// microseconds a point, up to 50 for tiny x.
#pragma once

#include <vector>

namespace covary::studies {

using Quad = __float128;

struct ExactLogs {
  Quad i = 0, k = 0;  // log I_v(x), log K_v(x)
};
ExactLogs exact_logs(double v, double x);  // v >= 0, x > 0

// I_(v+1)(x)/I_v(x) by its continued fraction in long double, from the back; v x below 1e7 or so.
long double exact_ratio(double v, double x);

// |got - exact| in units of max(1, |exact|), infinite for what is not finite.
double error_of(double got, Quad exact);

struct KnownLogs {
  double v, x;
  long double i, k;
};
const std::vector<KnownLogs>& mpmath_logs();  // 500 points in every region

}  // namespace covary::studies
