// Doubles: a full SIMD vector of doubles with operators, for the current Highway target. Included once a target by
// simd.cc files, after <hwy/highway.h>; see doubles.h for the vocabulary. Scalable targets are not covered, as in
// lanes-inl.h.
#if defined(COVARY_DOUBLES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_DOUBLES_INL_H_
#undef COVARY_DOUBLES_INL_H_
#else
#define COVARY_DOUBLES_INL_H_
#endif

#include <hwy/highway.h>

#include "covary/core/compute/doubles.h"

#undef COVARY_ATTR
#define COVARY_ATTR HWY_ATTR

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using DoubleTag = hn::ScalableTag<double>;
using LongTag = hn::RebindToSigned<DoubleTag>;
constexpr DoubleTag kDoubles;
constexpr int kDoubleLanes = HWY_LANES(double);

struct Doubles {
  hn::Vec<DoubleTag> v;
  Doubles() = default;  // trivial, so that structs of Doubles need no constructor of their own
  HWY_INLINE Doubles(double x)
      : v(hn::Set(kDoubles, x)) {}  // NOLINT(google-explicit-constructor): constants in formulas
  HWY_INLINE explicit Doubles(hn::Vec<DoubleTag> x) : v(x) {}
  static HWY_INLINE Doubles load(const double* p) { return Doubles(hn::LoadU(kDoubles, p)); }
  HWY_INLINE void store(double* p) const { hn::StoreU(v, kDoubles, p); }
};
struct DoublesMask {
  hn::Mask<DoubleTag> m;
};

HWY_INLINE Doubles operator+(Doubles a, Doubles b) { return Doubles(hn::Add(a.v, b.v)); }
HWY_INLINE Doubles operator-(Doubles a, Doubles b) { return Doubles(hn::Sub(a.v, b.v)); }
HWY_INLINE Doubles operator*(Doubles a, Doubles b) { return Doubles(hn::Mul(a.v, b.v)); }
HWY_INLINE Doubles operator/(Doubles a, Doubles b) { return Doubles(hn::Div(a.v, b.v)); }
HWY_INLINE Doubles operator-(Doubles a) { return Doubles(hn::Neg(a.v)); }
HWY_INLINE DoublesMask operator<(Doubles a, Doubles b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE DoublesMask operator>(Doubles a, Doubles b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE DoublesMask operator>=(Doubles a, Doubles b) { return {hn::Ge(a.v, b.v)}; }
HWY_INLINE bool lane_any(DoublesMask m) { return !hn::AllFalse(kDoubles, m.m); }

HWY_INLINE Doubles lane_sqrt(Doubles x) { return Doubles(hn::Sqrt(x.v)); }
HWY_INLINE Doubles lane_abs(Doubles x) { return Doubles(hn::Abs(x.v)); }
HWY_INLINE Doubles lane_max(Doubles a, Doubles b) { return Doubles(hn::Max(a.v, b.v)); }
HWY_INLINE Doubles lane_min(Doubles a, Doubles b) { return Doubles(hn::Min(a.v, b.v)); }
HWY_INLINE Doubles lane_round(Doubles x) { return Doubles(hn::Round(x.v)); }
HWY_INLINE Doubles lane_select(DoublesMask c, Doubles a, Doubles b) {
  return Doubles(hn::IfThenElse(c.m, a.v, b.v));
}
HWY_INLINE Doubles lane_fma(Doubles a, Doubles b, Doubles c) {
  return Doubles(hn::MulAdd(a.v, b.v, c.v));
}

HWY_INLINE Doubles lane_exact_fma(Doubles a, Doubles b, Doubles c) {
#if HWY_NATIVE_FMA
  return lane_fma(a, b, c);
#else
  // Dekker: halves of 26 bits, whose products are exact.
  const Doubles splitter(134217729.0);
  const Doubles pa = a * splitter, pb = b * splitter;
  const Doubles a1 = pa - (pa - a), b1 = pb - (pb - b);
  const Doubles a2 = a - a1, b2 = b - b1;
  const Doubles p = a * b;
  const Doubles error = a2 * b2 - (((p - a1 * b1) - a2 * b1) - a1 * b2);
  return (p + c) + error;
#endif
}

HWY_INLINE Doubles lane_power_of_two(Doubles n) {
  const auto biased = hn::Add(hn::ConvertTo(LongTag(), n.v), hn::Set(LongTag(), 1023));
  return Doubles(hn::BitCast(kDoubles, hn::ShiftLeft<52>(biased)));
}

HWY_INLINE LogSplit<Doubles> lane_log_split(Doubles x, const double* table) {
  const LongTag longs;
  const auto above = hn::Sub(hn::BitCast(longs, x.v), hn::Set(longs, kMantissaFloor));
  const auto exponent = hn::ShiftRight<52>(above);
  const auto row = hn::ShiftLeft<2>(hn::And(hn::ShiftRight<45>(above), hn::Set(longs, 127)));
  const auto scale = hn::ShiftLeft<52>(hn::Sub(hn::Set(longs, 1023), exponent));
  return {Doubles(hn::ConvertTo(kDoubles, exponent)), Doubles(hn::BitCast(kDoubles, scale)),
          Doubles(hn::GatherIndex(kDoubles, table, row)),
          Doubles(hn::GatherIndex(kDoubles, table + 1, row)),
          Doubles(hn::GatherIndex(kDoubles, table + 2, row))};
}

// Two vectors as one number: maths whose operations wait for one another runs two such chains at once.
struct TwinDoubles {
  Doubles a, b;
  TwinDoubles() = default;
  HWY_INLINE TwinDoubles(double x)
      : a(x), b(x) {}  // NOLINT(google-explicit-constructor): constants
  HWY_INLINE TwinDoubles(Doubles x, Doubles y) : a(x), b(y) {}
  static HWY_INLINE TwinDoubles load(const double* p) {
    return {Doubles::load(p), Doubles::load(p + kDoubleLanes)};
  }
  HWY_INLINE void store(double* p) const {
    a.store(p);
    b.store(p + kDoubleLanes);
  }
};
struct TwinMask {
  DoublesMask a, b;
};

#define COVARY_TWIN(result, name)                                      \
  HWY_INLINE result name(const TwinDoubles& x, const TwinDoubles& y) { \
    return {name(x.a, y.a), name(x.b, y.b)};                           \
  }
COVARY_TWIN(TwinDoubles, operator+)
COVARY_TWIN(TwinDoubles, operator-)
COVARY_TWIN(TwinDoubles, operator*)
COVARY_TWIN(TwinDoubles, operator/)
COVARY_TWIN(TwinMask, operator<)
COVARY_TWIN(TwinMask, operator>)
COVARY_TWIN(TwinMask, operator>=)
COVARY_TWIN(TwinDoubles, lane_max)
COVARY_TWIN(TwinDoubles, lane_min)
#undef COVARY_TWIN
#define COVARY_TWIN(name) \
  HWY_INLINE TwinDoubles name(const TwinDoubles& x) { return {name(x.a), name(x.b)}; }
COVARY_TWIN(operator-)
COVARY_TWIN(lane_sqrt)
COVARY_TWIN(lane_abs)
COVARY_TWIN(lane_round)
COVARY_TWIN(lane_power_of_two)
#undef COVARY_TWIN
HWY_INLINE bool lane_any(const TwinMask& m) { return lane_any(m.a) || lane_any(m.b); }
HWY_INLINE TwinDoubles lane_select(const TwinMask& c, const TwinDoubles& x, const TwinDoubles& y) {
  return {lane_select(c.a, x.a, y.a), lane_select(c.b, x.b, y.b)};
}
HWY_INLINE TwinDoubles lane_fma(const TwinDoubles& x, const TwinDoubles& y, const TwinDoubles& z) {
  return {lane_fma(x.a, y.a, z.a), lane_fma(x.b, y.b, z.b)};
}
HWY_INLINE TwinDoubles lane_exact_fma(const TwinDoubles& x, const TwinDoubles& y,
                                      const TwinDoubles& z) {
  return {lane_exact_fma(x.a, y.a, z.a), lane_exact_fma(x.b, y.b, z.b)};
}
HWY_INLINE LogSplit<TwinDoubles> lane_log_split(const TwinDoubles& x, const double* table) {
  const LogSplit<Doubles> a = lane_log_split(x.a, table), b = lane_log_split(x.b, table);
  return {{a.exponent, b.exponent}, {a.scale, b.scale}, {a.c, b.c}, {a.hi, b.hi}, {a.lo, b.lo}};
}

}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
