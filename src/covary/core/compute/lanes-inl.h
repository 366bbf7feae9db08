// Lanes: a full SIMD vector of floats with operators, for the current Highway target. Included once
// a target by simd.cc files, after <hwy/highway.h>; see lanes.h for the vocabulary. Scalable
// targets (SVE, RVV) are not covered: their vectors cannot be members of a struct.
#if defined(COVARY_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_LANES_INL_H_
#undef COVARY_LANES_INL_H_
#else
#define COVARY_LANES_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes.h"

#undef COVARY_ATTR
#define COVARY_ATTR HWY_ATTR

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using FloatTag = hn::ScalableTag<float>;
using IntTag = hn::RebindToSigned<FloatTag>;
constexpr FloatTag kFloats;
constexpr int kLanes = HWY_LANES(float);

struct Lanes {
  hn::Vec<FloatTag> v;
  Lanes() = default;  // trivial, so that structs of Lanes need no constructor of their own
  HWY_INLINE Lanes(float x)
      : v(hn::Set(kFloats, x)) {}  // NOLINT(google-explicit-constructor): constants in formulas
  HWY_INLINE explicit Lanes(double x) : v(hn::Set(kFloats, static_cast<float>(x))) {}
  HWY_INLINE explicit Lanes(int x) : v(hn::Set(kFloats, static_cast<float>(x))) {}
  HWY_INLINE explicit Lanes(hn::Vec<FloatTag> x) : v(x) {}
  static HWY_INLINE Lanes load(const float* p) { return Lanes(hn::LoadU(kFloats, p)); }
  HWY_INLINE void store(float* p) const { hn::StoreU(v, kFloats, p); }
  HWY_INLINE Lanes& operator+=(Lanes o) {
    v = hn::Add(v, o.v);
    return *this;
  }
  HWY_INLINE Lanes& operator-=(Lanes o) {
    v = hn::Sub(v, o.v);
    return *this;
  }
  HWY_INLINE Lanes& operator*=(Lanes o) {
    v = hn::Mul(v, o.v);
    return *this;
  }
};
struct LaneMask {
  hn::Mask<FloatTag> m;
};

HWY_INLINE Lanes operator+(Lanes a, Lanes b) { return Lanes(hn::Add(a.v, b.v)); }
HWY_INLINE Lanes operator-(Lanes a, Lanes b) { return Lanes(hn::Sub(a.v, b.v)); }
HWY_INLINE Lanes operator*(Lanes a, Lanes b) { return Lanes(hn::Mul(a.v, b.v)); }
HWY_INLINE Lanes operator/(Lanes a, Lanes b) { return Lanes(hn::Div(a.v, b.v)); }
HWY_INLINE Lanes operator-(Lanes a) { return Lanes(hn::Neg(a.v)); }
HWY_INLINE LaneMask operator<(Lanes a, Lanes b) { return {hn::Lt(a.v, b.v)}; }
HWY_INLINE LaneMask operator>(Lanes a, Lanes b) { return {hn::Gt(a.v, b.v)}; }
HWY_INLINE LaneMask operator<=(Lanes a, Lanes b) { return {hn::Le(a.v, b.v)}; }
HWY_INLINE LaneMask operator>=(Lanes a, Lanes b) { return {hn::Ge(a.v, b.v)}; }
HWY_INLINE LaneMask operator&(LaneMask a, LaneMask b) { return {hn::And(a.m, b.m)}; }
HWY_INLINE LaneMask operator|(LaneMask a, LaneMask b) { return {hn::Or(a.m, b.m)}; }
HWY_INLINE LaneMask and_not(LaneMask a, LaneMask b) { return {hn::AndNot(a.m, b.m)}; }  // !a && b

HWY_INLINE bool none(LaneMask m) { return hn::AllFalse(kFloats, m.m); }
// Bit k of the result: lane k.
HWY_INLINE uint64_t lane_bits(LaneMask m) {
  uint8_t bytes[8] = {};
  hn::StoreMaskBits(kFloats, m.m, bytes);
  uint64_t bits;
  std::memcpy(&bits, bytes, sizeof bits);
  return bits & ((uint64_t{1} << kLanes) - 1);
}
HWY_INLINE float sum(Lanes x) { return hn::GetLane(hn::SumOfLanes(kFloats, x.v)); }

HWY_INLINE Lanes lane_sqrt(Lanes x) { return Lanes(hn::Sqrt(x.v)); }
HWY_INLINE Lanes lane_log(Lanes x) { return Lanes(hn::Log(kFloats, x.v)); }
HWY_INLINE Lanes lane_atan(Lanes x) { return Lanes(hn::Atan(kFloats, x.v)); }
HWY_INLINE Lanes lane_abs(Lanes x) { return Lanes(hn::Abs(x.v)); }
HWY_INLINE Lanes lane_min(Lanes a, Lanes b) { return Lanes(hn::Min(a.v, b.v)); }
HWY_INLINE Lanes lane_max(Lanes a, Lanes b) { return Lanes(hn::Max(a.v, b.v)); }
HWY_INLINE Lanes lane_select(LaneMask c, Lanes a, Lanes b) {
  return Lanes(hn::IfThenElse(c.m, a.v, b.v));
}
HWY_INLINE Lanes lane_or_zero(LaneMask c, Lanes a) { return Lanes(hn::IfThenElseZero(c.m, a.v)); }
HWY_INLINE Lanes lane_fma(Lanes a, Lanes b, Lanes c) { return Lanes(hn::MulAdd(a.v, b.v, c.v)); }

// 2^x for x <= 0: 2^n * p(f) with x = n + f, |f| <= 1/2, and p the polynomial of degree 5 that is nearest
// there (relative error under 3e-7, exactly 1 at 0). A larger x counts as 0; far below the range that
// footprints use it saturates at 2^-120.
HWY_INLINE Lanes lane_exp2_negative(Lanes x) {
  const auto y = hn::Min(hn::Max(x.v, hn::Set(kFloats, -120.0f)), hn::Zero(kFloats));
  const auto n = hn::Round(y);
  const auto f = hn::Sub(y, n);
  auto p = hn::Set(kFloats, 1.32647254e-03f);
  p = hn::MulAdd(p, f, hn::Set(kFloats, 9.67151277e-03f));
  p = hn::MulAdd(p, f, hn::Set(kFloats, 5.55073375e-02f));
  p = hn::MulAdd(p, f, hn::Set(kFloats, 2.40222421e-01f));
  p = hn::MulAdd(p, f, hn::Set(kFloats, 6.93146978e-01f));
  p = hn::MulAdd(p, f, hn::Set(kFloats, 1.0f));
  const auto shift = hn::ShiftLeft<23>(hn::ConvertTo(IntTag(), n));
  return Lanes(hn::BitCast(kFloats, hn::Add(hn::BitCast(IntTag(), p), shift)));
}

}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
