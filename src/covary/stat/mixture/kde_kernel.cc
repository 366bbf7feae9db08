#include "covary/stat/mixture/kde_kernel.h"

#include <cmath>
#include <limits>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include "covary/core/compute/exp2-inl.h"

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

// Four queries share a loaded point. kDims: d when known, else 0.
template <Kernel kKernel, bool kBrief, int kDims, bool kLocal = false>
HWY_INLINE void add(const double* HWY_RESTRICT x, int64_t stride, const double* HWY_RESTRICT w,
                    const double* HWY_RESTRICT shrink, int64_t begin, int64_t end, int64_t dims,
                    const double* queries, int64_t m, double* sums) {
  constexpr int64_t kShare = 4;
  const int64_t d = kDims ? kDims : dims, lanes = static_cast<int64_t>(hn::Lanes(kD));
  for (int64_t a = 0; a < m; a += kShare) {
    // Past the last query the last one again; its sums are not kept.
    const double* q[kShare];
    for (int64_t b = 0; b < kShare; ++b) q[b] = queries + (a + b < m ? a + b : m - 1) * d;
    V total[kShare];
    for (int64_t b = 0; b < kShare; ++b) total[b] = hn::Zero(kD);
    for (int64_t i = begin; i < end; i += lanes) {
      V square[kShare];
      for (int64_t b = 0; b < kShare; ++b) square[b] = hn::Zero(kD);
      for (int64_t j = 0; j < d; ++j) {
        const V v = hn::LoadU(kD, x + j * stride + i);
        for (int64_t b = 0; b < kShare; ++b) {
          const V z = hn::Sub(v, hn::Set(kD, q[b][j]));
          if constexpr (kKernel == Kernel::kLaplacian) {
            square[b] = hn::Add(hn::Abs(z), square[b]);
          } else {
            square[b] = hn::MulAdd(z, z, square[b]);
          }
        }
      }
      const V weight = hn::LoadU(kD, w + i);
      if constexpr (kLocal) {
        const V factor = hn::LoadU(kD, shrink + i);
        for (int64_t b = 0; b < kShare; ++b) square[b] = hn::Mul(square[b], factor);
      }
      for (int64_t b = 0; b < kShare; ++b) {
        total[b] = hn::MulAdd(weight, kernel_of_square<kKernel, kBrief>(square[b]), total[b]);
      }
    }
    for (int64_t b = 0; b < kShare && a + b < m; ++b) {
      sums[a + b] += hn::GetLane(hn::SumOfLanes(kD, total[b]));
    }
  }
}

template <Kernel kKernel, bool kBrief>
HWY_INLINE void add_dims(const double* x, int64_t stride, const double* w, const double* shrink,
                         int64_t begin, int64_t end, int64_t d, const double* q, int64_t m,
                         double* sums) {
  if (shrink) return add<kKernel, kBrief, 0, true>(x, stride, w, shrink, begin, end, d, q, m, sums);
  if constexpr (kKernel == Kernel::kGaussian) {
    switch (d) {
      case 1:
        return add<kKernel, kBrief, 1>(x, stride, w, shrink, begin, end, d, q, m, sums);
      case 2:
        return add<kKernel, kBrief, 2>(x, stride, w, shrink, begin, end, d, q, m, sums);
      case 3:
        return add<kKernel, kBrief, 3>(x, stride, w, shrink, begin, end, d, q, m, sums);
      default:
        break;
    }
  }
  add<kKernel, kBrief, 0>(x, stride, w, shrink, begin, end, d, q, m, sums);
}

void add_kernels_simd(Kernel kernel, const double* x, int64_t stride, const double* w,
                      const double* shrink, int64_t begin, int64_t end, int64_t d, const double* q,
                      int64_t m, bool brief, double* sums) {
  const auto run = [&]<Kernel kKernel>() {
    add_dims<kKernel, false>(x, stride, w, shrink, begin, end, d, q, m, sums);
  };
  switch (kernel) {
    case Kernel::kGaussian:
      if (!brief) return run.template operator()<Kernel::kGaussian>();
      return add_dims<Kernel::kGaussian, true>(x, stride, w, shrink, begin, end, d, q, m, sums);
    case Kernel::kEpanechnikov:
      return run.template operator()<Kernel::kEpanechnikov>();
    case Kernel::kTophat:
      return run.template operator()<Kernel::kTophat>();
    case Kernel::kExponential:
      return run.template operator()<Kernel::kExponential>();
    case Kernel::kLinear:
      return run.template operator()<Kernel::kLinear>();
    case Kernel::kCosine:
      return run.template operator()<Kernel::kCosine>();
    case Kernel::kLaplacian:
      return run.template operator()<Kernel::kLaplacian>();
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(add_kernels_simd);

void add_kernels(Kernel kernel, const double* x, int64_t stride, const double* weights,
                 const double* shrink, int64_t begin, int64_t end, int64_t d, const double* queries,
                 int64_t m, bool brief, double* sums) {
  HWY_DYNAMIC_DISPATCH(add_kernels_simd)
  (kernel, x, stride, weights, shrink, begin, end, d, queries, m, brief, sums);
}

Kernel kernel_of(const std::string& name) {
  if (name == "epanechnikov") return Kernel::kEpanechnikov;
  if (name == "tophat") return Kernel::kTophat;
  if (name == "exponential") return Kernel::kExponential;
  if (name == "linear") return Kernel::kLinear;
  if (name == "cosine") return Kernel::kCosine;
  if (name == "laplacian") return Kernel::kLaplacian;
  return Kernel::kGaussian;
}

double kernel_at(Kernel kernel, double s) {
  const double r = std::sqrt(s);
  switch (kernel) {
    case Kernel::kGaussian:
      return std::exp(-0.5 * s);
    case Kernel::kEpanechnikov:
      return s < 1 ? 1 - s : 0;
    case Kernel::kTophat:
      return s < 1 ? 1 : 0;
    case Kernel::kExponential:
      return std::exp(-r);
    case Kernel::kLaplacian:
      return std::exp(-s);
    case Kernel::kLinear:
      return s < 1 ? 1 - r : 0;
    case Kernel::kCosine:
      return s < 1 ? std::cos(std::numbers::pi / 2 * r) : 0;
  }
  return 0;
}

double kernel_slope(Kernel kernel, double s) {
  const double r = std::sqrt(s);
  switch (kernel) {
    case Kernel::kGaussian:
      return -0.5 * std::exp(-0.5 * s);
    case Kernel::kEpanechnikov:
      return s < 1 ? -1 : 0;
    case Kernel::kTophat:
      return 0;
    case Kernel::kExponential:
      return r > 0 ? -0.5 * std::exp(-r) / r : 0;
    case Kernel::kLaplacian:
      return -std::exp(-s);
    case Kernel::kLinear:
      return r > 0 && r < 1 ? -0.5 / r : 0;
    case Kernel::kCosine:
      return r > 0 && r < 1 ? -std::numbers::pi / 4 * std::sin(std::numbers::pi / 2 * r) / r : 0;
  }
  return 0;
}

double kernel_log_volume(Kernel kernel, int64_t dims) {
  const double d = static_cast<double>(dims), pi = std::numbers::pi;
  const double log_ball = d / 2 * std::log(pi) - std::lgamma(d / 2 + 1);  // of the unit ball
  switch (kernel) {
    case Kernel::kGaussian:
      return d / 2 * std::log(2 * pi);
    case Kernel::kEpanechnikov:
      return log_ball + std::log(2 / (d + 2));
    case Kernel::kTophat:
      return log_ball;
    case Kernel::kExponential:
      return log_ball + std::lgamma(d + 1);
    case Kernel::kLaplacian:
      return d * std::numbers::ln2;
    case Kernel::kLinear:
      return log_ball - std::log(d + 1);
    case Kernel::kCosine: {
      // d times the integral of u^(d-1) cos(pi u / 2) over [0, 1]: by parts it would cancel, so by
      // the cosine's series, whose terms fall fast.
      double sum = 0, term = 1;
      for (int i = 0; i < 30; ++i) {
        sum += term / (d + 2 * i);
        term *= -(pi / 2) * (pi / 2) / ((2 * i + 1) * (2 * i + 2));
      }
      return log_ball + std::log(d * sum);
    }
  }
  return 0;
}

double kernel_log(Kernel kernel, double s) {
  switch (kernel) {
    case Kernel::kGaussian:
      return -0.5 * s;
    case Kernel::kExponential:
      return -std::sqrt(s);
    case Kernel::kLaplacian:
      return -s;
    default:
      return std::log(kernel_at(kernel, s));
  }
}

double kernel_shrink(Kernel kernel, double factor) {
  return kernel == Kernel::kLaplacian ? 1 / factor : 1 / (factor * factor);
}

double kernel_radius(Kernel kernel) {
  return kernel == Kernel::kGaussian || kernel == Kernel::kExponential ||
                 kernel == Kernel::kLaplacian
             ? std::numeric_limits<double>::infinity()
             : 1.0;
}

}  // namespace covary::mixture
#endif
