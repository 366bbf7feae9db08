#include <cmath>
#include <vector>

#include "covary/core/compute/improvement/improvement.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/improvement/simd.cc"
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
HWY_INLINE Vec constant(double x) { return hn::Set(kDoubles, x); }

// The last vector of a stretch may be partial: missing lanes read `rest` and are not written.
HWY_INLINE Vec load(const double* p, int64_t left, double rest = 0) {
  if (left >= lanes()) return hn::LoadU(kDoubles, p);
  HWY_ALIGN double part[HWY_MAX_BYTES / sizeof(double)];
  for (int64_t i = 0; i < lanes(); ++i) part[i] = i < left ? p[i] : rest;
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

constexpr double kFat = 0.1;
constexpr double kLargest = 1e140;

HWY_INLINE Vec scaled(Vec x, double tau) {
  return hn::Min(hn::Max(hn::Div(x, constant(tau)), constant(-kLargest)), constant(kLargest));
}

void positive(const double* x, int64_t count, double tau, double* value, double* slope) {
  const Vec one = constant(1), zero = hn::Zero(kDoubles);
  for (int64_t i = 0; i < count; i += lanes()) {
    const int64_t left = count - i;
    const Vec u = scaled(load(x + i, left), tau), size = hn::Abs(u);
    const Vec cauchy = hn::Div(one, hn::MulAdd(u, u, one));
    Vec soft = hn::Max(u, zero);
    Vec sigmoid = hn::IfThenElseZero(hn::Gt(u, zero), one);
    // With tau = 1e-6 nearly every draw is far from the bend.
    if (!hn::AllFalse(kDoubles, hn::Lt(size, constant(40)))) {
      const Vec small = hn::IfThenElseZero(
          hn::Lt(size, constant(700)), hn::Exp(kDoubles, hn::Neg(hn::Min(size, constant(700)))));
      soft = hn::Add(soft, hn::Log1p(kDoubles, small));
      sigmoid = hn::Div(hn::IfThenElse(hn::Gt(u, zero), one, small), hn::Add(one, small));
    }
    const Vec sum = hn::MulAdd(constant(kFat), cauchy, soft);
    const Vec lean = hn::Mul(hn::Mul(constant(2 * kFat), u), hn::Mul(cauchy, cauchy));
    const Vec whole = hn::Mul(constant(tau), sum);
    store(hn::Log(kDoubles, whole), value + i, left);
    store(hn::Div(hn::Sub(sigmoid, lean), whole), slope + i, left);
  }
}

void step(const double* x, int64_t count, double tau, double* value, double* slope) {
  const Vec one = constant(1), middle = constant(std::sqrt(1.0 / 3));
  for (int64_t i = 0; i < count; i += lanes()) {
    const int64_t left = count - i;
    const Vec u = scaled(load(x + i, left), tau);
    const Vec away = hn::Add(hn::Abs(u), middle), square = hn::MulAdd(away, away, one);
    const Vec bell = hn::Div(constant(2.0 / 3), square);
    const Vec f = hn::IfThenElse(hn::Lt(u, hn::Zero(kDoubles)), bell, hn::Sub(one, bell));
    store(hn::Log(kDoubles, f), value + i, left);
    const Vec rise = hn::Div(hn::Mul(constant(2), hn::Mul(away, bell)), square);
    store(hn::Div(rise, hn::Mul(constant(tau), f)), slope + i, left);
  }
}

double mean_max(const double* l, int64_t q, int64_t draws, double tau, double* weights) {
  thread_local std::vector<double> values;
  values.resize(static_cast<size_t>(draws));
  const Vec one = constant(1), two = constant(2), zero = hn::Zero(kDoubles),
            per = constant(1 / tau);
  constexpr double kLowest = -1e300;
  Vec top = constant(kLowest);
  for (int64_t s = 0; s < draws; s += lanes()) {
    const int64_t left = draws - s;
    Vec most = load(l + s, left);
    for (int64_t j = 1; j < q; ++j) most = hn::Max(most, load(l + j * draws + s, left));
    Vec sum = zero;
    for (int64_t j = 0; j < q; ++j) {
      const Vec t = hn::Mul(hn::Sub(most, load(l + j * draws + s, left)), per);
      const Vec p = hn::Div(two, hn::MulAdd(t, hn::Add(t, two), two));
      sum = hn::Add(sum, p);
      store(hn::Mul(hn::Mul(p, p), hn::Add(one, t)), weights + j * draws + s, left);
    }
    const Vec share = hn::Div(one, sum);
    Vec rest = one;
    for (int64_t j = 0; j < q; ++j) {
      const Vec w = hn::Mul(load(weights + j * draws + s, left), share);
      store(w, weights + j * draws + s, left);
      rest = hn::Sub(rest, w);
    }
    // What the others leave belongs to the first of the largest.
    for (int64_t j = 0; j < q; ++j) {
      const auto here = hn::Eq(load(l + j * draws + s, left), most);
      const Vec w = hn::Add(load(weights + j * draws + s, left), hn::IfThenElseZero(here, rest));
      store(w, weights + j * draws + s, left);
      rest = hn::IfThenZeroElse(here, rest);
    }
    const Vec v = hn::MulAdd(constant(tau), hn::Log(kDoubles, sum), most);
    store(v, values.data() + s, left);
    top = hn::Max(top, load(values.data() + s, left, kLowest));
  }
  const double most = hn::GetLane(hn::MaxOfLanes(kDoubles, top));
  Vec total = zero;
  for (int64_t s = 0; s < draws; s += lanes()) {
    const int64_t left = draws - s;
    const Vec below = hn::Sub(load(values.data() + s, left, kLowest), constant(most));
    const Vec e = hn::IfThenElseZero(hn::Gt(below, constant(-700)),
                                     hn::Exp(kDoubles, hn::Max(below, constant(-700))));
    store(e, values.data() + s, left);
    total = hn::Add(total, e);
  }
  const double sum = hn::GetLane(hn::SumOfLanes(kDoubles, total));
  const Vec share = constant(1 / sum);
  for (int64_t s = 0; s < draws; s += lanes()) {
    const int64_t left = draws - s;
    const Vec e = hn::Mul(load(values.data() + s, left), share);
    for (int64_t j = 0; j < q; ++j) {
      double* w = weights + j * draws + s;
      store(hn::Mul(load(w, left), e), w, left);
    }
  }
  return most + std::log(sum / static_cast<double>(draws));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(positive);
HWY_EXPORT(step);
HWY_EXPORT(mean_max);

void fat_log_positive(const double* x, int64_t count, double tau, double* value, double* slope) {
  HWY_DYNAMIC_DISPATCH(positive)(x, count, tau, value, slope);
}

void fat_log_step(const double* x, int64_t count, double tau, double* value, double* slope) {
  HWY_DYNAMIC_DISPATCH(step)(x, count, tau, value, slope);
}

double fat_log_mean_max(const double* l, int64_t q, int64_t draws, double tau, double* weights) {
  return HWY_DYNAMIC_DISPATCH(mean_max)(l, q, draws, tau, weights);
}

}  // namespace covary::compute
#endif
