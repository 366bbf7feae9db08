#include <cmath>
#include <limits>

#include "covary/core/compute/activation/activation.h"
#include "covary/core/compute/lanes.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/activation/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

template <class F>
HWY_INLINE void each(const float* x, int64_t count, float* out, F&& f) {
  int64_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(Lanes::load(x + i)).store(out + i);
  if (i == count) return;
  HWY_ALIGN float last[kLanes] = {};
  for (int64_t k = 0; i + k < count; ++k) last[k] = x[i + k];
  f(Lanes::load(last)).store(last);
  for (int64_t k = 0; i + k < count; ++k) out[i + k] = last[k];
}

// Highway's is right up to the largest number, and 0 below -104; beyond it neither overflows nor keeps a NaN.
HWY_INLINE Lanes exp_of(Lanes x) {
  const Lanes most(88.722839f), infinity(std::numeric_limits<float>::infinity());
  const Lanes y(hn::Exp(kFloats, lane_min(x, most).v));
  return lane_select(x <= most, y, lane_select(x > most, infinity, x));
}

void exponential_lanes(const float* x, int64_t count, float* out) {
  each(x, count, out, [](Lanes v) HWY_ATTR { return exp_of(v); });
}

void logistic_lanes(const float* x, int64_t count, float* out) {
  const Lanes one(1.0f);
  each(x, count, out, [&](Lanes v) HWY_ATTR { return one / (one + exp_of(-v)); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(exponential_lanes);
HWY_EXPORT(logistic_lanes);

void exponential_reference(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = std::exp(x[i]);
}
void exponential(const float* x, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(exponential_lanes)(x, count, out);
}

void logistic_reference(const float* x, int64_t count, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = 1 / (1 + std::exp(-x[i]));
}
void logistic(const float* x, int64_t count, float* out) {
  HWY_DYNAMIC_DISPATCH(logistic_lanes)(x, count, out);
}

}  // namespace covary::compute
#endif
