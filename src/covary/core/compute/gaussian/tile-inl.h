// The loops of one tile of points, for the current Highway target; lanes are points. Included once a
// target by simd.cc, after <hwy/highway.h>.
//
//   transpose(x, count, d, w.x);
//   joint_of_tile(p, w);                          // log w_c + log N
//   soften_tile<Soften::kStatistics>(p, w);       // responsibilities times weights
//   add_full_tile(p, w);                          // to the lanes of the sums
//   collect(p, w, sums);                          // at the end of a block
//
// Multiply-adds a point and component, what the ceiling counts in brackets: full, whitening
// d (d + 1) / 2 [+ d] and scatter d (d + 1) / 2 [+ d]; diagonal 4 d; tied d for the distance and d
// for the shift, and d (d + 1) a point, whatever the components.
#if defined(COVARY_GAUSSIAN_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef COVARY_GAUSSIAN_TILE_INL_H_
#undef COVARY_GAUSSIAN_TILE_INL_H_
#else
#define COVARY_GAUSSIAN_TILE_INL_H_
#endif

#include <algorithm>
#include <limits>
#include <numbers>

#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#include "covary/core/compute/exp2-inl.h"
#include "covary/core/compute/gaussian/tile.h"

HWY_BEFORE_NAMESPACE();
namespace covary::compute {
namespace HWY_NAMESPACE {
namespace {

namespace hn = hwy::HWY_NAMESPACE;
using D = hn::ScalableTag<double>;
using V = hn::Vec<D>;
constexpr D kD;

// Vectors of points that share a loaded coefficient, and rows of the scatter that share a loaded
// point: as many as registers allow.
constexpr int64_t kGroup = HWY_MAX_BYTES >= 64 ? 4 : 2;
constexpr int64_t kRows = HWY_MAX_BYTES >= 64 ? 4 : 2;
// Components whose distances are summed at once.
constexpr int64_t kTogether = 4;

constexpr double kNone = -std::numeric_limits<double>::infinity();

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(kD)); }

// Rows of points to columns; what lies past `count` repeats the first point.
void transpose(const double* x, int64_t count, int64_t d, double* out) {
  int64_t rows = 0;
#if HWY_TARGET != HWY_SCALAR
  // Squares of 4 x 4 or 2 x 2, by vectors of as many.
  const hn::CappedTag<double, 4> t;
  constexpr int64_t kSide = HWY_MAX_BYTES >= 32 ? 4 : 2;
  const int64_t columns = d / kSide * kSide;
  rows = count / kSide * kSide;
  for (int64_t i = 0; i < rows; i += kSide) {
    const double* row = x + i * d;
    double* to = out + i;
    for (int64_t j = 0; j < columns; j += kSide) {
      const auto a = hn::LoadU(t, row + j), b = hn::LoadU(t, row + d + j);
      const auto even = hn::InterleaveLower(t, a, b), odd = hn::InterleaveUpper(t, a, b);
      double* column = to + j * kTileColumn;
      if constexpr (kSide == 4) {
        const auto c = hn::LoadU(t, row + 2 * d + j), e = hn::LoadU(t, row + 3 * d + j);
        const auto even2 = hn::InterleaveLower(t, c, e), odd2 = hn::InterleaveUpper(t, c, e);
        hn::StoreU(hn::ConcatLowerLower(t, even2, even), t, column);
        hn::StoreU(hn::ConcatLowerLower(t, odd2, odd), t, column + kTileColumn);
        hn::StoreU(hn::ConcatUpperUpper(t, even2, even), t, column + 2 * kTileColumn);
        hn::StoreU(hn::ConcatUpperUpper(t, odd2, odd), t, column + 3 * kTileColumn);
      } else {
        hn::StoreU(even, t, column);
        hn::StoreU(odd, t, column + kTileColumn);
      }
    }
    for (int64_t j = columns; j < d; ++j) {
      for (int64_t r = 0; r < kSide; ++r) to[j * kTileColumn + r] = row[r * d + j];
    }
  }
#endif
  for (int64_t i = rows; i < kGaussianTile; ++i) {
    const double* row = x + (i < count ? i : 0) * d;
    for (int64_t j = 0; j < d; ++j) out[j * kTileColumn + i] = row[j];
  }
}

// |W (x - m)|^2 of kGroup vectors of points, columns of x; W (x - m) to the columns of out unless
// null. Differences are taken again for each four rows: additions have pipes of their own.
HWY_INLINE void whiten_group(const double* HWY_RESTRICT triangle, int64_t d4,
                             const double* HWY_RESTRICT x, const double* HWY_RESTRICT mean,
                             V* squares, double* out) {
  for (int64_t g = 0; g < kGroup; ++g) squares[g] = hn::Zero(kD);
  for (int64_t row = 0; row < d4; row += 4) {
    V acc[4][kGroup];
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = hn::Zero(kD);
    }
    const auto column = [&](int64_t j, int64_t first) HWY_ATTR {
      V v[kGroup];
      const V m = hn::Set(kD, mean[j]);
      for (int64_t g = 0; g < kGroup; ++g) {
        v[g] = hn::Sub(hn::Load(kD, x + j * kTileColumn + g * lanes()), m);
      }
      for (int64_t r = first; r < 4; ++r) {
        const V w = hn::Set(kD, triangle[r]);
        for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = hn::MulAdd(w, v[g], acc[r][g]);
      }
      triangle += 4;
    };
    for (int64_t j = 0; j < row; ++j) column(j, 0);
    column(row, 0);
    column(row + 1, 1);
    column(row + 2, 2);
    column(row + 3, 3);
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t g = 0; g < kGroup; ++g) {
        squares[g] = hn::MulAdd(acc[r][g], acc[r][g], squares[g]);
        if (out) hn::Store(acc[r][g], kD, out + (row + r) * kTileColumn + g * lanes());
      }
    }
  }
}

// sum_j (s_j (a_j - m_j))^2 of kGroup vectors for kCount components, whose means and scales lie d4
// apart; without scales s = 1. One component alone has too few sums to keep additions in flight.
template <bool kScaled, int64_t kCount>
HWY_INLINE void square_group(const double* HWY_RESTRICT a, const double* HWY_RESTRICT mean,
                             const double* HWY_RESTRICT scale, int64_t d, int64_t d4, V* squares) {
  V sums[kCount][kGroup];
  for (int64_t c = 0; c < kCount; ++c) {
    for (int64_t g = 0; g < kGroup; ++g) sums[c][g] = hn::Zero(kD);
  }
  for (int64_t j = 0; j < d; ++j) {
    V x[kGroup];
    for (int64_t g = 0; g < kGroup; ++g) x[g] = hn::Load(kD, a + j * kTileColumn + g * lanes());
    for (int64_t c = 0; c < kCount; ++c) {
      const V m = hn::Set(kD, mean[c * d4 + j]);
      for (int64_t g = 0; g < kGroup; ++g) {
        V z = hn::Sub(x[g], m);
        if constexpr (kScaled) z = hn::Mul(z, hn::Set(kD, scale[c * d4 + j]));
        sums[c][g] = hn::MulAdd(z, z, sums[c][g]);
      }
    }
  }
  for (int64_t c = 0; c < kCount; ++c) {
    for (int64_t g = 0; g < kGroup; ++g) squares[c * kGroup + g] = sums[c][g];
  }
}

// joint [k,kTileColumn] of a tile whose columns are in w.x. The `count` doubles from `ahead` on, what
// is read next, are called for on the way.
void joint_of_tile(const PackedMixture& p, TileWork& w, const double* ahead, int64_t count) {
  const int64_t k = p.m.k, d4 = p.d4, d = p.m.d, stride = kGroup * lanes();
  const V minus_half = hn::Set(kD, -0.5);
  V squares[kTogether * kGroup];
  if (p.m.type == CovarianceType::kTied) {
    for (int64_t i = 0; i < kGaussianTile; i += stride) {
      whiten_group(p.triangles.data(), d4, w.x + i, p.centre.data(), squares, w.whitened + i);
    }
  }
  // A group of points stays in the nearest cache while the components pass.
  for (int64_t i = 0; i < kGaussianTile; i += stride) {
    for (int64_t a = i * count / kGaussianTile; a < (i + stride) * count / kGaussianTile; a += 8) {
      __builtin_prefetch(ahead + a, 0, 2);
    }
    const auto keep = [&](int64_t c, const V* of) HWY_ATTR {
      const V constant = hn::Set(kD, p.constants[static_cast<size_t>(c)]);
      for (int64_t g = 0; g < kGroup; ++g) {
        hn::Store(hn::MulAdd(minus_half, of[g], constant), kD,
                  w.joint + c * kTileColumn + i + g * lanes());
      }
    };
    if (p.m.type == CovarianceType::kFull) {
      for (int64_t c = 0; c < k; ++c) {
        whiten_group(p.triangles.data() + c * p.triangle, d4, w.x + i, p.means.data() + c * d4,
                     squares, nullptr);
        keep(c, squares);
      }
      continue;
    }
    const auto some = [&]<int64_t kCount>(int64_t c) HWY_ATTR {
      const double* scale = p.scales.data() + c * d4;
      if (p.m.type == CovarianceType::kTied) {
        square_group<false, kCount>(w.whitened + i, scale, nullptr, d, d4, squares);
      } else {
        square_group<true, kCount>(w.x + i, p.means.data() + c * d4, scale, d, d4, squares);
      }
      for (int64_t r = 0; r < kCount; ++r) keep(c + r, squares + r * kGroup);
    };
    int64_t c = 0;
    for (; c + kTogether <= k; c += kTogether) some.template operator()<kTogether>(c);
    for (; c < k; ++c) some.template operator()<1>(c);
  }
}

// What soften_tile makes of joint: log_density alone; that, with responsibilities in place of joint;
// or also entropy, with responsibilities times weights, 0 for the negligible ones.
enum class Soften { kDensity, kResponsibilities, kStatistics };

template <Soften kWhat>
void soften_tile(const PackedMixture& p, TileWork& w) {
  const int64_t k = p.m.k;
  const V none = hn::Set(kD, kNone), zero = hn::Zero(kD), one = hn::Set(kD, 1.0);
  // exp(t) t is 0 in double long before t is here; without the bound it would be 0 x infinity.
  const V floor = hn::Set(kD, -1000.0);
  const V log2e = hn::Set(kD, std::numbers::log2e);
  const V share = hn::Set(kD, 1.0 / 32);  // log(1 + q) <= q / 64 + kLogBound
  for (int64_t i = 0; i < kGaussianTile; i += lanes()) {
    double* joint = w.joint + i;
    V top = none;
    for (int64_t c = 0; c < k; ++c) top = hn::Max(top, hn::Load(kD, joint + c * kTileColumn));
    const auto dead = hn::Eq(top, none);
    const V shift = hn::IfThenElse(dead, zero, top);
    V sum = zero, weighted = zero;
    for (int64_t c = 0; c < k; ++c) {
      const V log_joint = hn::Load(kD, joint + c * kTileColumn);
      V t = hn::Sub(log_joint, shift), kept = zero;
      if constexpr (kWhat == Soften::kStatistics) {
        const V far = hn::Sub(hn::Set(kD, p.constants[static_cast<size_t>(c)]), log_joint);
        const auto negligible =
            hn::Lt(hn::MulAdd(far, share, t), hn::Set(kD, p.negligible[static_cast<size_t>(c)]));
        if (hn::AllTrue(kD, negligible)) {
          hn::Store(zero, kD, joint + c * kTileColumn);
          continue;
        }
        t = hn::Max(t, floor);
        const V e = exp2_negative<false>(kD, hn::Mul(t, log2e));
        sum = hn::Add(sum, e);
        weighted = hn::MulAdd(e, t, weighted);
        kept = hn::IfThenZeroElse(negligible, e);
      } else {
        t = hn::Max(t, floor);
        kept = exp2_negative<false>(kD, hn::Mul(t, log2e));
        sum = hn::Add(sum, kept);
      }
      if constexpr (kWhat != Soften::kDensity) hn::Store(kept, kD, joint + c * kTileColumn);
    }
    const V safe = hn::IfThenElse(dead, one, sum);
    const V log_sum = hn::Log(kD, safe);
    hn::Store(hn::IfThenElse(dead, none, hn::Add(shift, log_sum)), kD, w.log_density + i);
    if constexpr (kWhat == Soften::kDensity) continue;
    V inverse = hn::IfThenZeroElse(dead, hn::Div(one, safe));
    if constexpr (kWhat == Soften::kStatistics) {
      hn::Store(hn::NegMulAdd(weighted, inverse, log_sum), kD, w.entropy + i);
      const V u = hn::Load(kD, w.weight + i);
      hn::Store(hn::IfThenZeroElse(dead, u), kD, w.live + i);
      inverse = hn::Mul(inverse, u);
    }
    for (int64_t c = 0; c < k; ++c) {
      const V e = hn::Load(kD, joint + c * kTileColumn);
      hn::Store(hn::Mul(e, inverse), kD, joint + c * kTileColumn);
    }
  }
}

// Adds to sums what a tile whose first row is `from` has of weight, likelihood and entropy.
void add_points(const TileWork& w, int64_t from, MixtureSums& sums) {
  const V far = hn::Set(kD, std::numeric_limits<double>::infinity());
  V weight = hn::Zero(kD), log_likelihood = weight, entropy = weight, lowest = far;
  for (int64_t i = 0; i < kGaussianTile; i += lanes()) {
    const V u = hn::Load(kD, w.weight + i), p = hn::Load(kD, w.log_density + i);
    const auto on = hn::Gt(u, hn::Zero(kD));
    weight = hn::Add(weight, u);
    log_likelihood = hn::Add(log_likelihood, hn::IfThenElseZero(on, hn::Mul(u, p)));
    entropy = hn::MulAdd(u, hn::Load(kD, w.entropy + i), entropy);
    lowest = hn::Min(lowest, hn::IfThenElse(on, p, far));
  }
  sums.weight += hn::GetLane(hn::SumOfLanes(kD, weight));
  sums.log_likelihood += hn::GetLane(hn::SumOfLanes(kD, log_likelihood));
  sums.entropy += hn::GetLane(hn::SumOfLanes(kD, entropy));
  if (!(hn::GetLane(hn::MinOfLanes(kD, lowest)) < sums.lowest)) return;
  for (int64_t i = 0; i < kGaussianTile; ++i) {
    if (w.weight[i] > 0 && w.log_density[i] < sums.lowest) {
      sums.lowest = w.log_density[i];
      sums.lowest_row = from + i;
    }
  }
}

// Adds to a diagonal block of the scatter its rows [kFirst, kFirst + kRows), and to shift; on the
// way keeps x - m, and that times r, for the blocks beside and below it.
template <int64_t kFirst, bool kKeepCentred, bool kKeepScaled>
HWY_INLINE void add_diagonal_block(const double* HWY_RESTRICT x, int64_t stride,
                                   const double* HWY_RESTRICT r, const double* mean, int64_t n,
                                   double* HWY_RESTRICT centred, double* HWY_RESTRICT scaled,
                                   double* shift, double* block) {
  constexpr int64_t kEnd = kFirst + kRows;
  V sum[kRows], acc[kRows][kEnd], m[kRows];
  for (int64_t a = 0; a < kRows; ++a) {
    m[a] = hn::Set(kD, mean[kFirst + a]);
    sum[a] = hn::Load(kD, shift + (kFirst + a) * lanes());
    for (int64_t b = 0; b <= kFirst + a; ++b)
      acc[a][b] = hn::Load(kD, block + ((kFirst + a) * 4 + b) * lanes());
  }
  for (int64_t i = 0; i < n; i += lanes()) {
    const V u = hn::Load(kD, r + i);
    V z[kEnd], y[kRows];
    for (int64_t b = 0; b < kFirst; ++b) z[b] = hn::Load(kD, centred + b * kTileColumn + i);
    for (int64_t a = 0; a < kRows; ++a) {
      const int64_t row = kFirst + a;
      z[row] = hn::Sub(hn::Load(kD, x + row * stride + i), m[a]);
      if constexpr (kKeepCentred || kEnd < 4)
        hn::Store(z[row], kD, centred + row * kTileColumn + i);
      y[a] = hn::Mul(u, z[row]);
      if constexpr (kKeepScaled) hn::Store(y[a], kD, scaled + row * kTileColumn + i);
      sum[a] = hn::Add(sum[a], y[a]);
    }
    for (int64_t a = 0; a < kRows; ++a) {
      for (int64_t b = 0; b <= kFirst + a; ++b) acc[a][b] = hn::MulAdd(y[a], z[b], acc[a][b]);
    }
  }
  for (int64_t a = 0; a < kRows; ++a) {
    hn::Store(sum[a], kD, shift + (kFirst + a) * lanes());
    for (int64_t b = 0; b <= kFirst + a; ++b)
      hn::Store(acc[a][b], kD, block + ((kFirst + a) * 4 + b) * lanes());
  }
}

// Adds r (x - m) and r (x - m)(x - m)' of n points, whole vectors, to lanes of sums.
void add_scatter(const double* x, int64_t stride, const double* r, const double* mean, int64_t n,
                 int64_t d4, TileWork& w, double* shift, double* scatter) {
  for (int64_t row = 0; row < d4; row += 4) {
    const auto diagonal = [&]<bool kKeepCentred, bool kKeepScaled>() HWY_ATTR {
      const auto rows = [&]<int64_t kFirst>() HWY_ATTR {
        add_diagonal_block<kFirst, kKeepCentred, kKeepScaled>(
            x + row * stride, stride, r, mean + row, n, w.centred + row * kTileColumn, w.scaled,
            shift + row * lanes(), scatter + row / 4 * 16 * lanes());
      };
      rows.template operator()<0>();
      if constexpr (kRows == 2) rows.template operator()<2>();
    };
    // The first rows have no block beside them, the last none below.
    const bool last = row + 4 == d4;
    if (row == 0) {
      if (last) {
        diagonal.template operator()<false, false>();
      } else {
        diagonal.template operator()<true, false>();
      }
    } else if (last) {
      diagonal.template operator()<false, true>();
    } else {
      diagonal.template operator()<true, true>();
    }
    for (int64_t column = 0; column < row; column += 4) {
      const double* HWY_RESTRICT z = w.centred + column * kTileColumn;
      for (int64_t part = 0; part < 4; part += kRows) {
        const double* HWY_RESTRICT y = w.scaled + part * kTileColumn;
        double* out = scatter + part * 4 * lanes();
        V acc[kRows][4];
        for (int64_t a = 0; a < kRows; ++a) {
          for (int64_t b = 0; b < 4; ++b) acc[a][b] = hn::Load(kD, out + (a * 4 + b) * lanes());
        }
        for (int64_t i = 0; i < n; i += lanes()) {
          V left[kRows], right[4];
          for (int64_t a = 0; a < kRows; ++a) left[a] = hn::Load(kD, y + a * kTileColumn + i);
          for (int64_t b = 0; b < 4; ++b) right[b] = hn::Load(kD, z + b * kTileColumn + i);
          for (int64_t a = 0; a < kRows; ++a) {
            for (int64_t b = 0; b < 4; ++b) acc[a][b] = hn::MulAdd(left[a], right[b], acc[a][b]);
          }
        }
        for (int64_t a = 0; a < kRows; ++a) {
          for (int64_t b = 0; b < 4; ++b) hn::Store(acc[a][b], kD, out + (a * 4 + b) * lanes());
        }
      }
      scatter += 16 * lanes();
    }
    scatter += 16 * lanes();
  }
}

// Adds a component's queue to the lanes of its sums.
void flush_queue(const PackedMixture& p, TileWork& w, int64_t c) {
  const int64_t count = w.waiting[static_cast<size_t>(c)], d4 = p.d4;
  if (count == 0) return;
  w.waiting[static_cast<size_t>(c)] = 0;
  double* q = w.queue + c * (d4 + 1) * kQueueColumn;
  const int64_t n = (count + lanes() - 1) / lanes() * lanes();
  for (int64_t j = 0; j <= d4; ++j) {
    for (int64_t i = count; i < n; ++i) q[j * kQueueColumn + i] = 0;
  }
  const int64_t slot = p.m.type == CovarianceType::kFull ? c : 0;
  add_scatter(q, kQueueColumn, q + d4 * kQueueColumn, p.means.data() + c * d4, n, d4, w,
              w.shift + c * d4 * lanes(), w.scatter + slot * scatter_blocks(d4) * 16 * lanes());
}

// Adds the tile's responsibilities of a component to its mass; how many are not 0.
HWY_INLINE int64_t add_mass(TileWork& w, int64_t c) {
  const double* r = w.joint + c * kTileColumn;
  constexpr int64_t kSums = 4;  // additions in flight
  const V zero = hn::Zero(kD), one = hn::Set(kD, 1.0);
  V mass[kSums], count[kSums];
  for (int64_t s = 0; s < kSums; ++s) mass[s] = count[s] = zero;
  for (int64_t i = 0; i < kGaussianTile; i += kSums * lanes()) {
    for (int64_t s = 0; s < kSums; ++s) {
      const V v = hn::Load(kD, r + i + s * lanes());
      mass[s] = hn::Add(mass[s], v);
      count[s] = hn::Add(count[s], hn::IfThenElseZero(hn::Gt(v, zero), one));
    }
  }
  const V sum = hn::Add(hn::Add(mass[0], mass[1]), hn::Add(mass[2], mass[3]));
  hn::Store(hn::Add(hn::Load(kD, w.mass + c * lanes()), sum), kD, w.mass + c * lanes());
  return static_cast<int64_t>(hn::GetLane(
      hn::SumOfLanes(kD, hn::Add(hn::Add(count[0], count[1]), hn::Add(count[2], count[3])))));
}

// Sums of a tile, a scatter for each pair of point and component. Where a component has part in most
// points the tile is summed as it is, else its points wait in the component's queue for others.
void add_full_tile(const PackedMixture& p, TileWork& w) {
  const int64_t d4 = p.d4;
  for (int64_t c = 0; c < p.m.k; ++c) {
    const double* r = w.joint + c * kTileColumn;
    const int64_t taken = add_mass(w, c);
    if (taken == 0) continue;
    if (2 * taken >= kGaussianTile) {
      const int64_t slot = p.m.type == CovarianceType::kFull ? c : 0;
      add_scatter(w.x, kTileColumn, r, p.means.data() + c * d4, kGaussianTile, d4, w,
                  w.shift + c * d4 * lanes(), w.scatter + slot * scatter_blocks(d4) * 16 * lanes());
      continue;
    }
    int64_t& waiting = w.waiting[static_cast<size_t>(c)];
    double* q = w.queue + c * (d4 + 1) * kQueueColumn;
    for (int64_t i = 0; i < kGaussianTile; i += lanes()) {
      const V u = hn::Load(kD, r + i);
      const auto mask = hn::Gt(u, hn::Zero(kD));
      const int64_t count = static_cast<int64_t>(hn::CountTrue(kD, mask));
      if (count == 0) continue;
      if (waiting + lanes() > kQueue) flush_queue(p, w, c);
      double* out = q + waiting;
      for (int64_t j = 0; j < d4; ++j) {
        const V x = hn::Load(kD, w.x + j * kTileColumn + i);
        hn::StoreU(hn::Compress(x, mask), kD, out + j * kQueueColumn);
      }
      hn::StoreU(hn::Compress(u, mask), kD, out + d4 * kQueueColumn);
      waiting += count;
    }
  }
}

// Adds r (x - m), and with kSquares r (x - m)^2, of a tile to the lanes of each component. Four columns
// stay in the nearest cache while the components pass.
template <bool kSquares>
void add_moments_tile(const PackedMixture& p, TileWork& w) {
  const int64_t d4 = p.d4, k = p.m.k;
  for (int64_t c = 0; c < k; ++c) w.waiting[static_cast<size_t>(c)] = add_mass(w, c);
  for (int64_t row = 0; row < d4; row += 4) {
    const double* HWY_RESTRICT x = w.x + row * kTileColumn;
    for (int64_t c = 0; c < k; ++c) {
      if (w.waiting[static_cast<size_t>(c)] == 0) continue;
      const double* HWY_RESTRICT r = w.joint + c * kTileColumn;
      double* HWY_RESTRICT shift_out = w.shift + (c * d4 + row) * lanes();
      double* HWY_RESTRICT square_out = w.square + (kSquares ? (c * d4 + row) * lanes() : 0);
      V mean[4], shift[4], square[4];
      for (int64_t a = 0; a < 4; ++a) {
        mean[a] = hn::Set(kD, p.means[static_cast<size_t>(c * d4 + row + a)]);
        shift[a] = hn::Load(kD, shift_out + a * lanes());
        if constexpr (kSquares) square[a] = hn::Load(kD, square_out + a * lanes());
      }
      for (int64_t i = 0; i < kGaussianTile; i += lanes()) {
        const V u = hn::Load(kD, r + i);
        for (int64_t a = 0; a < 4; ++a) {
          const V z = hn::Sub(hn::Load(kD, x + a * kTileColumn + i), mean[a]);
          if constexpr (kSquares) {
            const V y = hn::Mul(u, z);
            shift[a] = hn::Add(shift[a], y);
            square[a] = hn::MulAdd(y, z, square[a]);
          } else {
            shift[a] = hn::MulAdd(u, z, shift[a]);
          }
        }
      }
      for (int64_t a = 0; a < 4; ++a) {
        hn::Store(shift[a], kD, shift_out + a * lanes());
        if constexpr (kSquares) hn::Store(square[a], kD, square_out + a * lanes());
      }
    }
  }
  std::fill(w.waiting.begin(), w.waiting.end(), 0);
}

// Sums of a tile under one covariance, all means near the centre: the scatter of all components
// together is that of the points about the centre, moved to the means when it is collected.
void add_near_tile(const PackedMixture& p, TileWork& w) {
  add_moments_tile<false>(p, w);
  add_scatter(w.x, kTileColumn, w.live, p.centre.data(), kGaussianTile, p.d4, w,
              w.shift + p.m.k * p.d4 * lanes(), w.scatter);
}

HWY_INLINE double sum_at(const double* lanes_of, int64_t index) {
  return hn::GetLane(hn::SumOfLanes(kD, hn::Load(kD, lanes_of + index * lanes())));
}

// The lanes of a block to its sums, which are clear; lanes back to zero.
void collect(const PackedMixture& p, TileWork& w, MixtureSums& sums) {
  const int64_t k = p.m.k, d = p.m.d, d4 = p.d4;
  const bool matrices = p.matrices();
  for (int64_t c = 0; c < k && matrices; ++c) flush_queue(p, w, c);
  for (int64_t c = 0; c < k; ++c) {
    sums.mass[static_cast<size_t>(c)] += sum_at(w.mass, c);
    for (int64_t j = 0; j < d; ++j) {
      sums.shift[static_cast<size_t>(c * d + j)] += sum_at(w.shift, c * d4 + j);
      if (matrices) continue;
      const int64_t at = p.m.type == CovarianceType::kSpherical ? c : c * d + j;
      sums.scatter[static_cast<size_t>(at)] += sum_at(w.square, c * d4 + j);
    }
  }
  const int64_t count = !matrices ? 0 : p.m.type == CovarianceType::kFull ? k : 1;
  const double* block = w.scatter;
  for (int64_t c = 0; c < count; ++c) {
    double* scatter = sums.scatter.data() + c * d * d;
    for (int64_t row = 0; row < d4; row += 4) {
      for (int64_t column = 0; column <= row; column += 4, block += 16 * lanes()) {
        for (int64_t a = row; a < std::min(d, row + 4); ++a) {
          for (int64_t b = column; b <= std::min(a, column + 3); ++b)
            scatter[a * d + b] += sum_at(block, (a - row) * 4 + b - column);
        }
      }
    }
  }
  if (p.near_centre) {
    // sum r (x - m)(x - m)' = sum r x x' - m s' - s m' - mass m m', about the centre, s the shift.
    for (int64_t c = 0; c < k; ++c) {
      const double mass = sums.mass[static_cast<size_t>(c)];
      const double* shift = sums.shift.data() + c * d;
      for (int64_t a = 0; a < d; ++a) {
        const double m = p.m.means[c * d + a] - p.centre[static_cast<size_t>(a)];
        for (int64_t b = 0; b <= a; ++b) {
          const double n = p.m.means[c * d + b] - p.centre[static_cast<size_t>(b)];
          sums.scatter[static_cast<size_t>(a * d + b)] -= m * (shift[b] + mass * n) + shift[a] * n;
        }
      }
    }
  }
  w.clear_sums();
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();
#endif
