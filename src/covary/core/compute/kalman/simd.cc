#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numbers>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/kalman/kalman.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/kalman/simd.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/cache_control.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#ifndef COVARY_KALMAN_ONCE
#define COVARY_KALMAN_ONCE
namespace covary::compute {
namespace {

constexpr int kChunk = 16;  // steps that are turned from rows to lanes at once
constexpr int kWidest = 8;  // doubles of the widest vector
constexpr int kGroups = 4;  // vectors of series that share gains
constexpr int kMaxLanes = kWidest * kGroups;

constexpr int triangle(int d) { return d * (d + 1) / 2; }

// Gains of every step where all series share one model, scalar by scalar of a step:
// h [d], k [d], 1 / s, and the step's L of R = L D L'.
struct SharedGains {
  int64_t scalar = 0;       // doubles of one scalar: 2 d + 1
  int64_t step = 0;         // doubles of a step
  bool correlated = false;  // some R is not diagonal
  bool by_step_f = false;
  std::vector<double> values;  // [T][step]: p scalars, then L [p,p]
  std::vector<double> cov;     // [T,d,d] of x_t given y_0 .. y_t, if wanted
  double log_likelihood = 0;   // the part that no observation enters
};

// Memory of one thread.
struct Work {
  Work(int d, int p) {
    const int64_t sizes[] = {d * d,
                             triangle(d),
                             p * d,
                             p * p,
                             p * d,
                             p,
                             p * p,
                             p * d,
                             p,
                             p * p,
                             p * d,
                             p,
                             kChunk * p * kGroups,
                             kChunk * d * kGroups,
                             triangle(d),
                             d * d};
    int64_t total = 0;
    for (const int64_t s : sizes) total += s * kWidest;
    memory = hwy::AllocateAligned<double>(static_cast<size_t>(total));
    std::fill_n(memory.get(), total, 0.0);
    double* next = memory.get();
    double** panels[] = {&f,      &q,      &h,    &r,       &white_h, &white_r, &white_l, &hole_h,
                         &hole_r, &hole_l, &gain, &inverse, &y,       &mean,    &cov,     &cov0};
    for (size_t i = 0; i < std::size(panels); ++i) {
      *panels[i] = next;
      next += sizes[i] * kWidest;
    }
  }
  hwy::AlignedFreeUniquePtr<double[]> memory;
  double *f, *q, *h, *r;                // panels [entry][lane]; q a lower triangle
  double *white_h, *white_r, *white_l;  // after R was made diagonal, complete rows
  double *hole_h, *hole_r, *hole_l;     // the same for a step with holes
  double *gain, *inverse;               // when steady
  double *y, *mean;                     // [step][entry][lane] of a chunk
  double *cov, *cov0;
  bool holes[kChunk];
};

const double* at(const KalmanMatrix& m, int64_t series, int64_t step) {
  return m.values + series * m.series_stride + step * m.step_stride;
}

bool is_diagonal(const KalmanMatrix& r, int p, int64_t series, int64_t steps) {
  const int64_t s = r.series_stride ? series : 1, t = r.step_stride ? steps : 1;
  for (int64_t i = 0; i < s; ++i) {
    for (int64_t k = 0; k < t; ++k) {
      const double* m = at(r, i, k);
      for (int a = 0; a < p; ++a) {
        for (int c = 0; c < a; ++c) {
          if (m[a * p + c] != 0) return false;
        }
      }
    }
  }
  return true;
}

// The chunk's observations of `count` series from `first`, lanes innermost; lanes beyond repeat the
// first. Returns whether one is missing, and by step in holes.
bool load_observations(const KalmanBatch& b, int64_t first, int64_t count, int lanes, int64_t from,
                       int64_t steps, Work& w) {
  const int64_t values = steps * b.observations;
  std::fill_n(w.holes, kChunk, false);
  bool any = false;
  for (int lane = 0; lane < lanes; ++lane) {
    const double* y = b.y + ((first + (lane < count ? lane : 0)) * b.steps + from) * b.observations;
    bool missing = false;
    // The next chunk of each series is too far from this one for the hardware to foresee.
    if (from + 2 * steps <= b.steps) {
      for (int64_t i = 0; i < values; i += kWidest) hwy::Prefetch(y + values + i);
    }
    for (int64_t i = 0; i < values; ++i) {
      w.y[i * lanes + lane] = y[i];
      missing |= y[i] != y[i];
    }
    if (!missing) continue;
    any = true;
    for (int64_t i = 0; i < values; ++i) w.holes[i / b.observations] |= y[i] != y[i];
  }
  return any;
}

void store_means(const KalmanBatch& b, int64_t first, int64_t count, int lanes, int64_t from,
                 int64_t steps, const Work& w, double* mean) {
  const int64_t values = steps * b.states;
  for (int64_t lane = 0; lane < count; ++lane) {
    double* out = mean + ((first + lane) * b.steps + from) * b.states;
    for (int64_t i = 0; i < values; ++i) out[i] = w.mean[i * lanes + lane];
  }
}

}  // namespace
}  // namespace covary::compute
#endif

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::CappedTag<double, kWidest>;
using V = hn::Vec<Tag>;
constexpr Tag kTag;
constexpr int kLanes = HWY_MIN(HWY_LANES(double), kWidest);

HWY_INLINE V load(const double* panel, int64_t entry) {
  return hn::Load(kTag, panel + entry * kLanes);
}
HWY_INLINE void store(V v, double* panel, int64_t entry) {
  hn::Store(v, kTag, panel + entry * kLanes);
}

// Products of many variances without a logarithm each: mantissas are multiplied, exponents added.
class LogProduct {
 public:
  // In words: the default constructor would not have the target's attribute.
  HWY_INLINE LogProduct()
      : product_(hn::Set(kTag, 1.0)),
        sum_(hn::Zero(kTag)),
        exponents_(hn::Zero(hn::RebindToSigned<Tag>())) {}
  HWY_INLINE void multiply(V s) {
    const hn::RebindToSigned<Tag> ints;
    const auto bits = hn::BitCast(ints, s);
    exponents_ = hn::Add(exponents_, hn::ShiftRight<52>(bits));
    const auto mantissa =
        hn::Or(hn::And(bits, hn::Set(ints, 0x000FFFFFFFFFFFFF)), hn::Set(ints, 0x3FF0000000000000));
    product_ = hn::Mul(product_, hn::BitCast(kTag, mantissa));
    if (++count_ == 512) fold();
  }
  HWY_INLINE V log() {
    fold();
    return hn::MulAdd(hn::ConvertTo(kTag, exponents_), hn::Set(kTag, std::numbers::ln2), sum_);
  }

 private:
  HWY_INLINE void fold() {
    const hn::RebindToSigned<Tag> ints;
    sum_ = hn::Add(sum_, hn::Log(kTag, product_));
    exponents_ = hn::Sub(exponents_, hn::Set(ints, 1023 * count_));
    product_ = hn::Set(kTag, 1.0);
    count_ = 0;
  }
  V product_, sum_;
  hn::Vec<hn::RebindToSigned<Tag>> exponents_;
  int64_t count_ = 0;
};

void fill_panel(const KalmanMatrix& m, int64_t first, int64_t count, int64_t step, int64_t entries,
                double* panel) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const double* from = at(m, first + (lane < count ? lane : 0), step);
    for (int64_t i = 0; i < entries; ++i) panel[i * kLanes + lane] = from[i];
  }
}

void fill_triangle(const KalmanMatrix& m, int64_t first, int64_t count, int64_t step, int d,
                   double* panel) {
  for (int lane = 0; lane < kLanes; ++lane) {
    const double* from = at(m, first + (lane < count ? lane : 0), step);
    for (int i = 0, e = 0; i < d; ++i) {
      for (int j = 0; j <= i; ++j, ++e) panel[e * kLanes + lane] = from[i * d + j];
    }
  }
}

// R = L D L' and H' = L^-1 H of the rows that are there; y: this step's observations, null = all
// there. A row that is missing, and a pivot of 0, clear their column of L.
void whiten(const Work& w, int d, int p, const double* y, double* h, double* r, double* l) {
  for (int i = 0; i < p; ++i) {
    V pivot = load(w.r, i * p + i);
    for (int k = 0; k < i; ++k) {
      const V a = load(l, i * p + k);
      pivot = hn::NegMulAdd(hn::Mul(a, a), load(r, k), pivot);
    }
    pivot = hn::Max(pivot, hn::Zero(kTag));
    auto usable = hn::Gt(pivot, hn::Set(kTag, kKalmanVariance));
    if (y) usable = hn::And(usable, hn::Eq(load(y, i), load(y, i)));
    store(pivot, r, i);
    for (int j = i + 1; j < p; ++j) {
      V entry = load(w.r, j * p + i);
      for (int k = 0; k < i; ++k) {
        entry = hn::NegMulAdd(hn::Mul(load(l, j * p + k), load(l, i * p + k)), load(r, k), entry);
      }
      store(hn::IfThenElseZero(usable, hn::Div(entry, pivot)), l, j * p + i);
    }
    for (int c = 0; c < d; ++c) {
      V value = load(w.h, i * d + c);
      for (int k = 0; k < i; ++k) {
        value = hn::NegMulAdd(load(l, i * p + k), load(h, k * d + c), value);
      }
      store(value, h, i * d + c);
    }
  }
}

// y' = L^-1 y in place, missing entries kept.
HWY_INLINE void whiten_observations(const double* l, int p, double* y) {
  for (int i = 1; i < p; ++i) {
    V value = load(y, i);
    for (int k = 0; k < i; ++k) {
      const V other = load(y, k);
      const V known = hn::IfThenElseZero(hn::Eq(other, other), other);
      value = hn::NegMulAdd(load(l, i * p + k), known, value);
    }
    store(value, y, i);
  }
}

struct GroupOut {
  double* log_likelihood;  // [kLanes]
  int64_t* failed;         // [kLanes]
};

// The series [first, first + count), count <= kLanes, from the first step to the last. D states, or
// those of the batch when D is 0.
template <int D>
void filter_group(const KalmanBatch& b, const KalmanBatchOut& out, bool correlated, int64_t first,
                  int64_t count, Work& w, const GroupOut& result) {
  constexpr int kN = D ? D : kKalmanStates;
  const int d = D ? D : b.states, p = b.observations;
  const bool constant =
      !b.f.step_stride && !b.q.step_stride && !b.h.step_stride && !b.r.step_stride;
  V x[kN], cov[triangle(kN)];
  fill_panel(b.mean0, first, count, 0, d, w.gain);
  for (int i = 0; i < d; ++i) x[i] = load(w.gain, i);
  fill_triangle(b.cov0, first, count, 0, d, w.cov0);
  for (int e = 0; e < triangle(d); ++e) cov[e] = load(w.cov0, e);

  LogProduct variances;
  V squares = hn::Zero(kTag), observed = hn::Zero(kTag), settled_logs = hn::Zero(kTag);
  V failed = hn::Set(kTag, -1.0), log_of_step = hn::Zero(kTag);
  bool steady = false;

  const auto prepare = [&](int64_t t) HWY_ATTR {
    if (t == 0 || b.f.step_stride) fill_panel(b.f, first, count, t, d * d, w.f);
    if (t == 0 || b.q.step_stride) fill_triangle(b.q, first, count, t, d, w.q);
    if (t == 0 || b.h.step_stride) fill_panel(b.h, first, count, t, p * d, w.h);
    if (t == 0 || b.r.step_stride) fill_panel(b.r, first, count, t, p * p, w.r);
    if (t > 0 && !b.h.step_stride && !b.r.step_stride) return;
    if (correlated) {
      whiten(w, d, p, nullptr, w.white_h, w.white_r, w.white_l);
    } else {
      std::copy_n(w.h, p * d * kLanes, w.white_h);
      for (int i = 0; i < p; ++i) store(load(w.r, i * p + i), w.white_r, i);
    }
  };
  const auto predict_mean = [&]() HWY_ATTR {
    V next[kN];
    for (int i = 0; i < d; ++i) {
      next[i] = hn::Mul(load(w.f, i * d), x[0]);
      for (int j = 1; j < d; ++j) next[i] = hn::MulAdd(load(w.f, i * d + j), x[j], next[i]);
    }
    for (int i = 0; i < d; ++i) x[i] = next[i];
  };

  for (int64_t from = 0; from < b.steps; from += kChunk) {
    const int64_t steps = std::min<int64_t>(kChunk, b.steps - from);
    const bool any_hole = load_observations(b, first, count, kLanes, from, steps, w);
    if (steady && !any_hole) {
      for (int64_t s = 0; s < steps; ++s) {
        double* y = w.y + s * p * kLanes;
        if (correlated) whiten_observations(w.white_l, p, y);
        for (int i = 0; i < p; ++i) {
          V v = load(y, i);
          for (int j = 0; j < d; ++j) v = hn::NegMulAdd(load(w.white_h, i * d + j), x[j], v);
          for (int j = 0; j < d; ++j) x[j] = hn::MulAdd(load(w.gain, i * d + j), v, x[j]);
          squares = hn::MulAdd(hn::Mul(v, v), load(w.inverse, i), squares);
        }
        for (int i = 0; i < d; ++i) store(x[i], w.mean, s * d + i);
        predict_mean();
      }
      settled_logs =
          hn::MulAdd(log_of_step, hn::Set(kTag, static_cast<double>(steps)), settled_logs);
      observed = hn::Add(observed, hn::Set(kTag, static_cast<double>(steps * p)));
      if (out.cov) {
        for (int64_t lane = 0; lane < count; ++lane) {
          double* target = out.cov + ((first + lane) * b.steps + from) * d * d;
          for (int64_t s = 0; s < steps; ++s)
            std::copy_n(target - d * d, d * d, target + s * d * d);
        }
      }
      if (out.mean) store_means(b, first, count, kLanes, from, steps, w, out.mean);
      continue;
    }
    steady = false;
    for (int64_t s = 0; s < steps; ++s) {
      const int64_t t = from + s;
      prepare(t);
      double* y = w.y + s * p * kLanes;
      const double *h = w.white_h, *r = w.white_r;
      if (correlated) {
        const double* l = w.white_l;
        if (w.holes[s]) {
          whiten(w, d, p, y, w.hole_h, w.hole_r, w.hole_l);
          h = w.hole_h;
          r = w.hole_r;
          l = w.hole_l;
        }
        whiten_observations(l, p, y);
      }
      const bool last = s + 1 == steps;
      for (int i = 0; i < p; ++i) {
        const double* row = h + i * d * kLanes;
        V cross[kN];
        for (int a = 0; a < d; ++a) {
          cross[a] = hn::Mul(cov[triangle(a)], load(row, 0));
          for (int c = 1; c < d; ++c) {
            cross[a] =
                hn::MulAdd(cov[c <= a ? triangle(a) + c : triangle(c) + a], load(row, c), cross[a]);
          }
        }
        const V value = load(y, i);
        V v = value, variance = load(r, i);
        for (int a = 0; a < d; ++a) {
          const V coefficient = load(row, a);
          v = hn::NegMulAdd(coefficient, x[a], v);
          variance = hn::MulAdd(coefficient, cross[a], variance);
        }
        const auto there = hn::Eq(value, value);
        const auto sound = hn::Ge(variance, hn::Set(kTag, kKalmanVariance));
        const auto use = hn::And(there, sound);
        const auto bad = hn::AndNot(sound, there);
        if (HWY_UNLIKELY(!hn::AllFalse(kTag, bad))) {
          const auto fresh = hn::And(bad, hn::Lt(failed, hn::Zero(kTag)));
          failed = hn::IfThenElse(fresh, hn::Set(kTag, static_cast<double>(t)), failed);
        }
        variance = hn::IfThenElse(use, variance, hn::Set(kTag, 1.0));
        v = hn::IfThenElseZero(use, v);
        const V inverse = hn::IfThenElseZero(use, hn::Div(hn::Set(kTag, 1.0), variance));
        variances.multiply(variance);
        observed = hn::Add(observed, hn::IfThenElseZero(use, hn::Set(kTag, 1.0)));
        squares = hn::MulAdd(hn::Mul(v, v), inverse, squares);
        for (int a = 0; a < d; ++a) {
          const V gain = hn::Mul(cross[a], inverse);
          x[a] = hn::MulAdd(gain, v, x[a]);
          for (int c = 0; c <= a; ++c) {
            cov[triangle(a) + c] = hn::NegMulAdd(gain, cross[c], cov[triangle(a) + c]);
          }
          if (last) store(gain, w.gain, i * d + a);
        }
        if (last) {
          store(inverse, w.inverse, i);
          log_of_step = hn::Add(i == 0 ? hn::Zero(kTag) : log_of_step, hn::Log(kTag, variance));
        }
      }
      for (int i = 0; i < d; ++i) store(x[i], w.mean, s * d + i);
      if (out.cov) {
        for (int e = 0; e < triangle(d); ++e) store(cov[e], w.cov, e);
        for (int64_t lane = 0; lane < count; ++lane) {
          double* target = out.cov + ((first + lane) * b.steps + t) * d * d;
          for (int i = 0, e = 0; i < d; ++i) {
            for (int j = 0; j <= i; ++j, ++e) {
              target[i * d + j] = target[j * d + i] = w.cov[e * kLanes + lane];
            }
          }
        }
      }
      predict_mean();
      V next[triangle(kN)];
      for (int i = 0; i < d; ++i) {
        V half[kN];  // row i of F P
        for (int j = 0; j < d; ++j) {
          half[j] = hn::Mul(load(w.f, i * d), cov[triangle(j)]);
          for (int k = 1; k < d; ++k) {
            half[j] = hn::MulAdd(load(w.f, i * d + k),
                                 cov[k <= j ? triangle(j) + k : triangle(k) + j], half[j]);
          }
        }
        for (int j = 0; j <= i; ++j) {
          V sum = load(w.q, triangle(i) + j);
          for (int k = 0; k < d; ++k) sum = hn::MulAdd(half[k], load(w.f, j * d + k), sum);
          next[triangle(i) + j] = sum;
        }
      }
      for (int e = 0; e < triangle(d); ++e) cov[e] = next[e];
      // Of the last two predictions of a chunk without holes: equal to the bit?
      if (constant && !any_hole && s + 2 == steps) {
        for (int e = 0; e < triangle(d); ++e) store(cov[e], w.cov0, e);
      }
    }
    if (constant && !any_hole && steps == kChunk) {
      auto moved = hn::Ne(cov[0], load(w.cov0, 0));
      for (int e = 1; e < triangle(d); ++e) moved = hn::Or(moved, hn::Ne(cov[e], load(w.cov0, e)));
      steady = hn::AllFalse(kTag, moved) && hn::AllTrue(kTag, hn::Lt(failed, hn::Zero(kTag)));
    }
    if (out.mean) store_means(b, first, count, kLanes, from, steps, w, out.mean);
  }
  const V constant_part = hn::MulAdd(observed, hn::Set(kTag, std::log(2 * std::numbers::pi)),
                                     hn::Add(hn::Add(variances.log(), settled_logs), squares));
  double lanes[kLanes];
  hn::StoreU(hn::Mul(constant_part, hn::Set(kTag, -0.5)), kTag, result.log_likelihood);
  hn::StoreU(failed, kTag, lanes);
  for (int lane = 0; lane < kLanes; ++lane) result.failed[lane] = static_cast<int64_t>(lanes[lane]);
}

// Up to kGroups vectors of series with known gains. Returns false, having written nothing that the
// usual way would not write again, when an observation is missing.
template <int D>
bool shared_group(const KalmanBatch& b, const KalmanBatchOut& out, const SharedGains& gains,
                  int64_t first, int64_t count, Work& w, double* log_likelihood) {
  constexpr int kN = D ? D : kKalmanStates;
  constexpr int kAll = kLanes * kGroups;
  const int d = D ? D : b.states, p = b.observations;
  V x[kN][kGroups], squares[kGroups];
  for (int g = 0; g < kGroups; ++g) {
    for (int i = 0; i < d; ++i) x[i][g] = hn::Set(kTag, b.mean0.values[i]);
    squares[g] = hn::Zero(kTag);
  }
  for (int64_t from = 0; from < b.steps; from += kChunk) {
    const int64_t steps = std::min<int64_t>(kChunk, b.steps - from);
    if (load_observations(b, first, count, kAll, from, steps, w)) return false;
    for (int64_t s = 0; s < steps; ++s) {
      const double* scalars = gains.values.data() + (from + s) * gains.step;
      double* y = w.y + s * p * kAll;
      if (gains.correlated) {
        const double* l = scalars + p * gains.scalar;
        for (int i = 1; i < p; ++i) {
          for (int k = 0; k < i; ++k) {
            const V c = hn::Set(kTag, l[i * p + k]);
            for (int g = 0; g < kGroups; ++g) {
              store(hn::NegMulAdd(c, load(y, k * kGroups + g), load(y, i * kGroups + g)), y,
                    i * kGroups + g);
            }
          }
        }
      }
      for (int i = 0; i < p; ++i) {
        const double* h = scalars + i * gains.scalar;
        const double* k = h + d;
        V v[kGroups];
        for (int g = 0; g < kGroups; ++g) v[g] = load(y, i * kGroups + g);
        for (int j = 0; j < d; ++j) {
          const V c = hn::Set(kTag, h[j]);
          for (int g = 0; g < kGroups; ++g) v[g] = hn::NegMulAdd(c, x[j][g], v[g]);
        }
        for (int j = 0; j < d; ++j) {
          const V c = hn::Set(kTag, k[j]);
          for (int g = 0; g < kGroups; ++g) x[j][g] = hn::MulAdd(c, v[g], x[j][g]);
        }
        const V inverse = hn::Set(kTag, k[d]);
        for (int g = 0; g < kGroups; ++g) {
          squares[g] = hn::MulAdd(hn::Mul(v[g], v[g]), inverse, squares[g]);
        }
      }
      if (out.mean) {
        for (int i = 0; i < d; ++i) {
          for (int g = 0; g < kGroups; ++g) store(x[i][g], w.mean, (s * d + i) * kGroups + g);
        }
      }
      const double* f = at(b.f, 0, from + s);
      V next[kN][kGroups];
      for (int i = 0; i < d; ++i) {
        for (int g = 0; g < kGroups; ++g) {
          next[i][g] = hn::Mul(hn::Set(kTag, f[i * d]), x[0][g]);
        }
        for (int j = 1; j < d; ++j) {
          const V c = hn::Set(kTag, f[i * d + j]);
          for (int g = 0; g < kGroups; ++g) next[i][g] = hn::MulAdd(c, x[j][g], next[i][g]);
        }
      }
      for (int i = 0; i < d; ++i) {
        for (int g = 0; g < kGroups; ++g) x[i][g] = next[i][g];
      }
    }
    if (out.mean) store_means(b, first, count, kAll, from, steps, w, out.mean);
  }
  double lanes[kAll];
  for (int g = 0; g < kGroups; ++g) hn::StoreU(squares[g], kTag, lanes + g * kLanes);
  for (int64_t lane = 0; lane < count; ++lane) {
    log_likelihood[lane] = gains.log_likelihood - 0.5 * lanes[lane];
  }
  return true;
}

template <int D>
void filter_block_of(const KalmanBatch& b, const KalmanBatchOut& out, const SharedGains* gains,
                     bool correlated, int64_t first, int64_t count, Work& w) {
  double log_likelihood[kLanes * kGroups];
  int64_t failed[kLanes * kGroups];
  for (int64_t from = 0; from < count; from += kLanes * kGroups) {
    const int64_t part = std::min<int64_t>(kLanes * kGroups, count - from);
    std::fill_n(failed, kLanes * kGroups, int64_t{-1});
    if (gains && shared_group<D>(b, out, *gains, first + from, part, w, log_likelihood)) {
      if (out.cov) {
        for (int64_t s = 0; s < part; ++s) {
          std::copy(gains->cov.begin(), gains->cov.end(),
                    out.cov + (first + from + s) * static_cast<int64_t>(gains->cov.size()));
        }
      }
    } else {
      for (int64_t g = 0; g < part; g += kLanes) {
        filter_group<D>(b, out, correlated, first + from + g, std::min<int64_t>(kLanes, part - g),
                        w, {log_likelihood + g, failed + g});
      }
    }
    if (out.log_likelihood) std::copy_n(log_likelihood, part, out.log_likelihood + first + from);
    if (out.failed) std::copy_n(failed, part, out.failed + first + from);
  }
}

void filter_block(const KalmanBatch& b, const KalmanBatchOut& out, const SharedGains* gains,
                  bool correlated, int64_t first, int64_t count, Work& w) {
  const auto run = [&](auto f) { f(b, out, gains, correlated, first, count, w); };
  switch (b.states) {
    case 1:
      return run(filter_block_of<1>);
    case 2:
      return run(filter_block_of<2>);
    case 3:
      return run(filter_block_of<3>);
    case 4:
      return run(filter_block_of<4>);
    case 6:
      return run(filter_block_of<6>);
    default:
      return run(filter_block_of<0>);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {
namespace {

HWY_EXPORT(filter_block);

constexpr int64_t kBlock = 8 * kMaxLanes;  // series a task

// The covariances of the shared model, scalar by scalar as in the usual way.
bool shared_gains(const KalmanBatch& b, bool correlated, bool want_cov, SharedGains& gains) {
  const int d = b.states, p = b.observations;
  gains.correlated = correlated;
  gains.scalar = 2 * d + 1;
  gains.step = p * gains.scalar + p * p;
  gains.values.assign(static_cast<size_t>(b.steps * gains.step), 0.0);
  if (want_cov) gains.cov.resize(static_cast<size_t>(b.steps * d * d));
  std::vector<double> cov(b.cov0.values, b.cov0.values + d * d), half(cov.size());
  double pivots[kKalmanObservations], cross[kKalmanStates];
  for (int64_t t = 0; t < b.steps; ++t) {
    const double *f = at(b.f, 0, t), *q = at(b.q, 0, t), *h = at(b.h, 0, t), *r = at(b.r, 0, t);
    double* step = gains.values.data() + t * gains.step;
    double* l = step + p * gains.scalar;
    for (int i = 0; i < p; ++i) {
      double* row = step + i * gains.scalar;
      double* gain = row + d;
      pivots[i] = r[i * p + i];
      for (int k = 0; k < i; ++k) pivots[i] -= l[i * p + k] * l[i * p + k] * pivots[k];
      pivots[i] = std::max(pivots[i], 0.0);
      for (int j = i + 1; j < p; ++j) {
        double entry = r[j * p + i];
        for (int k = 0; k < i; ++k) entry -= l[j * p + k] * l[i * p + k] * pivots[k];
        l[j * p + i] = pivots[i] > kKalmanVariance ? entry / pivots[i] : 0.0;
      }
      double variance = pivots[i];
      for (int c = 0; c < d; ++c) {
        row[c] = h[i * d + c];
        for (int k = 0; k < i; ++k) row[c] -= l[i * p + k] * step[k * gains.scalar + c];
      }
      for (int a = 0; a < d; ++a) {
        cross[a] = 0;
        for (int c = 0; c < d; ++c) cross[a] += cov[size_t(a * d + c)] * row[c];
        variance += row[a] * cross[a];
      }
      if (!(variance >= kKalmanVariance)) return false;
      gains.log_likelihood -= 0.5 * std::log(2 * std::numbers::pi * variance);
      row[2 * d] = 1 / variance;
      for (int a = 0; a < d; ++a) {
        gain[a] = cross[a] / variance;
        for (int c = 0; c < d; ++c) cov[size_t(a * d + c)] -= gain[a] * cross[c];
      }
    }
    if (want_cov) std::copy(cov.begin(), cov.end(), gains.cov.begin() + t * d * d);
    for (int i = 0; i < d; ++i) {
      for (int j = 0; j < d; ++j) {
        double sum = 0;
        for (int k = 0; k < d; ++k) sum += f[i * d + k] * cov[size_t(k * d + j)];
        half[size_t(i * d + j)] = sum;
      }
    }
    for (int i = 0; i < d; ++i) {
      for (int j = 0; j <= i; ++j) {
        double sum = q[i * d + j];
        for (int k = 0; k < d; ++k) sum += half[size_t(i * d + k)] * f[j * d + k];
        cov[size_t(i * d + j)] = cov[size_t(j * d + i)] = sum;
      }
    }
  }
  return true;
}

}  // namespace

void kalman_batch(const KalmanBatch& b, const KalmanBatchOut& out) {
  if (b.series == 0) return;
  const bool correlated = !is_diagonal(b.r, b.observations, b.series, b.steps);
  const bool shared = !b.f.series_stride && !b.q.series_stride && !b.h.series_stride &&
                      !b.r.series_stride && !b.mean0.series_stride && !b.cov0.series_stride;
  SharedGains gains;
  const bool known = shared && shared_gains(b, correlated, out.cov != nullptr, gains);
  std::vector<std::unique_ptr<Work>> works(static_cast<size_t>(threads()));
  parallel_tasks((b.series + kBlock - 1) / kBlock, [&](int64_t block, int worker) {
    auto& work = works[static_cast<size_t>(worker)];
    if (!work) work = std::make_unique<Work>(b.states, b.observations);
    const int64_t first = block * kBlock;
    HWY_DYNAMIC_DISPATCH(filter_block)
    (b, out, known ? &gains : nullptr, correlated, first, std::min(kBlock, b.series - first),
     *work);
  });
}

}  // namespace covary::compute
#endif
