// log I_v(x) and log K_v(x), modified Bessel functions of any real order, where the functions themselves leave the range of
// a double; their derivatives in v and x; and the ratios I_(v+1)/I_v and K_(v+1)/K_v to full relative precision.
//
//   const std::vector<double> v{0.5, 1023, 1e8}, x{2, 1000, 3};
//   std::vector<double> value(3), dx(3);
//   log_bessel({.kind = BesselKind::kK}, BesselInput<double>{3, v.data(), x.data()},
//              {.value = value.data(), .dx = dx.data()});
//   double a = bessel_ratio(BesselKind::kI, 63.0, 50.0);     // 0.3447...: a mean resultant length in 128 dimensions
//
// Domain: orders |v| <= 1e100 and arguments 0 <= x <= 1e100, tested for v up to 1e8 and x in [1e-10, 1e9].
//   K is even in v. I_v = I_-v for whole v; other negative orders of I are outside the domain.
//   x = 0: log I_0 = 0, log I_v = -inf (v > 0), log K_v = +inf; the derivatives are the limits from the right.
//   x = inf: log I = +inf, log K = -inf, both -inf when scaled. v = inf: log I = -inf, log K = +inf.
//   Outside the domain (NaN, x < 0): NaN, and the count of such elements is returned.
// Error against 50 digits: at most 4e-15 max(1, |value|) for the logarithms, near their zeros too; 4e-15 relative for the
// ratios. Derivatives: 1e-13 max(1, |derivative|) where they do not themselves grow without bound. Scaled values,
// log(I_v(x) e^-x) and log(K_v(x) e^x), are computed directly, not by subtraction. float arrays are read and written as
// such and computed in double.
//
// Method (bessel_math.inc): Debye's uniform expansion for v^2 + x^2 >= 625, 4 to 16 terms; below, polynomials for K of the
// fractional order, the recurrence upward, a continued fraction and the Wronskian; for x <= 1 the power series and
// Temme's. Of Plesner, Sorensen and Hauberg 2024 ("Accurate Computation of the Logarithm of Modified Bessel Functions on
// GPUs", arXiv 2409.08729), whose method is in published.h for comparison, it keeps the plan: regions, and logarithms
// throughout. Elements are sorted by region within blocks of kBesselBlock, so that each region's loop runs full
// vectors; an element's bits depend on neither its neighbours nor the threads. Cost: about 200 to 600 double operations a
// value (2,000 and more for derivatives of small orders and arguments), 16 bytes read and 8 written: bound by arithmetic.
#pragma once

#include <cstdint>

namespace covary::compute {

enum class BesselKind { kI, kK };

struct BesselOptions {
  BesselKind kind = BesselKind::kI;
  bool scaled = false;  // log(I e^-x) or log(K e^x)
};

template <class T>
struct BesselInput {
  int64_t count = 0;            // N
  const T* order = nullptr;     // [N] v
  const T* argument = nullptr;  // [N] x
};

template <class T>
struct BesselOutput {  // [N] each; null = not wanted
  T* value = nullptr;
  T *dv = nullptr, *dx = nullptr;
  T *dvv = nullptr, *dvx = nullptr, *dxx = nullptr;
};

// Elements sorted by region at once.
constexpr int64_t kBesselBlock = 2048;

// Both return how many elements lie outside the domain. The derivative in v of I at a negative whole order is NaN (the
// function is not even there).
template <class T>
int64_t log_bessel_reference(const BesselOptions& options, const BesselInput<T>& in,
                             const BesselOutput<T>& out);
template <class T>
int64_t log_bessel(const BesselOptions& options, const BesselInput<T>& in,
                   const BesselOutput<T>& out);

// I_(v+1)/I_v in [0, 1), or K_(v+1)/K_v >= 1; orders v >= 0, others lie outside the domain. ratio [N].
template <class T>
int64_t bessel_ratio_reference(BesselKind kind, const BesselInput<T>& in, T* ratio);
template <class T>
int64_t bessel_ratio(BesselKind kind, const BesselInput<T>& in, T* ratio);

// One value, by the reference.
double log_bessel(const BesselOptions& options, double order, double argument);
double bessel_ratio(BesselKind kind, double order, double argument);

}  // namespace covary::compute
