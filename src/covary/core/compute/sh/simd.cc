#include <algorithm>
#include <cmath>

#include "covary/core/base/threads.h"
#include "covary/core/compute/lanes.h"
#include "covary/core/compute/sh/sh.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/sh/simd.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/lanes-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

template <class V>
HWY_INLINE Lanes load_lanes(const float* p) {
  return Lanes::load(p);
}
HWY_INLINE void store_lanes(Lanes v, float* p) { v.store(p); }

#include "covary/core/compute/sh/sh_math.inc"

void sh_color_lanes(const ShInput<float>& in, float* colors) {
  sh_colors<Lanes, float, kLanes>(in, colors);
}
void sh_color_vjp_lanes(const ShInput<float>& in, const float* v_colors,
                        const ShGradients<float>& out) {
  sh_colors_vjp<Lanes, float, kLanes>(in, v_colors, out);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(sh_color_lanes);
HWY_EXPORT(sh_color_vjp_lanes);

void sh_color(const ShInput<float>& in, float* colors) {
  HWY_DYNAMIC_DISPATCH(sh_color_lanes)(in, colors);
}
void sh_color_vjp(const ShInput<float>& in, const float* v_colors, const ShGradients<float>& out) {
  HWY_DYNAMIC_DISPATCH(sh_color_vjp_lanes)(in, v_colors, out);
}

}  // namespace covary::compute
#endif
