#include <cmath>

#include "covary/core/compute/pairwise/pairwise.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/pairwise/simd.cc"
#include <hwy/foreach_target.h>
// The target comes first.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<double>;
using Vec = hn::Vec<Tag>;
constexpr Tag kDoubles;

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(kDoubles)); }

// The last vector of a stretch may be partial: missing lanes read 0 and are not written.
HWY_INLINE Vec load(const double* p, int64_t left) {
  if (left >= lanes()) return hn::LoadU(kDoubles, p);
  HWY_ALIGN double part[HWY_MAX_BYTES / sizeof(double)] = {};
  for (int64_t i = 0; i < left; ++i) part[i] = p[i];
  return hn::Load(kDoubles, part);
}
HWY_INLINE void store(Vec v, double* p, int64_t left) {
  if (left >= lanes()) {
    hn::StoreU(v, kDoubles, p);
    return;
  }
  HWY_ALIGN double part[HWY_MAX_BYTES / sizeof(double)];
  hn::Store(v, kDoubles, part);
  for (int64_t i = 0; i < left; ++i) p[i] = part[i];
}
HWY_INLINE double sum_of(Vec v) { return hn::GetLane(hn::SumOfLanes(kDoubles, v)); }

// Four rows share the loads of a column.
template <int kRows>
HWY_INLINE void squares_of_rows(const Points& a, const Points& b, const PairBlock& t, int64_t i,
                                double* out) {
  for (int64_t j = 0; j < t.columns; j += lanes()) {
    const int64_t left = t.columns - j;
    Vec q[kRows];
    for (auto& v : q) v = hn::Zero(kDoubles);
    for (int64_t k = 0; k < a.dims; ++k) {
      const Vec y = load(b.values + k * b.stride + t.column + j, left);
      const double* x = a.values + k * a.stride + t.row + i;
      for (int r = 0; r < kRows; ++r) {
        const Vec difference = hn::Sub(hn::Set(kDoubles, x[r]), y);
        q[r] = hn::MulAdd(difference, difference, q[r]);
      }
    }
    for (int r = 0; r < kRows; ++r) store(q[r], out + (i + r) * t.columns + j, left);
  }
}

void squares(const Points& a, const Points& b, const PairBlock& t, double* out) {
  int64_t i = 0;
  for (; i + 4 <= t.rows; i += 4) squares_of_rows<4>(a, b, t, i, out);
  for (; i < t.rows; ++i) squares_of_rows<1>(a, b, t, i, out);
}

// profile(q, &value, &slope) over a stretch.
template <class F>
HWY_INLINE void sweep(const double* q, int64_t count, double* value, double* slope, F&& profile) {
  for (int64_t i = 0; i < count; i += lanes()) {
    Vec f, df;
    profile(load(q + i, count - i), f, df);
    store(f, value + i, count - i);
    if (slope) store(df, slope + i, count - i);
  }
}

HWY_INLINE Vec constant(double x) { return hn::Set(kDoubles, x); }

void profile(Profile kind, double shape, const double* q, int64_t count, double* value,
             double* slope, double* shape_slope) {
  const Vec one = constant(1);
  switch (kind) {
    case Profile::kRbf:
      sweep(q, count, value, slope, [&](Vec x, Vec& f, Vec& df) HWY_ATTR {
        f = hn::Exp(kDoubles, hn::Mul(constant(-0.5), x));
        df = hn::Mul(constant(-0.5), f);
      });
      return;
    case Profile::kMatern12:
      sweep(q, count, value, slope, [&](Vec x, Vec& f, Vec& df) HWY_ATTR {
        const Vec r = hn::Sqrt(x);
        f = hn::Exp(kDoubles, hn::Neg(r));
        df = hn::IfThenElseZero(hn::Gt(r, hn::Zero(kDoubles)),
                                hn::Div(hn::Mul(constant(-0.5), f), r));
      });
      return;
    case Profile::kMatern32:
      sweep(q, count, value, slope, [&](Vec x, Vec& f, Vec& df) HWY_ATTR {
        const Vec s = hn::Sqrt(hn::Mul(constant(3), x)), e = hn::Exp(kDoubles, hn::Neg(s));
        f = hn::MulAdd(s, e, e);
        df = hn::Mul(constant(-1.5), e);
      });
      return;
    case Profile::kMatern52:
      sweep(q, count, value, slope, [&](Vec x, Vec& f, Vec& df) HWY_ATTR {
        const Vec s2 = hn::Mul(constant(5), x), s = hn::Sqrt(s2);
        const Vec e = hn::Exp(kDoubles, hn::Neg(s)), first = hn::MulAdd(s, e, e);
        f = hn::MulAdd(hn::Mul(s2, constant(1.0 / 3)), e, first);
        df = hn::Mul(constant(-5.0 / 6), first);
      });
      return;
    case Profile::kRationalQuadratic:
      for (int64_t i = 0; i < count; i += lanes()) {
        const int64_t left = count - i;
        const Vec t = hn::Mul(load(q + i, left), constant(0.5 / shape));
        const Vec base = hn::Add(one, t), log_base = hn::Log1p(kDoubles, t);
        const Vec f = hn::Exp(kDoubles, hn::Mul(constant(-shape), log_base));
        store(f, value + i, left);
        if (slope) store(hn::Div(hn::Mul(constant(-0.5), f), base), slope + i, left);
        if (shape_slope) {
          store(hn::Mul(f, hn::Sub(hn::Div(t, base), log_base)), shape_slope + i, left);
        }
      }
      return;
  }
}

// Up to four coordinates a sweep: the weights are read once for all of them.
template <int kDims>
HWY_INLINE void moments_of_dims(const Points& a, const Points& b, const PairBlock& t, int64_t k0,
                                const double* weights, double* sums) {
  Vec sum[kDims];
  for (auto& s : sum) s = hn::Zero(kDoubles);
  for (int64_t i = 0; i < t.rows; ++i) {
    Vec x[kDims];
    for (int k = 0; k < kDims; ++k) {
      x[k] = hn::Set(kDoubles, a.values[(k0 + k) * a.stride + t.row + i]);
    }
    for (int64_t j = 0; j < t.columns; j += lanes()) {
      const int64_t left = t.columns - j;
      const Vec w = load(weights + i * t.columns + j, left);
      for (int k = 0; k < kDims; ++k) {
        const Vec y = load(b.values + (k0 + k) * b.stride + t.column + j, left);
        const Vec difference = hn::Sub(x[k], y);
        sum[k] = hn::MulAdd(hn::Mul(difference, w), difference, sum[k]);
      }
    }
  }
  for (int k = 0; k < kDims; ++k) sums[k0 + k] += sum_of(sum[k]);
}

void moments(const Points& a, const Points& b, const PairBlock& t, const double* weights,
             double* sums) {
  int64_t k = 0;
  for (; k + 4 <= a.dims; k += 4) moments_of_dims<4>(a, b, t, k, weights, sums);
  for (; k < a.dims; ++k) moments_of_dims<1>(a, b, t, k, weights, sums);
}

// Row by row: the weights of a row are read once for up to four coordinates.
template <int kDims>
HWY_INLINE void differences_of_dims(const Points& a, const Points& b, const PairBlock& t,
                                    int64_t k0, const double* weights, double* sums,
                                    int64_t stride) {
  for (int64_t i = 0; i < t.rows; ++i) {
    Vec x[kDims], sum[kDims];
    for (int k = 0; k < kDims; ++k) {
      x[k] = hn::Set(kDoubles, a.values[(k0 + k) * a.stride + t.row + i]);
      sum[k] = hn::Zero(kDoubles);
    }
    for (int64_t j = 0; j < t.columns; j += lanes()) {
      const int64_t left = t.columns - j;
      const Vec w = load(weights + i * t.columns + j, left);
      for (int k = 0; k < kDims; ++k) {
        const Vec y = load(b.values + (k0 + k) * b.stride + t.column + j, left);
        sum[k] = hn::MulAdd(w, hn::Sub(x[k], y), sum[k]);
      }
    }
    for (int k = 0; k < kDims; ++k) sums[i * stride + k0 + k] += sum_of(sum[k]);
  }
}

void differences(const Points& a, const Points& b, const PairBlock& t, const double* weights,
                 double* sums, int64_t stride) {
  int64_t k = 0;
  for (; k + 4 <= a.dims; k += 4) differences_of_dims<4>(a, b, t, k, weights, sums, stride);
  for (; k < a.dims; ++k) differences_of_dims<1>(a, b, t, k, weights, sums, stride);
}

void product(const double* x, const double* y, int64_t count, double* out) {
  for (int64_t i = 0; i < count; i += lanes()) {
    store(hn::Mul(load(x + i, count - i), load(y + i, count - i)), out + i, count - i);
  }
}

void scale(const double* x, double factor, int64_t count, double* out) {
  const Vec f = hn::Set(kDoubles, factor);
  for (int64_t i = 0; i < count; i += lanes()) {
    store(hn::Mul(load(x + i, count - i), f), out + i, count - i);
  }
}

double dot(const double* x, const double* y, int64_t count) {
  Vec even = hn::Zero(kDoubles), odd = hn::Zero(kDoubles);
  int64_t i = 0;
  for (; i + 2 * lanes() <= count; i += 2 * lanes()) {
    even = hn::MulAdd(hn::LoadU(kDoubles, x + i), hn::LoadU(kDoubles, y + i), even);
    odd =
        hn::MulAdd(hn::LoadU(kDoubles, x + i + lanes()), hn::LoadU(kDoubles, y + i + lanes()), odd);
  }
  for (; i < count; i += lanes()) {
    even = hn::MulAdd(load(x + i, count - i), load(y + i, count - i), even);
  }
  return sum_of(hn::Add(even, odd));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(squares);
HWY_EXPORT(profile);
HWY_EXPORT(moments);
HWY_EXPORT(differences);
HWY_EXPORT(product);
HWY_EXPORT(scale);
HWY_EXPORT(dot);

void pair_squares(const Points& a, const Points& b, const PairBlock& block, double* out) {
  HWY_DYNAMIC_DISPATCH(squares)(a, b, block, out);
}

void radial_profile(Profile kind, double shape, const double* q, int64_t count, double* value,
                    double* slope, double* shape_slope) {
  HWY_DYNAMIC_DISPATCH(profile)(kind, shape, q, count, value, slope, shape_slope);
  if (shape_slope && kind != Profile::kRationalQuadratic) {
    for (int64_t i = 0; i < count; ++i) shape_slope[i] = 0;
  }
}

void pair_square_moments(const Points& a, const Points& b, const PairBlock& block,
                         const double* weights, double* sums) {
  HWY_DYNAMIC_DISPATCH(moments)(a, b, block, weights, sums);
}

void pair_difference_moments(const Points& a, const Points& b, const PairBlock& block,
                             const double* weights, double* sums, int64_t stride) {
  HWY_DYNAMIC_DISPATCH(differences)(a, b, block, weights, sums, stride);
}

void pair_product(const double* x, const double* y, int64_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(product)(x, y, count, out);
}

void pair_scale(const double* x, double factor, int64_t count, double* out) {
  HWY_DYNAMIC_DISPATCH(scale)(x, factor, count, out);
}

double pair_dot(const double* x, const double* y, int64_t count) {
  return HWY_DYNAMIC_DISPATCH(dot)(x, y, count);
}

}  // namespace covary::compute
#endif
