#include "covary/core/eval/ceilings_kernel.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/eval/ceilings_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

HWY_BEFORE_NAMESPACE();
namespace covary::eval::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Twelve chains: more than latency times issue width on every current core (5 x 2), fewer than 16
// registers.
constexpr int kChains = 12;

int64_t Fma(int64_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  const auto mul = hn::Set(d, 0.999f), add = hn::Set(d, 1e-3f);
  auto a0 = hn::Iota(d, 0.0f), a1 = hn::Iota(d, 1.0f), a2 = hn::Iota(d, 2.0f),
       a3 = hn::Iota(d, 3.0f), a4 = hn::Iota(d, 4.0f), a5 = hn::Iota(d, 5.0f),
       a6 = hn::Iota(d, 6.0f), a7 = hn::Iota(d, 7.0f), a8 = hn::Iota(d, 8.0f),
       a9 = hn::Iota(d, 9.0f), a10 = hn::Iota(d, 10.0f), a11 = hn::Iota(d, 11.0f);
  for (int64_t r = 0; r < rounds; ++r) {
    a0 = hn::MulAdd(a0, mul, add);
    a1 = hn::MulAdd(a1, mul, add);
    a2 = hn::MulAdd(a2, mul, add);
    a3 = hn::MulAdd(a3, mul, add);
    a4 = hn::MulAdd(a4, mul, add);
    a5 = hn::MulAdd(a5, mul, add);
    a6 = hn::MulAdd(a6, mul, add);
    a7 = hn::MulAdd(a7, mul, add);
    a8 = hn::MulAdd(a8, mul, add);
    a9 = hn::MulAdd(a9, mul, add);
    a10 = hn::MulAdd(a10, mul, add);
    a11 = hn::MulAdd(a11, mul, add);
  }
  const auto s = hn::Add(
      hn::Add(hn::Add(hn::Add(a0, a1), hn::Add(a2, a3)), hn::Add(hn::Add(a4, a5), hn::Add(a6, a7))),
      hn::Add(hn::Add(a8, a9), hn::Add(a10, a11)));
  *sink = hn::GetLane(hn::SumOfLanes(d, s));
  return rounds * kChains * static_cast<int64_t>(hn::Lanes(d));
}

int64_t Exp(int64_t rounds, float* sink) {
  const hn::ScalableTag<float> d;
  auto a = hn::Iota(d, -1.0f), b = hn::Iota(d, -2.0f), c = hn::Iota(d, -3.0f),
       e = hn::Iota(d, -4.0f);
  const auto low = hn::Set(d, -0.5f);
  // x <- exp(min(x, -1/2)) / -2 - 1/2: arguments stay near -1, the full polynomial, no special
  // case.
  for (int64_t r = 0; r < rounds; ++r) {
    a = hn::MulAdd(hn::Exp(d, hn::Min(a, low)), low, low);
    b = hn::MulAdd(hn::Exp(d, hn::Min(b, low)), low, low);
    c = hn::MulAdd(hn::Exp(d, hn::Min(c, low)), low, low);
    e = hn::MulAdd(hn::Exp(d, hn::Min(e, low)), low, low);
  }
  *sink = hn::GetLane(hn::SumOfLanes(d, hn::Add(hn::Add(a, b), hn::Add(c, e))));
  return rounds * 4 * static_cast<int64_t>(hn::Lanes(d));
}

const char* Target() { return hwy::TargetName(HWY_TARGET); }

}  // namespace covary::eval::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::eval {

HWY_EXPORT(Fma);
HWY_EXPORT(Exp);
HWY_EXPORT(Target);

int64_t run_fma(int64_t rounds, float* sink) { return HWY_DYNAMIC_DISPATCH(Fma)(rounds, sink); }
int64_t run_exp(int64_t rounds, float* sink) { return HWY_DYNAMIC_DISPATCH(Exp)(rounds, sink); }
const char* dispatched_target() { return HWY_DYNAMIC_DISPATCH(Target)(); }

}  // namespace covary::eval
#endif
