// 2^t for t <= 0, for the current Highway target. Included once a target, after <hwy/highway.h>.
//
//   const auto p = exp2_negative<false>(d, hn::Mul(x, hn::Set(d, std::numbers::log2e)));   // e^x, x <= 0
//
// d: a tag of doubles. 2^t = 2^n e^(f ln 2), n the nearest whole number, |f| <= 1/2. The Taylor
// polynomial of degree 7 (brief) is right to 6e-9 of itself, that of degree 12 to rounding. Below
// -1000, and for NaN, the value is 0.
#if defined(COVARY_EXP2_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_EXP2_INL_H_
#undef COVARY_EXP2_INL_H_
#else
#define COVARY_EXP2_INL_H_
#endif

#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

template <bool kBrief, class D, class V = hn::Vec<D>>
HWY_INLINE V exp2_negative(D d, V t) {
  // Adding 1.5 2^52 leaves the whole number in the low bits.
  const V magic = hn::Set(d, 6755399441055744.0);
  const V shifted = hn::Add(t, magic);
  const V f = hn::Sub(t, hn::Sub(shifted, magic));
  V p;
  if constexpr (kBrief) {
    p = hn::Set(d, 1.5252733804059841e-05);  // ln(2)^k / k!
  } else {
    p = hn::Set(d, 2.5678435993488206e-11);
    p = hn::MulAdd(p, f, hn::Set(d, 4.4455382718708116e-10));
    p = hn::MulAdd(p, f, hn::Set(d, 7.0549116208011234e-09));
    p = hn::MulAdd(p, f, hn::Set(d, 1.0178086009239699e-07));
    p = hn::MulAdd(p, f, hn::Set(d, 1.3215486790144309e-06));
    p = hn::MulAdd(p, f, hn::Set(d, 1.5252733804059841e-05));
  }
  p = hn::MulAdd(p, f, hn::Set(d, 1.5403530393381610e-04));
  p = hn::MulAdd(p, f, hn::Set(d, 1.3333558146428443e-03));
  p = hn::MulAdd(p, f, hn::Set(d, 9.6181291076284771e-03));
  p = hn::MulAdd(p, f, hn::Set(d, 5.5504108664821580e-02));
  p = hn::MulAdd(p, f, hn::Set(d, 2.4022650695910072e-01));
  p = hn::MulAdd(p, f, hn::Set(d, 6.9314718055994531e-01));
  p = hn::MulAdd(p, f, hn::Set(d, 1.0));
  const hn::RebindToSigned<D> integers;
  const auto exponent = hn::ShiftLeft<52>(hn::BitCast(integers, shifted));
  const V value = hn::BitCast(d, hn::Add(hn::BitCast(integers, p), exponent));
  return hn::IfThenElseZero(hn::Gt(t, hn::Set(d, -1000.0)), value);
}

}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
