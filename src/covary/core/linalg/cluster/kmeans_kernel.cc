#include "covary/core/linalg/cluster/kmeans_kernel.h"

#include <algorithm>
#include <limits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/linalg/cluster/kmeans_kernel.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

HWY_BEFORE_NAMESPACE();
namespace covary::linalg {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;

// Vectors of points that share a loaded coordinate of a centre: with six centres as many sums as the
// registers hold beside what is loaded; one more, and one of them lives in memory, at half the speed.
constexpr int64_t kGroup = HWY_MAX_BYTES >= 64 ? 4 : 2;
static_assert(kClusterTile % (kGroup * HWY_MAX_BYTES / sizeof(float)) == 0);

#undef COVARY_TURNS_ROWS
#if HWY_MAX_BYTES >= 32 && !HWY_HAVE_SCALABLE
#define COVARY_TURNS_ROWS 1
#else
#define COVARY_TURNS_ROWS 0
#endif

#if COVARY_TURNS_ROWS
// Four (float) or two (double) coordinates j.. of as many rows as out has lanes become columns. A
// 128-bit block is turned at a time; `rows` are pointers to the rows' first coordinates.
template <class D, class V = hn::Vec<D>>
HWY_INLINE void turn(D t, const float* const* rows, int64_t j, V* out) {
  const hn::Half<D> half;
  V r[4];
  for (size_t q = 0; q < 4; ++q) {
    r[q] = hn::Combine(t, hn::LoadU(half, rows[4 + q] + j), hn::LoadU(half, rows[q] + j));
  }
  const hn::Repartition<double, D> pairs;
  const auto low01 = hn::BitCast(pairs, hn::InterleaveLower(t, r[0], r[1])),
             low23 = hn::BitCast(pairs, hn::InterleaveLower(t, r[2], r[3])),
             high01 = hn::BitCast(pairs, hn::InterleaveUpper(t, r[0], r[1])),
             high23 = hn::BitCast(pairs, hn::InterleaveUpper(t, r[2], r[3]));
  out[0] = hn::BitCast(t, hn::InterleaveLower(pairs, low01, low23));
  out[1] = hn::BitCast(t, hn::InterleaveUpper(pairs, low01, low23));
  out[2] = hn::BitCast(t, hn::InterleaveLower(pairs, high01, high23));
  out[3] = hn::BitCast(t, hn::InterleaveUpper(pairs, high01, high23));
}
template <class D, class V = hn::Vec<D>>
HWY_INLINE void turn(D t, const double* const* rows, int64_t j, V* out) {
  const hn::Half<D> half;
  V r[2];
  for (size_t q = 0; q < 2; ++q) {
    r[q] = hn::Combine(t, hn::LoadU(half, rows[2 + q] + j), hn::LoadU(half, rows[q] + j));
  }
  out[0] = hn::InterleaveLower(t, r[0], r[1]);
  out[1] = hn::InterleaveUpper(t, r[0], r[1]);
}
#endif

template <class T>
void load(const T* x, int64_t d, const T* origin, const int64_t* ids, int64_t from, int64_t count,
          T* columns, T* norms) {
  constexpr int64_t kTurned = 16 / sizeof(T);  // coordinates, and rows of half a vector
  constexpr int64_t kLanes = 2 * kTurned;
  const T* rows[kLanes];
  for (int64_t first = 0; first < kClusterTile; first += kLanes) {
    for (int64_t i = 0; i < kLanes; ++i) {
      const int64_t at = first + i < count ? first + i : 0;
      rows[i] = x + (ids ? ids[at] : from + at) * d;
    }
    int64_t j = 0;
#if COVARY_TURNS_ROWS
    const hn::CappedTag<T, kLanes> t;
    auto norm = hn::Zero(t);
    for (; j + kTurned <= d; j += kTurned) {
      hn::Vec<decltype(t)> column[kTurned];
      turn(t, rows, j, column);
      for (int64_t q = 0; q < kTurned; ++q) {
        const auto v = hn::Sub(column[q], hn::Set(t, origin[j + q]));
        hn::StoreU(v, t, columns + (j + q) * kClusterTile + first);
        norm = hn::MulAdd(v, v, norm);
      }
    }
    hn::StoreU(norm, t, norms + first);
#else
    std::fill_n(norms + first, kLanes, T(0));
#endif
    for (; j < d; ++j) {
      for (int64_t i = 0; i < kLanes; ++i) {
        const T v = rows[i][j] - origin[j];
        columns[j * kClusterTile + first + i] = v;
        norms[first + i] += v * v;
      }
    }
  }
}

// kSecond: the second smallest too; kValues: all.
template <bool kSecond, bool kValues, class T>
void nearest(const PackedCentres<T>& centres, const T* HWY_RESTRICT columns, int64_t count,
             T* best_out, T* second_out, T* label_out, T* values_out) {
  const hn::ScalableTag<T> t;
  using V = hn::Vec<decltype(t)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t)), d = centres.d;
  const V far = hn::Set(t, std::numeric_limits<T>::infinity());
  for (int64_t i = 0; i < count; i += kGroup * lanes) {
    V best[kGroup], second[kGroup], label[kGroup];
    for (int64_t g = 0; g < kGroup; ++g) {
      best[g] = second[g] = far;
      label[g] = hn::Zero(t);
    }
    const T* HWY_RESTRICT c = centres.values.data();
    for (int64_t run = 0; run < centres.runs; ++run) {
      V acc[kCentreRun][kGroup];
      for (int64_t r = 0; r < kCentreRun; ++r) {
        const V norm = hn::Set(t, centres.half_norms[static_cast<size_t>(kCentreRun * run + r)]);
        for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = norm;
      }
      const T* HWY_RESTRICT p = columns + i;
      for (int64_t j = 0; j < d; ++j, c += kCentreRun, p += kClusterTile) {
        V v[kGroup];
        for (int64_t g = 0; g < kGroup; ++g) v[g] = hn::LoadU(t, p + g * lanes);
        for (int64_t r = 0; r < kCentreRun; ++r) {
          const V w = hn::Set(t, c[r]);
          for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = hn::NegMulAdd(w, v[g], acc[r][g]);
        }
      }
      for (int64_t r = 0; r < kCentreRun; ++r) {
        const V index = hn::Set(t, centres.numbers[static_cast<size_t>(kCentreRun * run + r)]);
        for (int64_t g = 0; g < kGroup; ++g) {
          const auto nearer = hn::Lt(acc[r][g], best[g]);
          if constexpr (kValues) {
            if (kCentreRun * run + r < centres.k)
              hn::StoreU(acc[r][g], t,
                         values_out + (kCentreRun * run + r) * kClusterTile + i + g * lanes);
          }
          if (kSecond) second[g] = hn::Min(second[g], hn::Max(best[g], acc[r][g]));
          label[g] = hn::IfThenElse(nearer, index, label[g]);
          best[g] = hn::Min(best[g], acc[r][g]);
        }
      }
    }
    for (int64_t g = 0; g < kGroup; ++g) {
      hn::StoreU(best[g], t, best_out + i + g * lanes);
      if (kSecond) hn::StoreU(second[g], t, second_out + i + g * lanes);
      hn::StoreU(label[g], t, label_out + i + g * lanes);
    }
  }
}

template <class T>
void own_values(const T* HWY_RESTRICT columns, const T* HWY_RESTRICT centres, int64_t d,
                int64_t count, T* HWY_RESTRICT values) {
  const hn::ScalableTag<T> t;
  using V = hn::Vec<decltype(t)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  for (int64_t i = 0; i < count; i += kGroup * lanes) {
    V acc[kGroup];
    for (int64_t g = 0; g < kGroup; ++g) acc[g] = hn::LoadU(t, values + i + g * lanes);
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t g = 0; g < kGroup; ++g) {
        const int64_t at = j * kClusterTile + i + g * lanes;
        acc[g] = hn::NegMulAdd(hn::LoadU(t, centres + at), hn::LoadU(t, columns + at), acc[g]);
      }
    }
    for (int64_t g = 0; g < kGroup; ++g) hn::StoreU(acc[g], t, values + i + g * lanes);
  }
}

template <class T>
void above(const T* HWY_RESTRICT norms, const T* HWY_RESTRICT values,
           const T* HWY_RESTRICT centre_norms, int64_t count, T error, T* HWY_RESTRICT upper,
           T* HWY_RESTRICT limits) {
  const hn::ScalableTag<T> t;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  const auto two = hn::Set(t, T(2)), e = hn::Set(t, error), zero = hn::Zero(t);
  const auto more = hn::Set(t, 1 + error), four = hn::Set(t, 4 * error),
             last = hn::Set(t, 1 + 2 * error);
  for (int64_t i = 0; i < count; i += lanes) {
    const auto norm = hn::LoadU(t, norms + i);
    const auto square = hn::Add(norm, hn::Mul(two, hn::LoadU(t, values + i)));
    const auto slack = hn::Mul(e, hn::Add(hn::Mul(two, norm), hn::Abs(square)));
    const auto up = hn::Sqrt(hn::Max(zero, hn::Add(square, slack)));
    hn::StoreU(up, t, upper + i);
    if (!limits) continue;
    const auto reach = hn::Add(up, hn::LoadU(t, centre_norms + i));
    hn::StoreU(hn::Mul(last, hn::Add(hn::Mul(more, hn::Mul(up, up)),
                                     hn::Mul(four, hn::Mul(reach, reach)))),
               t, limits + i);
  }
}

template <class T>
void below(const T* HWY_RESTRICT norms, const T* HWY_RESTRICT values, int64_t count, T error,
           T drift, T* HWY_RESTRICT lower) {
  const hn::ScalableTag<T> t;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  const auto two = hn::Set(t, T(2)), e = hn::Set(t, error), zero = hn::Zero(t);
  const auto far = hn::Set(t, std::numeric_limits<T>::infinity()), moved = hn::Set(t, drift);
  const auto down = hn::Set(t, 1 - 4 * std::numeric_limits<T>::epsilon());
  for (int64_t i = 0; i < count; i += lanes) {
    const auto norm = hn::LoadU(t, norms + i), value = hn::LoadU(t, values + i);
    const auto square = hn::Add(norm, hn::Mul(two, value));
    const auto slack = hn::Mul(e, hn::Add(hn::Mul(two, norm), hn::Abs(square)));
    const auto low = hn::Sqrt(hn::Max(zero, hn::Sub(square, slack)));
    hn::StoreU(hn::IfThenElse(hn::Eq(value, far), far, hn::Mul(down, hn::Add(low, moved))), t,
               lower + i);
  }
}

template <class T>
void choose(const GroupBounds<T>& b, const int64_t* ids, const int32_t* own, int64_t count,
            const T* upper, const T* limits, T* lower, int32_t* wanted, int64_t* wanting) {
  const hn::CappedTag<T, kPlaces> t;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  const T shrink = 1 - 4 * std::numeric_limits<T>::epsilon();
  const auto down = hn::Set(t, shrink), zero = hn::Zero(t);
  const bool each = b.firsts[b.groups] != b.groups;
  for (int64_t i = 0; i < count; ++i) {
    const T* HWY_RESTRICT bounds = b.bounds + ids[i] * b.width;
    const T* HWY_RESTRICT gaps = b.gaps + own[i] * b.width;
    const auto up = hn::Set(t, upper[i]);
    const auto bound = [&](int64_t p) HWY_ATTR {
      return hn::Max(
          zero, hn::Mul(down, hn::Max(hn::Sub(hn::LoadU(t, bounds + p), hn::LoadU(t, b.drift + p)),
                                      hn::Sub(hn::LoadU(t, gaps + p), up))));
    };
    auto least = hn::Set(t, std::numeric_limits<T>::infinity());
    if (!limits) {
      for (int64_t p = 0; p < b.width; p += lanes) least = hn::Min(least, bound(p));
    } else if (!each) {
      const auto limit = hn::Set(t, limits[i]);
      for (int64_t p = 0; p < b.width; p += lanes) {
        const auto v = bound(p);
        least = hn::Min(least, v);
        uint8_t bits[8] = {};
        hn::StoreMaskBits(t, hn::Le(hn::Mul(v, v), limit), bits);
        for (unsigned left = bits[0]; left; left &= left - 1) {
          const int64_t g = p + __builtin_ctz(left);
          wanted[g * kClusterTile + wanting[g]++] = static_cast<int32_t>(i);
        }
      }
    } else {
      for (int64_t g = 0; g < b.groups; ++g) {
        auto smallest = hn::Set(t, std::numeric_limits<T>::infinity());
        int64_t p = b.firsts[g];
        for (; p + lanes <= b.firsts[g + 1]; p += lanes) smallest = hn::Min(smallest, bound(p));
        T value = hn::GetLane(hn::MinOfLanes(t, smallest));
        for (; p < b.firsts[g + 1]; ++p) {
          value = std::min(
              value, std::max(T(0), shrink * std::max(bounds[p] - b.drift[p], gaps[p] - upper[i])));
        }
        least = hn::Min(least, hn::Set(t, value));
        if (value * value > limits[i]) continue;
        wanted[g * kClusterTile + wanting[g]++] = static_cast<int32_t>(i);
      }
    }
    lower[i] = hn::GetLane(hn::MinOfLanes(t, least));
  }
}

// A vector of doubles from as many values of T.
template <class D>
HWY_INLINE hn::Vec<D> as_doubles(D d, const double* p) {
  return hn::LoadU(d, p);
}
template <class D>
HWY_INLINE hn::Vec<D> as_doubles(D d, const float* p) {
  return hn::PromoteTo(d, hn::LoadU(hn::Rebind<float, D>(), p));
}

template <class T>
void add_rows(const T* x, const T* weights, const T* origin, const int32_t* labels, int64_t begin,
              int64_t end, int64_t d, double* sums, double* mass) {
  const hn::ScalableTag<double> t;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  for (int64_t i = begin; i < end; ++i) {
    const int64_t c = labels[i];
    const double w = weights ? static_cast<double>(weights[i]) : 1.0;
    const T* row = x + i * d;
    double* sum = sums + c * d;
    mass[c] += w;
    int64_t j = 0;
    const auto weight = hn::Set(t, w);
    for (; j + lanes <= d; j += lanes) {
      const auto v = hn::Sub(as_doubles(t, row + j), as_doubles(t, origin + j));
      hn::StoreU(hn::MulAdd(weight, v, hn::LoadU(t, sum + j)), t, sum + j);
    }
    for (; j < d; ++j) {
      sum[j] += w * (static_cast<double>(row[j]) - static_cast<double>(origin[j]));
    }
  }
}

template <class T>
void potential(const T* columns, int64_t d, const T* weights, const T* candidates, int64_t m,
               bool keep, T* nearest_of, double* potentials) {
  const hn::ScalableTag<T> t;
  using V = hn::Vec<decltype(t)>;
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(t));
  for (int64_t a = 0; a < m; ++a) {
    const T* c = candidates + a * d;
    V total = hn::Zero(t);
    for (int64_t i = 0; i < kClusterTile; i += kGroup * lanes) {
      V square[kGroup];
      for (int64_t g = 0; g < kGroup; ++g) square[g] = hn::Zero(t);
      for (int64_t j = 0; j < d; ++j) {
        const V centre = hn::Set(t, c[j]);
        for (int64_t g = 0; g < kGroup; ++g) {
          const V v = hn::Sub(hn::LoadU(t, columns + j * kClusterTile + i + g * lanes), centre);
          square[g] = hn::MulAdd(v, v, square[g]);
        }
      }
      for (int64_t g = 0; g < kGroup; ++g) {
        const int64_t at = i + g * lanes;
        const V least = hn::Min(square[g], hn::LoadU(t, nearest_of + at));
        if (keep) hn::StoreU(least, t, nearest_of + at);
        total = hn::MulAdd(least, hn::LoadU(t, weights + at), total);
      }
    }
    potentials[a] += static_cast<double>(hn::GetLane(hn::SumOfLanes(t, total)));
  }
}

// Dispatch knows functions, not templates.
void nearest_f32(const PackedCentres<float>& c, const float* x, int64_t n, float* b, float* s,
                 float* l, float* v) {
  if (v) return nearest<true, true>(c, x, n, b, s, l, v);
  s ? nearest<true, false>(c, x, n, b, s, l, v) : nearest<false, false>(c, x, n, b, s, l, v);
}
void values_f32(const float* x, const float* c, int64_t d, int64_t n, float* v) {
  own_values(x, c, d, n, v);
}
void above_f32(const float* n, const float* v, const float* c, int64_t count, float e, float* u,
               float* l) {
  above(n, v, c, count, e, u, l);
}
void below_f32(const float* n, const float* v, int64_t count, float e, float drift, float* l) {
  below(n, v, count, e, drift, l);
}
void choose_f32(const GroupBounds<float>& b, const int64_t* ids, const int32_t* own, int64_t count,
                const float* u, const float* limits, float* l, int32_t* wanted, int64_t* wanting) {
  choose(b, ids, own, count, u, limits, l, wanted, wanting);
}
void nearest_f64(const PackedCentres<double>& c, const double* x, int64_t n, double* b, double* s,
                 double* l, double* v) {
  if (v) return nearest<true, true>(c, x, n, b, s, l, v);
  s ? nearest<true, false>(c, x, n, b, s, l, v) : nearest<false, false>(c, x, n, b, s, l, v);
}
void values_f64(const double* x, const double* c, int64_t d, int64_t n, double* v) {
  own_values(x, c, d, n, v);
}
void above_f64(const double* n, const double* v, const double* c, int64_t count, double e,
               double* u, double* l) {
  above(n, v, c, count, e, u, l);
}
void below_f64(const double* n, const double* v, int64_t count, double e, double drift, double* l) {
  below(n, v, count, e, drift, l);
}
void choose_f64(const GroupBounds<double>& b, const int64_t* ids, const int32_t* own, int64_t count,
                const double* u, const double* limits, double* l, int32_t* wanted,
                int64_t* wanting) {
  choose(b, ids, own, count, u, limits, l, wanted, wanting);
}
void load_f32(const float* x, int64_t d, const float* o, const int64_t* ids, int64_t from,
              int64_t count, float* columns, float* norms) {
  load(x, d, o, ids, from, count, columns, norms);
}
void load_f64(const double* x, int64_t d, const double* o, const int64_t* ids, int64_t from,
              int64_t count, double* columns, double* norms) {
  load(x, d, o, ids, from, count, columns, norms);
}
void add_f32(const float* x, const float* w, const float* o, const int32_t* l, int64_t begin,
             int64_t end, int64_t d, double* sums, double* mass) {
  add_rows(x, w, o, l, begin, end, d, sums, mass);
}
void add_f64(const double* x, const double* w, const double* o, const int32_t* l, int64_t begin,
             int64_t end, int64_t d, double* sums, double* mass) {
  add_rows(x, w, o, l, begin, end, d, sums, mass);
}
void potential_f32(const float* x, int64_t d, const float* w, const float* c, int64_t m, bool keep,
                   float* n, double* p) {
  potential(x, d, w, c, m, keep, n, p);
}
void potential_f64(const double* x, int64_t d, const double* w, const double* c, int64_t m,
                   bool keep, double* n, double* p) {
  potential(x, d, w, c, m, keep, n, p);
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::linalg
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::linalg {

HWY_EXPORT(nearest_f32);
HWY_EXPORT(values_f32);
HWY_EXPORT(above_f32);
HWY_EXPORT(below_f32);
HWY_EXPORT(choose_f32);
HWY_EXPORT(nearest_f64);
HWY_EXPORT(values_f64);
HWY_EXPORT(above_f64);
HWY_EXPORT(below_f64);
HWY_EXPORT(choose_f64);
HWY_EXPORT(load_f32);
HWY_EXPORT(load_f64);
HWY_EXPORT(add_f32);
HWY_EXPORT(add_f64);
HWY_EXPORT(potential_f32);
HWY_EXPORT(potential_f64);

template <class T>
PackedCentres<T>::PackedCentres(const T* centres, int64_t clusters, int64_t columns)
    : k(clusters), d(columns), runs((clusters + kCentreRun - 1) / kCentreRun) {
  values.assign(static_cast<size_t>(kCentreRun * runs * d), T(0));
  half_norms.assign(static_cast<size_t>(kCentreRun * runs), std::numeric_limits<T>::infinity());
  for (int64_t c = 0; c < kCentreRun * runs; ++c) numbers.push_back(static_cast<T>(c));
  for (int64_t c = 0; c < k; ++c) {
    double norm = 0;
    for (int64_t j = 0; j < d; ++j) {
      const T v = centres[c * d + j];
      values[static_cast<size_t>((c / kCentreRun * d + j) * kCentreRun + c % kCentreRun)] = v;
      norm += static_cast<double>(v) * static_cast<double>(v);
    }
    half_norms[static_cast<size_t>(c)] = static_cast<T>(norm / 2);
  }
}
template struct PackedCentres<float>;
template struct PackedCentres<double>;

template <>
void load_tile(const float* x, int64_t d, const float* origin, const int64_t* ids, int64_t from,
               int64_t count, float* columns, float* norms) {
  HWY_DYNAMIC_DISPATCH(load_f32)(x, d, origin, ids, from, count, columns, norms);
}
template <>
void load_tile(const double* x, int64_t d, const double* origin, const int64_t* ids, int64_t from,
               int64_t count, double* columns, double* norms) {
  HWY_DYNAMIC_DISPATCH(load_f64)(x, d, origin, ids, from, count, columns, norms);
}
template <>
void nearest_in_tile(const PackedCentres<float>& centres, const float* columns, int64_t count,
                     float* best, float* second, float* label, float* values) {
  HWY_DYNAMIC_DISPATCH(nearest_f32)(centres, columns, count, best, second, label, values);
}
template <>
void values_in_tile(const float* columns, const float* centres, int64_t d, int64_t count,
                    float* values) {
  HWY_DYNAMIC_DISPATCH(values_f32)(columns, centres, d, count, values);
}
template <>
void bounds_above(const float* norms, const float* values, const float* centre_norms, int64_t count,
                  float error, float* upper, float* limits) {
  HWY_DYNAMIC_DISPATCH(above_f32)(norms, values, centre_norms, count, error, upper, limits);
}
template <>
void bounds_below(const float* norms, const float* values, int64_t count, float error, float drift,
                  float* lower) {
  HWY_DYNAMIC_DISPATCH(below_f32)(norms, values, count, error, drift, lower);
}
template <>
void choose_groups(const GroupBounds<float>& b, const int64_t* ids, const int32_t* own,
                   int64_t count, const float* upper, const float* limits, float* lower,
                   int32_t* wanted, int64_t* wanting) {
  HWY_DYNAMIC_DISPATCH(choose_f32)
  (b, ids, own, count, upper, limits, lower, wanted, wanting);
}
template <>
void nearest_in_tile(const PackedCentres<double>& centres, const double* columns, int64_t count,
                     double* best, double* second, double* label, double* values) {
  HWY_DYNAMIC_DISPATCH(nearest_f64)(centres, columns, count, best, second, label, values);
}
template <>
void values_in_tile(const double* columns, const double* centres, int64_t d, int64_t count,
                    double* values) {
  HWY_DYNAMIC_DISPATCH(values_f64)(columns, centres, d, count, values);
}
template <>
void bounds_above(const double* norms, const double* values, const double* centre_norms,
                  int64_t count, double error, double* upper, double* limits) {
  HWY_DYNAMIC_DISPATCH(above_f64)(norms, values, centre_norms, count, error, upper, limits);
}
template <>
void bounds_below(const double* norms, const double* values, int64_t count, double error,
                  double drift, double* lower) {
  HWY_DYNAMIC_DISPATCH(below_f64)(norms, values, count, error, drift, lower);
}
template <>
void choose_groups(const GroupBounds<double>& b, const int64_t* ids, const int32_t* own,
                   int64_t count, const double* upper, const double* limits, double* lower,
                   int32_t* wanted, int64_t* wanting) {
  HWY_DYNAMIC_DISPATCH(choose_f64)
  (b, ids, own, count, upper, limits, lower, wanted, wanting);
}
template <>
void add_to_centres(const float* x, const float* weights, const float* origin,
                    const int32_t* labels, int64_t begin, int64_t end, int64_t d, double* sums,
                    double* mass) {
  HWY_DYNAMIC_DISPATCH(add_f32)(x, weights, origin, labels, begin, end, d, sums, mass);
}
template <>
void add_to_centres(const double* x, const double* weights, const double* origin,
                    const int32_t* labels, int64_t begin, int64_t end, int64_t d, double* sums,
                    double* mass) {
  HWY_DYNAMIC_DISPATCH(add_f64)(x, weights, origin, labels, begin, end, d, sums, mass);
}
template <>
void potential_of_tile(const float* columns, int64_t d, const float* weights,
                       const float* candidates, int64_t m, bool keep, float* nearest,
                       double* potentials) {
  HWY_DYNAMIC_DISPATCH(potential_f32)
  (columns, d, weights, candidates, m, keep, nearest, potentials);
}
template <>
void potential_of_tile(const double* columns, int64_t d, const double* weights,
                       const double* candidates, int64_t m, bool keep, double* nearest,
                       double* potentials) {
  HWY_DYNAMIC_DISPATCH(potential_f64)
  (columns, d, weights, candidates, m, keep, nearest, potentials);
}

}  // namespace covary::linalg
#endif
