#include <algorithm>
#include <atomic>
#include <cmath>

#include "covary/core/base/threads.h"
#include "covary/core/compute/adam/adam.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/adam/simd.cc"
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#ifndef COVARY_ADAM_ONCE
#define COVARY_ADAM_ONCE
namespace covary::compute {
namespace {

struct Coefficients {
  float b1, b2, rest1, rest2, rate, root, eps;
};

// A contiguous stretch of elements; a null gradient is zero, a null multiplier is 1.
struct Run {
  float* value;
  float* first;
  float* second;
  const float* multiplier;
  const float* gradient;
};

Run run_at(const AdamRows<float>& rows, int64_t row, const float* gradient) {
  const int64_t i = row * rows.width;
  return {rows.value + i, rows.first + i, rows.second + i,
          rows.multiplier ? rows.multiplier + i : nullptr, gradient};
}

}  // namespace
}  // namespace covary::compute
#endif

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Elements [i, n) in whole vectors of d; returns where it stopped.
template <class D>
HWY_INLINE int64_t sweep(D d, const Coefficients& c, const Run& r, int64_t i, int64_t n) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto b1 = hn::Set(d, c.b1), b2 = hn::Set(d, c.b2);
  const auto rest1 = hn::Set(d, c.rest1), rest2 = hn::Set(d, c.rest2);
  const auto rate = hn::Set(d, c.rate), root = hn::Set(d, c.root), eps = hn::Set(d, c.eps);
  for (; i + lanes <= n; i += lanes) {
    auto m = hn::Mul(b1, hn::LoadU(d, r.first + i));
    auto v = hn::Mul(b2, hn::LoadU(d, r.second + i));
    if (r.gradient) {
      const auto g = hn::LoadU(d, r.gradient + i);
      m = hn::MulAdd(rest1, g, m);
      v = hn::MulAdd(hn::Mul(rest2, g), g, v);
    }
    auto f = rate;
    if (r.multiplier) f = hn::Mul(f, hn::LoadU(d, r.multiplier + i));
    const auto move = hn::Div(hn::Mul(f, m), hn::MulAdd(hn::Sqrt(v), root, eps));
    hn::StoreU(m, d, r.first + i);
    hn::StoreU(v, d, r.second + i);
    hn::StoreU(hn::Sub(hn::LoadU(d, r.value + i), move), d, r.value + i);
  }
  return i;
}

// Whole vectors, then fours, twos and ones: every element sees the same operations wherever it
// stands.
HWY_INLINE void sweep_run(const Coefficients& c, const Run& r, int64_t n) {
  int64_t i = sweep(hn::ScalableTag<float>(), c, r, 0, n);
  i = sweep(hn::CappedTag<float, 4>(), c, r, i, n);
  i = sweep(hn::CappedTag<float, 2>(), c, r, i, n);
  sweep(hn::CappedTag<float, 1>(), c, r, i, n);
}

// Rows [begin, end), all seen, dense gradient.
void adam_dense(const Coefficients& c, const AdamRows<float>& rows,
                const AdamGradient<float>& gradient, int64_t begin, int64_t end) {
  sweep_run(c, run_at(rows, begin, gradient.values + begin * rows.width),
            (end - begin) * rows.width);
}

// Rows of one element, ids[begin .. end): picked up into a block that is swept as one run and put
// back.
void adam_single(const Coefficients& c, const AdamRows<float>& rows,
                 const AdamGradient<float>& gradient, int64_t begin, int64_t end) {
  constexpr int64_t kBlock = 128;
  HWY_ALIGN float value[kBlock], first[kBlock], second[kBlock], multiplier[kBlock], picked[kBlock];
  for (int64_t i = begin; i < end; i += kBlock) {
    const int64_t count = std::min(kBlock, end - i);
    const int64_t* ids = gradient.ids + i;
    const auto pick = [&](const float* from, float* to) HWY_ATTR {
      for (int64_t j = 0; j < count; ++j) to[j] = from[ids[j]];
    };
    const auto put = [&](const float* from, float* to) HWY_ATTR {
      for (int64_t j = 0; j < count; ++j) to[ids[j]] = from[j];
    };
    pick(rows.value, value);
    pick(rows.first, first);
    pick(rows.second, second);
    if (rows.multiplier) pick(rows.multiplier, multiplier);
    if (!gradient.compact) pick(gradient.values, picked);
    sweep_run(c,
              {value, first, second, rows.multiplier ? multiplier : nullptr,
               gradient.compact ? gradient.values + i : picked},
              count);
    put(value, rows.value);
    put(first, rows.first);
    put(second, rows.second);
  }
}

// The lines of a row of the table, to be there when its turn comes.
HWY_INLINE void prefetch_row(const AdamRows<float>& rows, int64_t row) {
  const int64_t at = row * rows.width;
  for (int64_t k = 0; k < rows.width; k += 16) {
    hwy::Prefetch(rows.value + at + k);
    hwy::Prefetch(rows.first + at + k);
    hwy::Prefetch(rows.second + at + k);
  }
}

// The rows ids[begin .. end); neighbours in the table are swept together.
void adam_listed(const Coefficients& c, const AdamRows<float>& rows,
                 const AdamGradient<float>& gradient, int64_t begin, int64_t end) {
  if (rows.width == 1) return adam_single(c, rows, gradient, begin, end);
  constexpr int64_t kAhead = 3;             // rows
  const bool long_rows = rows.width >= 16;  // what is not foreseen by the hardware
  int64_t fetched = begin;
  for (int64_t i = begin; i < end;) {
    int64_t j = i + 1;
    while (j < end && gradient.ids[j] == gradient.ids[j - 1] + 1) ++j;
    for (; long_rows && fetched < std::min(end, j + kAhead); ++fetched) {
      prefetch_row(rows, gradient.ids[fetched]);
    }
    const int64_t row = gradient.ids[i];
    const float* g = gradient.values + (gradient.compact ? i : row) * rows.width;
    sweep_run(c, run_at(rows, row, g), (j - i) * rows.width);
    i = j;
  }
}

// Rows [begin, end) with a compact gradient; the rows between the ids have gradient zero.
void adam_between(const Coefficients& c, const AdamRows<float>& rows,
                  const AdamGradient<float>& gradient, int64_t begin, int64_t end) {
  const int64_t* last = gradient.ids + gradient.count;
  const int64_t* id = std::lower_bound(gradient.ids, last, begin);
  for (int64_t row = begin; row < end;) {
    const int64_t next = id == last ? end : std::min(*id, end);
    if (row < next) sweep_run(c, run_at(rows, row, nullptr), (next - row) * rows.width);
    row = next;
    if (row == end) break;
    const float* g = gradient.values + (id - gradient.ids) * rows.width;
    int64_t seen = 0;
    while (id != last && row + seen < end && *id == row + seen) ++id, ++seen;
    sweep_run(c, run_at(rows, row, g), seen * rows.width);
    row += seen;
  }
}

// x - x is 0 for finite x alone.
bool finite_range(const float* x, int64_t begin, int64_t end) {
  const hn::ScalableTag<float> d;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(d));
  auto sum = hn::Zero(d);
  int64_t i = begin;
  for (; i + lanes <= end; i += lanes) {
    const auto v = hn::LoadU(d, x + i);
    sum = hn::Add(sum, hn::Sub(v, v));
  }
  bool finite = hn::AllTrue(d, hn::Eq(sum, hn::Zero(d)));
  for (; i < end; ++i) finite = finite && x[i] - x[i] == 0;
  return finite;
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(adam_dense);
HWY_EXPORT(adam_listed);
HWY_EXPORT(adam_between);
HWY_EXPORT(finite_range);

void adam(const AdamRule& rule, const AdamRows<float>& rows, const AdamGradient<float>& gradient,
          UnseenRows unseen) {
  const double t = static_cast<double>(rule.update);
  const Coefficients c{static_cast<float>(rule.beta1),
                       static_cast<float>(rule.beta2),
                       static_cast<float>(1 - rule.beta1),
                       static_cast<float>(1 - rule.beta2),
                       static_cast<float>(rule.rate / (1 - std::pow(rule.beta1, t))),
                       static_cast<float>(1 / std::sqrt(1 - std::pow(rule.beta2, t))),
                       static_cast<float>(rule.eps)};
  if (rows.width == 0) return;
  const int64_t grain = std::max<int64_t>(1, 16384 / rows.width);
  const bool dense = !gradient.ids || (!gradient.compact && unseen == UnseenRows::kDecay);
  const bool listed = !dense && unseen == UnseenRows::kKeep;
  parallel_for(listed ? gradient.count : rows.rows, grain, [&](int64_t begin, int64_t end) {
    if (dense) {
      HWY_DYNAMIC_DISPATCH(adam_dense)(c, rows, gradient, begin, end);
    } else if (listed) {
      HWY_DYNAMIC_DISPATCH(adam_listed)(c, rows, gradient, begin, end);
    } else {
      HWY_DYNAMIC_DISPATCH(adam_between)(c, rows, gradient, begin, end);
    }
  });
}

bool all_finite(const float* values, int64_t count) {
  std::atomic<bool> finite{true};
  parallel_for(count, 65536, [&](int64_t begin, int64_t end) {
    if (!HWY_DYNAMIC_DISPATCH(finite_range)(values, begin, end)) finite = false;
  });
  return finite;
}

}  // namespace covary::compute
#endif
