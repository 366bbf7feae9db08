#include "covary/stat/mixture/kde_kernel.h"

#include <cmath>
#include <limits>
#include <numbers>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/stat/mixture/kde_shape-inl.h"

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

// Four queries share a loaded point. kDims: d when known, else 0.
template <Kernel kKernel, bool kBrief, int kDims, bool kLocal = false>
HWY_INLINE void add(const double* HWY_RESTRICT x, const double* HWY_RESTRICT w,
                    const double* HWY_RESTRICT shrink, int64_t count, int64_t dims,
                    const double* queries, int64_t m, double* sums) {
  constexpr int64_t kShare = 4;
  constexpr bool kProduct = kKernel >= Kernel::kProductEpanechnikov;
  const int64_t d = kDims ? kDims : dims, lanes = static_cast<int64_t>(hn::Lanes(kD));
  for (int64_t a = 0; a < m; a += kShare) {
    // Past the last query the last one again; its sums are not kept.
    const double* q[kShare];
    for (int64_t b = 0; b < kShare; ++b) q[b] = queries + (a + b < m ? a + b : m - 1) * d;
    V total[kShare];
    for (int64_t b = 0; b < kShare; ++b) total[b] = hn::Zero(kD);
    for (int64_t i = 0; i < count; i += lanes) {
      V square[kShare];
      for (int64_t b = 0; b < kShare; ++b) square[b] = hn::Set(kD, kProduct ? 1.0 : 0.0);
      for (int64_t j = 0; j < d; ++j) {
        const V v = hn::LoadU(kD, x + j * count + i);
        for (int64_t b = 0; b < kShare; ++b) {
          const V z = hn::Sub(v, hn::Set(kD, q[b][j]));
          if constexpr (kProduct) {
            square[b] = hn::Mul(square[b], shape_of<kKernel>(z));
          } else if constexpr (kKernel == Kernel::kLaplacian) {
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
        if constexpr (kProduct) {
          total[b] = hn::MulAdd(weight, square[b], total[b]);
        } else {
          total[b] = hn::MulAdd(weight, kernel_of_square<kKernel, kBrief>(square[b]), total[b]);
        }
      }
    }
    for (int64_t b = 0; b < kShare && a + b < m; ++b) {
      sums[a + b] += hn::GetLane(hn::SumOfLanes(kD, total[b]));
    }
  }
}

template <Kernel kKernel, bool kBrief>
HWY_INLINE void add_dims(const double* x, const double* w, const double* shrink, int64_t count,
                         int64_t d, const double* q, int64_t m, double* sums) {
  if (shrink) return add<kKernel, kBrief, 0, true>(x, w, shrink, count, d, q, m, sums);
  if constexpr (kKernel == Kernel::kGaussian) {
    switch (d) {
      case 1:
        return add<kKernel, kBrief, 1>(x, w, shrink, count, d, q, m, sums);
      case 2:
        return add<kKernel, kBrief, 2>(x, w, shrink, count, d, q, m, sums);
      case 3:
        return add<kKernel, kBrief, 3>(x, w, shrink, count, d, q, m, sums);
      default:
        break;
    }
  }
  add<kKernel, kBrief, 0>(x, w, shrink, count, d, q, m, sums);
}

void add_kernels_simd(Kernel kernel, const double* x, const double* w, const double* shrink,
                      int64_t count, int64_t d, const double* q, int64_t m, bool brief,
                      double* sums) {
  const auto run = [&]<Kernel kKernel>() {
    add_dims<kKernel, false>(x, w, shrink, count, d, q, m, sums);
  };
  switch (kernel) {
    case Kernel::kGaussian:
      if (!brief) return run.template operator()<Kernel::kGaussian>();
      return add_dims<Kernel::kGaussian, true>(x, w, shrink, count, d, q, m, sums);
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
    case Kernel::kProductEpanechnikov:
      return run.template operator()<Kernel::kProductEpanechnikov>();
    case Kernel::kProductTophat:
      return run.template operator()<Kernel::kProductTophat>();
    case Kernel::kProductLinear:
      return run.template operator()<Kernel::kProductLinear>();
    case Kernel::kProductCosine:
      return run.template operator()<Kernel::kProductCosine>();
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(add_kernels_simd);

void add_kernels(Kernel kernel, const double* x, const double* weights, const double* shrink,
                 int64_t count, int64_t d, const double* queries, int64_t m, bool brief,
                 double* sums) {
  HWY_DYNAMIC_DISPATCH(add_kernels_simd)
  (kernel, x, weights, shrink, count, d, queries, m, brief, sums);
}

Kernel kernel_of(const std::string& name, bool product) {
  if (name == "epanechnikov") return product ? Kernel::kProductEpanechnikov : Kernel::kEpanechnikov;
  if (name == "tophat") return product ? Kernel::kProductTophat : Kernel::kTophat;
  if (name == "exponential") return product ? Kernel::kLaplacian : Kernel::kExponential;
  if (name == "linear") return product ? Kernel::kProductLinear : Kernel::kLinear;
  if (name == "cosine") return product ? Kernel::kProductCosine : Kernel::kCosine;
  if (name == "laplacian") return Kernel::kLaplacian;
  return Kernel::kGaussian;
}

double product_shape(Kernel kernel, double z) {
  const double a = std::abs(z);
  if (!(a < 1)) return 0;
  switch (kernel) {
    case Kernel::kProductEpanechnikov:
      return 1 - z * z;
    case Kernel::kProductLinear:
      return 1 - a;
    case Kernel::kProductCosine:
      return std::cos(std::numbers::pi / 2 * a);
    default:
      return 1;
  }
}

double product_term(Kernel kernel, double z) { return -std::log(product_shape(kernel, z)); }

double kernel_term_slope(Kernel kernel, double z) {
  const double sign = (z > 0) - (z < 0);
  switch (kernel) {
    case Kernel::kLaplacian:
      return sign;
    case Kernel::kProductEpanechnikov:
      return 2 * z / (1 - z * z);
    case Kernel::kProductTophat:
      return 0;
    case Kernel::kProductLinear:
      return sign / (1 - std::abs(z));
    case Kernel::kProductCosine:
      return std::numbers::pi / 2 * std::tan(std::numbers::pi / 2 * z);
    default:
      return 2 * z;
  }
}

double kernel_at(Kernel kernel, double s) {
  if (is_product(kernel)) return std::exp(-s);
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
    default:
      return 0;
  }
}

double kernel_slope(Kernel kernel, double s) {
  if (is_product(kernel)) return -std::exp(-s);
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
    default:
      return 0;
  }
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
    case Kernel::kProductEpanechnikov:
      return d * std::log(4.0 / 3);
    case Kernel::kProductTophat:
      return d * std::numbers::ln2;
    case Kernel::kProductLinear:
      return 0;
    case Kernel::kProductCosine:
      return d * std::log(4 / pi);
  }
  return 0;
}

double kernel_log(Kernel kernel, double s) {
  if (is_product(kernel)) return -s;
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
