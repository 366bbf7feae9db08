#include "covary/stat/mixture/kde_expansion.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include "covary/core/base/static_dimension.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/kde_tree.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/stat/mixture/kde_expansion.cc"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include "covary/core/compute/exp2-inl.h"

namespace covary::mixture {
#ifndef COVARY_STAT_MIXTURE_KDE_EXPANSION_SHARED
#define COVARY_STAT_MIXTURE_KDE_EXPANSION_SHARED

constexpr int64_t kGroup = 32;  // points or queries taken together, at most

// Multi-indices of d coordinates with |a| below `order`.
inline int64_t terms_of(int64_t d, int64_t order) {
  double count = 1;
  for (int64_t j = 1; j <= d; ++j)
    count = count * static_cast<double>(order - 1 + j) / static_cast<double>(j);
  return static_cast<int64_t>(std::llround(std::min(count, 1e15)));
}

struct Expansion {
  const double* centre;        // [d]
  const double* coefficients;  // in the order of horner()
  int64_t degree;
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
constexpr int64_t kVectors = 4;

// Coefficients lie as nested Horner schemes meet them: of the last coordinate from its highest power
// down, each a polynomial of the coordinates before it, of what degree is left.
template <int kDims>
void horner(const double*& c, int64_t degree, const V (*y)[kVectors], V* out) {
  if constexpr (kDims == 1) {
    V sum[kVectors];
    const V first = hn::Set(kD, *c++);
    for (int64_t g = 0; g < kVectors; ++g) sum[g] = first;
    for (int64_t i = 0; i < degree; ++i) {
      const V next = hn::Set(kD, *c++);
      for (int64_t g = 0; g < kVectors; ++g) sum[g] = hn::MulAdd(sum[g], y[0][g], next);
    }
    for (int64_t g = 0; g < kVectors; ++g) out[g] = sum[g];
  } else {
    for (int64_t g = 0; g < kVectors; ++g) out[g] = hn::Zero(kD);
    for (int64_t left = 0; left <= degree; ++left) {
      V next[kVectors];
      horner<kDims - 1>(c, left, y, next);
      for (int64_t g = 0; g < kVectors; ++g) out[g] = hn::MulAdd(out[g], y[kDims - 1][g], next[g]);
    }
  }
}

// sums [group] += every expansion at the queries, columns [d][group].
template <int kDims>
void evaluate(const double* queries, const Expansion* expansions, int64_t count, double* sums) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD)), group = kVectors * lanes;
  V total[kVectors];
  for (int64_t g = 0; g < kVectors; ++g) total[g] = hn::Zero(kD);
  for (int64_t k = 0; k < count; ++k) {
    V y[kDims][kVectors], square[kVectors], value[kVectors];
    for (int64_t g = 0; g < kVectors; ++g) square[g] = hn::Zero(kD);
    for (int64_t j = 0; j < kDims; ++j) {
      const V centre = hn::Set(kD, expansions[k].centre[j]);
      for (int64_t g = 0; g < kVectors; ++g) {
        y[j][g] = hn::Sub(hn::LoadU(kD, queries + j * group + g * lanes), centre);
        square[g] = hn::MulAdd(y[j][g], y[j][g], square[g]);
      }
    }
    const double* c = expansions[k].coefficients;
    horner<kDims>(c, expansions[k].degree, y, value);
    for (int64_t g = 0; g < kVectors; ++g) {
      const V near = compute::HWY_NAMESPACE::exp2_negative<false>(
          kD, hn::Mul(square[g], hn::Set(kD, -0.5 * std::numbers::log2e)));
      total[g] = hn::MulAdd(near, value[g], total[g]);
    }
  }
  for (int64_t g = 0; g < kVectors; ++g) hn::StoreU(total[g], kD, sums + g * lanes);
}

// The points of a group into their cluster's coefficients: sums [terms][lanes] of a whole expansion of
// `degree`, of which the group fills what has at most `cap` left. powers [d][order][group]: v^i / i!.
template <int kDims>
void gather(const double* powers, int64_t order, int64_t degree, int64_t cap, const V* product,
            double*& sums) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD)), group = kVectors * lanes;
  const double* own = powers + (kDims - 1) * order * group;
  if constexpr (kDims == 1) {
    sums += std::max<int64_t>(degree - cap, 0) * lanes;
    for (int64_t i = std::min(degree, cap); i >= 0; --i, sums += lanes) {
      V sum = hn::LoadU(kD, sums);
      for (int64_t g = 0; g < kVectors; ++g)
        sum = hn::MulAdd(product[g], hn::LoadU(kD, own + i * group + g * lanes), sum);
      hn::StoreU(sum, kD, sums);
    }
  } else {
    for (int64_t left = 0; left <= degree; ++left) {
      const int64_t i = degree - left;
      if (i > cap) {
        sums += terms_of(kDims - 1, left + 1) * lanes;
        continue;
      }
      V next[kVectors];
      for (int64_t g = 0; g < kVectors; ++g)
        next[g] = hn::Mul(product[g], hn::LoadU(kD, own + i * group + g * lanes));
      gather<kDims - 1>(powers, order, left, std::min(cap - i, left), next, sums);
    }
  }
}

// offsets: columns [d][group] of v; weights [group]. Adds to sums [terms][lanes].
template <int kDims>
void gather_group(const double* offsets, const double* weights, int64_t order, int64_t cap,
                  double* powers, double* sums) {
  const int64_t lanes = static_cast<int64_t>(hn::Lanes(kD)), group = kVectors * lanes;
  V product[kVectors];
  for (int64_t g = 0; g < kVectors; ++g) {
    V square = hn::Zero(kD);
    for (int64_t j = 0; j < kDims; ++j) {
      const V v = hn::LoadU(kD, offsets + j * group + g * lanes);
      square = hn::MulAdd(v, v, square);
      V power = hn::Set(kD, 1.0);
      for (int64_t i = 0; i <= cap; ++i) {
        hn::StoreU(power, kD, powers + (j * order + i) * group + g * lanes);
        power = hn::Mul(power, hn::Mul(v, hn::Set(kD, 1.0 / static_cast<double>(i + 1))));
      }
    }
    product[g] = hn::Mul(hn::LoadU(kD, weights + g * lanes),
                         compute::HWY_NAMESPACE::exp2_negative<false>(
                             kD, hn::Mul(square, hn::Set(kD, -0.5 * std::numbers::log2e))));
  }
  gather<kDims>(powers, order, order - 1, cap, product, sums);
}

int64_t group_size_simd() { return kVectors * static_cast<int64_t>(hn::Lanes(kD)); }

void evaluate_simd(int64_t d, const double* queries, const Expansion* expansions, int64_t count,
                   double* sums) {
  with_dimension<ClusterExpansions::kMostColumns>(
      d, [&]<int kDims>() { evaluate<kDims>(queries, expansions, count, sums); });
}

void gather_simd(int64_t d, const double* offsets, const double* weights, int64_t order,
                 int64_t cap, double* powers, double* sums) {
  with_dimension<ClusterExpansions::kMostColumns>(
      d, [&]<int kDims>() { gather_group<kDims>(offsets, weights, order, cap, powers, sums); });
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::mixture
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::mixture {

HWY_EXPORT(group_size_simd);
HWY_EXPORT(evaluate_simd);
HWY_EXPORT(gather_simd);

namespace {

constexpr int64_t kMostOrder = 60;
constexpr double kMostTerms = 20000;           // of a cluster
constexpr double kMostCoefficients = 1 << 25;  // of all
constexpr int64_t kTried = 2048;               // points that the choice of a radius looks at
constexpr double kRounding = 1e-14;            // of a unit of weight

}  // namespace

double taylor_error(int64_t p, double b) {
  if (p == 0) return 1;
  if (!(b > 0)) return 0;
  const double order = static_cast<double>(p), log_factorial = std::lgamma(order + 1);
  // The worst query lies on the line through both points, on the point's side, at a >= b. Over
  // [a, a + step] the exponential is largest at the begin and the series at the end; bounds so made
  // rise to a peak and fall from there on, as the function does.
  constexpr double kStep = 0.05;
  double most = 0;
  for (double a = std::floor(b / kStep) * kStep;; a += kStep) {
    const double t = (a + kStep) * b;
    double term = 1, sum = 1, k = order;
    while (term > 1e-3 * sum || t > 0.5 * (k + 1)) {
      term *= t / ++k;
      sum += term;
    }
    sum += term;  // what is left falls by half or more a term
    const double error =
        sum * std::exp(-0.5 * (a * a + b * b) + order * std::log(t) - log_factorial);
    if (error < most) return most;
    most = error;
  }
}

// Clusters of farthest points: each new centre is the point farthest from all so far. Members of a
// cluster are looked at only when the new centre is within twice its radius.
struct ClusterExpansions::Groups {
  std::vector<int64_t> centres;               // rows
  std::vector<std::vector<int64_t>> members;  // rows
  std::vector<double> squares;                // of a cluster's radius
  std::vector<int64_t> farthest;              // row
  std::vector<double> distance;               // squared, of each row

  Groups(const double* x, int64_t n, int64_t d) : distance(static_cast<size_t>(n)) {
    centres.push_back(0);
    members.emplace_back(static_cast<size_t>(n));
    std::iota(members[0].begin(), members[0].end(), int64_t{0});
    for (int64_t i = 0; i < n; ++i)
      distance[static_cast<size_t>(i)] = square_between(x + i * d, x, d);
    squares.push_back(0);
    farthest.push_back(0);
    measure(0);
  }

  void measure(size_t k) {
    squares[k] = 0;
    farthest[k] = centres[k];
    for (const int64_t i : members[k]) {
      if (distance[static_cast<size_t>(i)] > squares[k])
        squares[k] = distance[static_cast<size_t>(i)], farthest[k] = i;
    }
  }

  double largest_square() const { return *std::max_element(squares.begin(), squares.end()); }

  void split(const double* x, int64_t d) {
    const size_t widest =
        static_cast<size_t>(std::max_element(squares.begin(), squares.end()) - squares.begin());
    const int64_t centre = farthest[widest];
    std::vector<int64_t> own;
    for (size_t k = 0; k < centres.size(); ++k) {
      if (square_between(x + centre * d, x + centres[k] * d, d) >= 4 * squares[k]) continue;
      size_t kept = 0;
      for (const int64_t i : members[k]) {
        const double s = square_between(x + i * d, x + centre * d, d);
        if (s < distance[static_cast<size_t>(i)]) {
          distance[static_cast<size_t>(i)] = s;
          own.push_back(i);
        } else {
          members[k][kept++] = i;
        }
      }
      if (kept == members[k].size()) continue;
      members[k].resize(kept);
      measure(k);
    }
    centres.push_back(centre);
    members.push_back(std::move(own));
    squares.push_back(0);
    farthest.push_back(centre);
    measure(centres.size() - 1);
  }
};

// The radius whose modelled cost is least.
ClusterExpansions::Plan ClusterExpansions::planned(const double* x, int64_t n, int64_t d) const {
  const int64_t tried = std::min(n, kTried);
  std::vector<double> sample;
  for (int64_t i = 0; i < tried; ++i) {
    const double* row = x + i * n / tried * d;
    sample.insert(sample.end(), row, row + d);
  }
  Groups groups(sample.data(), tried, d);
  double least = std::numeric_limits<double>::infinity();
  Plan best;
  for (int64_t next = 1; next <= tried; next = std::max(next + 1, next * 5 / 4)) {
    while (static_cast<int64_t>(groups.centres.size()) < next) {
      if (!(groups.largest_square() > 0)) break;
      groups.split(sample.data(), d);
    }
    // A sample has fewer clusters of a radius than all points have, when there are nearly as many as
    // points.
    if (tried < n && 4 * next > tried) break;
    const double clusters = static_cast<double>(groups.centres.size());
    const double radius = std::sqrt(groups.largest_square());
    const int64_t order = order_of(radius);
    if (order <= kMostOrder) {
      const auto terms = static_cast<double>(terms_of(d, order));
      double near = 0, points = 0;
      constexpr int64_t kAsked = 64;
      for (int64_t a = 0; a < kAsked; ++a) {
        const double* q = sample.data() + a * tried / kAsked * d;
        for (size_t k = 0; k < groups.centres.size(); ++k) {
          const double* centre = sample.data() + groups.centres[k] * d;
          if (std::sqrt(square_between(q, centre, d)) < radius + reach_)
            near += 1, points += static_cast<double>(groups.members[k].size());
        }
      }
      const double cost = (near / kAsked + 0.5) * terms + 3 * clusters;
      if (terms <= kMostTerms && clusters * terms <= kMostCoefficients && cost < least) {
        least = cost;
        best = {std::max(radius, 1e-9),
                points * static_cast<double>(n) / static_cast<double>(tried) / (near * terms)};
      }
    }
    if (!(radius > 0)) break;
  }
  return best;
}

int64_t ClusterExpansions::order_of(double b) const {
  return std::lower_bound(limits_.begin(), limits_.end(), b) - limits_.begin() + 1;
}

ClusterExpansions::ClusterExpansions(const std::vector<double>& x,
                                     const std::vector<double>& weights, int64_t n, int64_t d,
                                     double absolute, double least_gain)
    : d_(d) {
  const double total = std::accumulate(weights.begin(), weights.end(), 0.0);
  share_ = absolute / total - kRounding;
  if (!(share_ > kRounding)) return;
  share_ = std::min(share_, 0.1);
  // What lies out of reach has an eighth of the share, for little: reach goes with the root of the
  // logarithm.
  reach_ = std::sqrt(-2 * std::log(share_ / 8));
  for (int64_t p = 1; p <= kMostOrder; ++p) {
    double low = limits_.empty() ? 0 : limits_.back(), high = 8;
    for (int i = 0; i < 25; ++i) {
      const double middle = 0.5 * (low + high);
      (taylor_error(p, middle) <= share_ ? low : high) = middle;
    }
    limits_.push_back(low);
  }
  plan_ = planned(x.data(), n, d);
  const double radius = plan_.radius;
  if (!(radius > 0) || plan_.gain < least_gain) return;
  Groups groups(x.data(), n, d);
  while (groups.largest_square() > radius * radius) {
    groups.split(x.data(), d);
    if (static_cast<double>(groups.centres.size()) *
            static_cast<double>(terms_of(d, order_of(radius))) >
        kMostCoefficients)
      return;
  }
  usable_ = true;
  bound_ = (share_ + kRounding) * total;
  expand(x, weights, groups);
}

void ClusterExpansions::expand(const std::vector<double>& x, const std::vector<double>& weights,
                               Groups& groups) {
  const size_t clusters = groups.centres.size();
  const auto d = static_cast<size_t>(d_);
  centres_.resize(clusters * d);
  radii_.resize(clusters);
  orders_.resize(clusters);
  starts_.resize(clusters);
  // About the mean where that is nearer to the farthest member.
  parallel_for(static_cast<int64_t>(clusters), 8, [&](int64_t begin, int64_t end) {
    for (auto k = static_cast<size_t>(begin); k < static_cast<size_t>(end); ++k) {
      const std::vector<int64_t>& own = groups.members[k];
      std::vector<double> mean(d, 0.0);
      for (const int64_t i : own) {
        for (size_t j = 0; j < d; ++j)
          mean[j] += x[static_cast<size_t>(i) * d + j] / static_cast<double>(own.size());
      }
      double square = 0;
      for (const int64_t i : own)
        square = std::max(square,
                          square_between(x.data() + static_cast<size_t>(i) * d, mean.data(), d_));
      const bool better = square < groups.squares[k];
      const double* first = x.data() + static_cast<size_t>(groups.centres[k]) * d;
      std::copy_n(better ? mean.data() : first, d, centres_.begin() + static_cast<int64_t>(k * d));
      radii_[k] = std::sqrt(better ? square : groups.squares[k]);
      for (const int64_t i : own) {
        const double b = std::sqrt(
            square_between(x.data() + static_cast<size_t>(i) * d, centres_.data() + k * d, d_));
        groups.distance[static_cast<size_t>(i)] = b;
        orders_[k] = std::max(orders_[k], order_of(b));
      }
    }
  });
  int64_t all = 0;
  for (size_t k = 0; k < clusters; ++k) {
    starts_[k] = all;
    all += terms_of(d_, orders_[k]);
  }
  coefficients_.assign(static_cast<size_t>(all), 0.0);
  const int64_t group = HWY_DYNAMIC_DISPATCH(group_size_simd)();
  const int64_t lanes = group / 4;
  parallel_tasks(static_cast<int64_t>(clusters), [&](int64_t at) {
    const auto k = static_cast<size_t>(at);
    std::vector<int64_t>& own = groups.members[k];
    // Points that need few terms together.
    std::sort(own.begin(), own.end(), [&](int64_t a, int64_t b) {
      const double u = groups.distance[static_cast<size_t>(a)],
                   v = groups.distance[static_cast<size_t>(b)];
      return u != v ? u < v : a < b;
    });
    const int64_t order = orders_[k], terms = terms_of(d_, order);
    std::vector<double> sums(static_cast<size_t>(terms * lanes), 0.0);
    std::vector<double> powers(static_cast<size_t>(d_ * order * group));
    std::vector<double> offsets(static_cast<size_t>(d_ * group)), mass(static_cast<size_t>(group));
    for (int64_t begin = 0; begin < static_cast<int64_t>(own.size()); begin += group) {
      const int64_t count = std::min(group, static_cast<int64_t>(own.size()) - begin);
      std::fill(offsets.begin(), offsets.end(), 0.0);
      std::fill(mass.begin(), mass.end(), 0.0);
      double b = 0;
      for (int64_t a = 0; a < count; ++a) {
        const auto i = static_cast<size_t>(own[static_cast<size_t>(begin + a)]);
        b = groups.distance[i];
        mass[static_cast<size_t>(a)] = weights[i];
        for (int64_t j = 0; j < d_; ++j)
          offsets[static_cast<size_t>(j * group + a)] =
              x[i * d + static_cast<size_t>(j)] - centres_[k * d + static_cast<size_t>(j)];
      }
      HWY_DYNAMIC_DISPATCH(gather_simd)
      (d_, offsets.data(), mass.data(), order, order_of(b) - 1, powers.data(), sums.data());
    }
    double* out = coefficients_.data() + starts_[k];
    for (int64_t t = 0; t < terms; ++t) {
      double sum = 0;
      for (int64_t l = 0; l < lanes; ++l) sum += sums[static_cast<size_t>(t * lanes + l)];
      out[t] = sum;
    }
  });
}

void ClusterExpansions::sums(const double* queries, int64_t m, double* out) const {
  const int64_t group = HWY_DYNAMIC_DISPATCH(group_size_simd)();
  std::vector<int64_t> ids(static_cast<size_t>(m));
  std::iota(ids.begin(), ids.end(), int64_t{0});
  order_in_space(queries, d_, ids.data(), ids.data() + m, group);
  parallel_for((m + group - 1) / group, 1, [&](int64_t first, int64_t last) {
    std::vector<double> block(static_cast<size_t>(d_ * group));
    std::vector<double> low(static_cast<size_t>(d_)), high(static_cast<size_t>(d_));
    std::vector<Expansion> near;
    double sums[kGroup];
    for (int64_t g = first; g < last; ++g) {
      const int64_t begin = g * group, count = std::min(group, m - begin);
      for (int64_t a = 0; a < group; ++a) {
        // Past the last query the last one again.
        const double* q = queries + ids[static_cast<size_t>(begin + std::min(a, count - 1))] * d_;
        for (int64_t j = 0; j < d_; ++j) {
          const auto at = static_cast<size_t>(j);
          block[static_cast<size_t>(j * group + a)] = q[j];
          low[at] = a == 0 ? q[j] : std::min(low[at], q[j]);
          high[at] = a == 0 ? q[j] : std::max(high[at], q[j]);
        }
      }
      near.clear();
      for (size_t k = 0; k < orders_.size(); ++k) {
        const double* centre = centres_.data() + k * static_cast<size_t>(d_);
        double square = 0;
        for (size_t j = 0; j < static_cast<size_t>(d_); ++j) {
          const double gap = std::max({0.0, low[j] - centre[j], centre[j] - high[j]});
          square += gap * gap;
        }
        const double far = radii_[k] + reach_;
        if (square <= far * far)
          near.push_back({centre, coefficients_.data() + starts_[k], orders_[k] - 1});
      }
      HWY_DYNAMIC_DISPATCH(evaluate_simd)
      (d_, block.data(), near.data(), static_cast<int64_t>(near.size()), sums);
      for (int64_t a = 0; a < count; ++a)
        out[ids[static_cast<size_t>(begin + a)]] = std::max(sums[a], 0.0);
    }
  });
}

}  // namespace covary::mixture
#endif
