#include "covary/stat/mixture/kde_moments.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <numbers>
#include <numeric>

#include "covary/core/base/threads.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_moments.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/exp2-inl.h"

namespace covary::mixture {
#ifndef COVARY_STAT_MIXTURE_KDE_MOMENTS_SHARED
#define COVARY_STAT_MIXTURE_KDE_MOMENTS_SHARED

constexpr int64_t kMomentOrder = 30;
constexpr int64_t kNodes = 14;  // of Chebyshev
constexpr int64_t kRows = 16;   // nodes, and one place to either side that bounds the sum

// Cells of one table: where their moments are, null when there are none.
struct Neighbours {
  const double* moments;
  const double* table;  // [terms][kRows]
  int64_t terms;
};

#endif
}  // namespace covary::mixture

HWY_BEFORE_NAMESPACE();
namespace covary::mixture {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr D kD;

// moments [kMomentOrder] of a cell: sum w exp(-v^2 / 2) v^k / k!.
void cell_moments_simd(const double* v, const double* weights, int64_t count, double* moments) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  V sums[kMomentOrder];
  for (V& s : sums) s = hn::Zero(kD);
  const V half = hn::Set(kD, -0.5 * std::numbers::log2e);
  // The last turn is padded with points of no weight.
  for (int64_t i = 0; i < count; i += 2 * lanes) {
    double at[4 * HWY_MAX_BYTES / sizeof(double)];
    const double *from = v + i, *mass = weights + i;
    if (i + 2 * lanes > count) {
      std::fill_n(at, 4 * lanes, 0.0);
      std::copy_n(v + i, count - i, at);
      std::copy_n(weights + i, count - i, at + 2 * lanes);
      from = at, mass = at + 2 * lanes;
    }
    const V a = hn::LoadU(kD, from), b = hn::LoadU(kD, from + lanes);
    V s = hn::Mul(hn::LoadU(kD, mass),
                  compute::HWY_NAMESPACE::exp2_negative<false>(kD, hn::Mul(half, hn::Mul(a, a))));
    V t = hn::Mul(hn::LoadU(kD, mass + lanes),
                  compute::HWY_NAMESPACE::exp2_negative<false>(kD, hn::Mul(half, hn::Mul(b, b))));
    for (int64_t k = 0; k < kMomentOrder; ++k) {
      sums[k] = hn::Add(sums[k], hn::Add(s, t));
      s = hn::Mul(s, a);
      t = hn::Mul(t, b);
    }
  }
  double factor = 1;
  for (int64_t k = 0; k < kMomentOrder; ++k) {
    moments[k] = factor * hn::GetLane(hn::SumOfLanes(kD, sums[k]));
    factor /= static_cast<double>(k + 1);
  }
}

// values [kRows]: the sum over the neighbours at the rows' places.
void local_values_simd(const Neighbours* cells, int64_t count, double* values) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD));
  for (int64_t r = 0; r < kRows; r += std::min<int64_t>(kRows, 4 * lanes)) {
    const int64_t vectors = std::min<int64_t>(4, (kRows - r) / lanes);
    V sums[4] = {hn::Zero(kD), hn::Zero(kD), hn::Zero(kD), hn::Zero(kD)};
    for (int64_t c = 0; c < count; ++c) {
      const double *m = cells[c].moments, *t = cells[c].table + r;
      for (int64_t k = 0; k < cells[c].terms; ++k) {
        const V moment = hn::Set(kD, m[k]);
        for (int64_t g = 0; g < vectors; ++g)
          sums[g] = hn::MulAdd(moment, hn::LoadU(kD, t + k * kRows + g * lanes), sums[g]);
      }
    }
    for (int64_t g = 0; g < vectors; ++g) hn::StoreU(sums[g], kD, values + r + g * lanes);
  }
}

// Clenshaw's sums of the series at places t in [-1, 1], a whole number of vectors.
void series_simd(const double* coefficients, double* t, int64_t count) {
  for (int64_t i = 0; i < count; i += static_cast<int64_t>(hn::Lanes(kD))) {
    const V x = hn::LoadU(kD, t + i), twice = hn::Add(x, x);
    V b = hn::Zero(kD), before = hn::Zero(kD);
    for (int64_t k = kNodes - 1; k > 0; --k) {
      const V next = hn::MulAdd(twice, b, hn::Sub(hn::Set(kD, coefficients[k]), before));
      before = b;
      b = next;
    }
    hn::StoreU(hn::MulAdd(x, b, hn::Sub(hn::Set(kD, coefficients[0]), before)), kD, t + i);
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(cell_moments_simd);
HWY_EXPORT(local_values_simd);
HWY_EXPORT(series_simd);

namespace {

static_assert(LineMoments::kOrder == kMomentOrder);
constexpr double kCell = LineMoments::kCell;
constexpr int64_t kWindow = LineMoments::kWindow;
constexpr int64_t kSeriesQueries = 64;  // at a time

int64_t terms_at(double square) {
  return square <= 4 ? 14 : square <= 20.25 ? 18 : square <= 81 ? 24 : kMomentOrder;
}

// exp(-z^2 / 2) z^k at the rows' places, z from the middle of a cell `offset` cells to the right of
// theirs; and the cosines that make coefficients of values.
struct Tables {
  std::array<int64_t, 2 * kWindow + 1> terms;
  std::array<double, (2 * kWindow + 1) * kMomentOrder * kRows> powers;
  std::array<double, kNodes * kNodes> cosines;

  Tables() {
    std::array<double, kRows> places;
    for (int64_t r = 0; r < kNodes; ++r)
      places[static_cast<size_t>(r)] =
          0.5 * kCell * std::cos(std::numbers::pi * (static_cast<double>(r) + 0.5) / kNodes);
    places[kNodes] = -2.5;
    places[kNodes + 1] = 2.5;
    for (int64_t o = 0; o <= 2 * kWindow; ++o) {
      const double middle = static_cast<double>(o - kWindow) * kCell;
      // By the farthest place, which is one of those at the sides.
      terms[static_cast<size_t>(o)] =
          terms_at((std::abs(middle) + 0.5 * kCell) * (std::abs(middle) + 0.5 * kCell));
      for (int64_t r = 0; r < kRows; ++r) {
        const double z = places[static_cast<size_t>(r)] - middle;
        double power = std::exp(-0.5 * z * z);
        for (int64_t k = 0; k < kMomentOrder; ++k, power *= z)
          powers[static_cast<size_t>((o * kMomentOrder + k) * kRows + r)] = power;
      }
    }
    for (int64_t j = 0; j < kNodes; ++j) {
      for (int64_t r = 0; r < kNodes; ++r)
        cosines[static_cast<size_t>(j * kNodes + r)] =
            (j == 0 ? 1.0 : 2.0) / kNodes *
            std::cos(std::numbers::pi * static_cast<double>(j) * (static_cast<double>(r) + 0.5) /
                     kNodes);
    }
  }
};

const Tables& tables() {
  static const auto shared = std::make_unique<const Tables>();
  return *shared;
}

}  // namespace

LineMoments::LineMoments(const std::vector<double>& x, const std::vector<double>& weights) {
  const auto [low, high] = std::minmax_element(x.begin(), x.end());
  low_ = *low;
  const double count = (*high - *low) / kCell + 1;
  if (!(count < 1000 + 4 * static_cast<double>(x.size()))) return;
  usable_ = true;
  cells_ = static_cast<int64_t>(count);
  moments_.assign(static_cast<size_t>(cells_ * kOrder), 0.0);
  // Points in the order of their cells, by counting.
  const auto cell_of = [&](double v) {
    return std::min(cells_ - 1, static_cast<int64_t>((v - low_) * (1 / kCell)));
  };
  std::vector<int64_t> starts(static_cast<size_t>(cells_ + 2), 0);
  for (const double v : x) ++starts[static_cast<size_t>(cell_of(v) + 2)];
  std::partial_sum(starts.begin(), starts.end(), starts.begin());
  std::vector<double> offsets(x.size()), masses(x.size());
  for (size_t i = 0; i < x.size(); ++i) {
    const int64_t cell = cell_of(x[i]);
    const auto to = static_cast<size_t>(starts[static_cast<size_t>(cell + 1)]++);
    offsets[to] = x[i] - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
    masses[to] = weights[i];
    total_ += weights[i];
  }
  parallel_for(cells_, 64, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      const int64_t first = starts[static_cast<size_t>(c)];
      const int64_t own = starts[static_cast<size_t>(c + 1)] - first;
      if (own > 0) HWY_DYNAMIC_DISPATCH(cell_moments_simd)
      (offsets.data() + first, masses.data() + first, own, moments_.data() + c * kOrder);
    }
  });
}

// What a cell adds at q; nearness is exp(-z^2 / 2), z to its middle.
double LineMoments::part(int64_t cell, double q, double& nearness) const {
  const double* m = moments_.data() + cell * kOrder;
  const double z = q - (low_ + (static_cast<double>(cell) + 0.5) * kCell);
  const double square = z * z;
  nearness = std::exp(-0.5 * square);
  if (m[0] == 0) return 0;
  const int64_t terms = terms_at(square);
  // Even and odd terms apart: two chains.
  double even = m[terms - 2], odd = m[terms - 1];
  for (int64_t k = terms - 4; k >= 0; k -= 2) {
    even = even * square + m[k];
    odd = odd * square + m[k + 1];
  }
  return nearness * (even + z * odd);
}

// Cell by cell; NaN when cells beyond kReach might matter.
double LineMoments::direct(double q) const {
  constexpr double kNone = std::numeric_limits<double>::quiet_NaN();
  const double place = (q - low_) / kCell;
  const auto middle =
      static_cast<int64_t>(std::floor(std::clamp(place, 0.0, static_cast<double>(cells_ - 1))));
  double nearness = 0, out = part(middle, q, nearness);
  for (int64_t step = 1;; ++step) {
    const int64_t left = middle - step, right = middle + step;
    double at_left = 0, at_right = 0;
    if (left >= 0) out += part(left, q, at_left);
    if (right < cells_) out += part(right, q, at_right);
    // Points of cells not yet summed are farther than the middle of the nearer of these two.
    if (total_ * std::max(at_left, at_right) <= 1e-12 * out) return out;
    const double z = std::abs(place - static_cast<double>(middle)) + static_cast<double>(step) + 2;
    if (z * kCell > kReach) return left < 0 && right >= cells_ ? out : kNone;
  }
}

void LineMoments::sums(const double* queries, int64_t m, double* out) const {
  constexpr int64_t kFar = static_cast<int64_t>(kReach / kCell) - 1;
  const Tables& table = tables();
  // Queries in the order of their cells, from kFar to the left of the first.
  struct Place {
    int64_t cell, query;
  };
  std::vector<Place> places;
  places.reserve(static_cast<size_t>(m));
  const int64_t range = cells_ + 2 * kFar;
  for (int64_t a = 0; a < m; ++a) {
    const double place = (queries[a] - low_) * (1 / kCell) + static_cast<double>(kFar);
    if (place >= 0 && place < static_cast<double>(range))
      places.push_back({static_cast<int64_t>(place), a});
    else
      out[a] = std::numeric_limits<double>::quiet_NaN();
  }
  if (range <= 4 * m + 1000) {
    std::vector<int64_t> starts(static_cast<size_t>(range + 1), 0);
    for (const Place& p : places) ++starts[static_cast<size_t>(p.cell + 1)];
    std::partial_sum(starts.begin(), starts.end(), starts.begin());
    std::vector<Place> ordered(places.size());
    for (const Place& p : places)
      ordered[static_cast<size_t>(starts[static_cast<size_t>(p.cell)]++)] = p;
    places.swap(ordered);
  } else {
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) {
      return a.cell != b.cell ? a.cell < b.cell : a.query < b.query;
    });
  }
  std::vector<size_t> runs;  // of one cell
  for (size_t i = 0; i < places.size(); ++i)
    if (i == 0 || places[i].cell != places[i - 1].cell) runs.push_back(i);
  const auto count = static_cast<int64_t>(runs.size());
  runs.push_back(places.size());
  parallel_for(count, 8, [&](int64_t begin, int64_t end) {
    std::array<Neighbours, 2 * kWindow + 1> near;
    std::array<double, kRows> values;
    std::array<double, kNodes> coefficients;
    std::array<double, kSeriesQueries> t;
    for (int64_t r = begin; r < end; ++r) {
      const size_t first = runs[static_cast<size_t>(r)], last = runs[static_cast<size_t>(r + 1)];
      const int64_t cell = places[first].cell - kFar;
      int64_t cells = 0;
      for (int64_t o = std::max(-kWindow, -cell); o <= std::min(kWindow, cells_ - 1 - cell); ++o) {
        const double* own = moments_.data() + (cell + o) * kOrder;
        const auto at = static_cast<size_t>(o + kWindow);
        if (own[0] != 0)
          near[static_cast<size_t>(cells++)] = {own, table.powers.data() + at * kOrder * kRows,
                                                table.terms[at]};
      }
      HWY_DYNAMIC_DISPATCH(local_values_simd)(near.data(), cells, values.data());
      for (size_t j = 0; j < kNodes; ++j) {
        coefficients[j] = 0;
        for (size_t n = 0; n < kNodes; ++n)
          coefficients[j] += table.cosines[j * kNodes + n] * values[n];
      }
      // What is beyond the window is 9.5 bandwidths away or more.
      const double error = 1.4e-15 * std::max(values[kNodes], values[kNodes + 1]) +
                           total_ * std::exp(-0.5 * 9.5 * 9.5);
      const double middle = low_ + (static_cast<double>(cell) + 0.5) * kCell;
      for (size_t i = first; i < last; i += kSeriesQueries) {
        const size_t own = std::min<size_t>(kSeriesQueries, last - i);
        t.fill(0);
        for (size_t a = 0; a < own; ++a)
          t[a] = (queries[places[i + a].query] - middle) * (2 / kCell);
        HWY_DYNAMIC_DISPATCH(series_simd)
        (coefficients.data(), t.data(), static_cast<int64_t>((own + 7) / 8 * 8));
        for (size_t a = 0; a < own; ++a) {
          const int64_t query = places[i + a].query;
          out[query] = error <= 1e-12 * t[a] ? t[a] : direct(queries[query]);
        }
      }
    }
  });
}

}  // namespace covary::mixture
#endif
