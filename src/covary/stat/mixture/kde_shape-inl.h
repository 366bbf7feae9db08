// Kernels of a vector of squares (laplacian: sums of absolutes), and the factors of products, for the
// current Highway target. Included once a target, after <hwy/highway.h>. Within mixture only.
#if defined(COVARY_STAT_MIXTURE_KDE_SHAPE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_STAT_MIXTURE_KDE_SHAPE_INL_H_
#undef COVARY_STAT_MIXTURE_KDE_SHAPE_INL_H_
#else
#define COVARY_STAT_MIXTURE_KDE_SHAPE_INL_H_
#endif

#include <numbers>

#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include "covary/core/compute/exp2-inl.h"
#include "covary/stat/mixture/kde_kernel.h"

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr D kD;

template <Kernel kKernel, bool kBrief>
HWY_INLINE V kernel_of_square(V s) {
  const V one = hn::Set(kD, 1.0), zero = hn::Zero(kD);
  const V log2e = hn::Set(kD, std::numbers::log2e);
  if constexpr (kKernel == Kernel::kGaussian) {
    return compute::HWY_NAMESPACE::exp2_negative<kBrief>(
        kD, hn::Mul(s, hn::Set(kD, -0.5 * std::numbers::log2e)));
  } else if constexpr (kKernel == Kernel::kEpanechnikov) {
    return hn::Max(zero, hn::Sub(one, s));
  } else if constexpr (kKernel == Kernel::kTophat) {
    return hn::IfThenElseZero(hn::Lt(s, one), one);
  } else if constexpr (kKernel == Kernel::kExponential) {
    return compute::HWY_NAMESPACE::exp2_negative<kBrief>(kD, hn::Neg(hn::Mul(hn::Sqrt(s), log2e)));
  } else if constexpr (kKernel == Kernel::kLaplacian) {
    return compute::HWY_NAMESPACE::exp2_negative<kBrief>(kD, hn::Neg(hn::Mul(s, log2e)));
  } else if constexpr (kKernel == Kernel::kLinear) {
    return hn::Max(zero, hn::Sub(one, hn::Sqrt(s)));
  } else {
    const V r = hn::Min(hn::Sqrt(s), one);
    return hn::IfThenElseZero(hn::Lt(s, one),
                              hn::Cos(kD, hn::Mul(r, hn::Set(kD, std::numbers::pi / 2))));
  }
}

// One coordinate's factor of a product.
template <Kernel kKernel>
HWY_INLINE V shape_of(V z) {
  const V one = hn::Set(kD, 1.0), zero = hn::Zero(kD), a = hn::Abs(z);
  if constexpr (kKernel == Kernel::kProductEpanechnikov) {
    return hn::Max(zero, hn::NegMulAdd(z, z, one));
  } else if constexpr (kKernel == Kernel::kProductTophat) {
    return hn::IfThenElseZero(hn::Lt(a, one), one);
  } else if constexpr (kKernel == Kernel::kProductLinear) {
    return hn::Max(zero, hn::Sub(one, a));
  } else {
    return hn::IfThenElseZero(
        hn::Lt(a, one), hn::Cos(kD, hn::Mul(hn::Min(a, one), hn::Set(kD, std::numbers::pi / 2))));
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();
#endif
