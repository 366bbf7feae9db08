#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <numbers>
#include <vector>

#include "covary/core/base/threads.h"
#include "covary/core/compute/gaussian/gaussian.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "covary/core/compute/gaussian/simd.cc"
#include <hwy/aligned_allocator.h>
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <hwy/contrib/math/math-inl.h>

#ifndef COVARY_GAUSSIAN_ONCE
#define COVARY_GAUSSIAN_ONCE
namespace covary::compute {
namespace {

constexpr int64_t kTile = kGaussianTile;
constexpr int64_t kQueue = 128;  // points that a component gathers before their scatter is summed
// Columns of a tile and of a queue lie so far apart: powers of two would share few sets of the cache.
constexpr int64_t kColumn = kTile + 8;
constexpr int64_t kQueueColumn = kQueue + 8;
constexpr int64_t kWidest = 64;  // bytes of the widest vector
constexpr double kNone = -std::numeric_limits<double>::infinity();

int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// The mixture as the tiles want it: dimensions padded to fours with zeros.
struct Packed {
  explicit Packed(const GaussianMixtureView& view)
      : m(view), d4(round_up(view.d, 4)), triangle(d4 / 4 * (d4 / 4 + 1) / 2 * 16) {
    const int64_t k = m.k, d = m.d;
    means.assign(static_cast<size_t>(k * d4), 0.0);
    for (int64_t c = 0; c < k; ++c) std::copy_n(m.means + c * d, d, &means[size_t(c * d4)]);
    constants.resize(static_cast<size_t>(k));
    const double base = -0.5 * static_cast<double>(d) * std::log(2 * std::numbers::pi);
    for (int64_t c = 0; c < k; ++c) {
      double log_determinant = 0;
      for (int64_t i = 0; i < d; ++i) {
        double w = 0;
        if (m.type == CovarianceType::kSpherical) w = m.whiten[c];
        if (m.type == CovarianceType::kDiagonal) w = m.whiten[c * d + i];
        if (m.type == CovarianceType::kTied) w = m.whiten[i * d + i];
        if (m.type == CovarianceType::kFull) w = m.whiten[(c * d + i) * d + i];
        log_determinant += std::log(w);
      }
      constants[static_cast<size_t>(c)] = base + log_determinant + m.log_weights[c];
    }
    if (m.type == CovarianceType::kSpherical || m.type == CovarianceType::kDiagonal) {
      scales.assign(static_cast<size_t>(k * d4), 0.0);
      for (int64_t c = 0; c < k; ++c) {
        for (int64_t i = 0; i < d; ++i) {
          scales[static_cast<size_t>(c * d4 + i)] =
              m.type == CovarianceType::kSpherical ? m.whiten[c] : m.whiten[c * d + i];
        }
      }
      return;
    }
    const int64_t count = m.type == CovarianceType::kFull ? k : 1;
    triangles.assign(static_cast<size_t>(count * triangle), 0.0);
    for (int64_t c = 0; c < count; ++c) {
      double* out = triangles.data() + c * triangle;
      for (int64_t row = 0; row < d4; row += 4) {
        for (int64_t j = 0; j < row + 4; ++j) {
          for (int64_t r = row; r < row + 4; ++r, ++out) {
            if (r < d && j <= r) *out = m.whiten[(c * d + r) * d + j];
          }
        }
      }
    }
    if (m.type != CovarianceType::kTied) return;
    // Points are whitened once, about the middle of the means; so are the means.
    centre.assign(static_cast<size_t>(d4), 0.0);
    for (int64_t j = 0; j < d; ++j) {
      for (int64_t c = 0; c < k; ++c) centre[size_t(j)] += m.means[c * d + j];
      centre[size_t(j)] /= static_cast<double>(k);
    }
    scales.assign(static_cast<size_t>(k * d4), 0.0);
    for (int64_t c = 0; c < k; ++c) {
      for (int64_t i = 0; i < d; ++i) {
        double z = 0;
        for (int64_t j = 0; j <= i; ++j)
          z += m.whiten[i * d + j] * (m.means[c * d + j] - centre[size_t(j)]);
        scales[static_cast<size_t>(c * d4 + i)] = z;
      }
    }
  }

  GaussianMixtureView m;
  int64_t d4, triangle;           // triangle: doubles of one packed W
  std::vector<double> means;      // [k,d4]
  std::vector<double> constants;  // [k] log w - d/2 log 2 pi + log det W
  std::vector<double> scales;     // [k,d4] diagonal: W; tied: the whitened means
  std::vector<double> triangles;  // blocks of four rows: for each column the four values
  std::vector<double> centre;     // [d4], tied
};

// Memory of one thread.
struct Work {
  explicit Work(const Packed& p, bool statistics) {
    const int64_t k = p.m.k, d4 = p.d4;
    const bool matrices = !p.triangles.empty();
    const int64_t slots = !statistics || !matrices ? 0 : p.m.type == CovarianceType::kTied ? 1 : k;
    const int64_t pairs = d4 / 4 * (d4 / 4 + 1) / 2;
    lane_sums = slots * pairs * 16 * (kWidest / 8);
    const int64_t total = d4 * kColumn                                                  // x
                          + d4 * kColumn                                                // whitened
                          + d4 * kColumn                                                // group
                          + k * kColumn                                                 // joint
                          + 4 * kColumn                                                 // vectors
                          + (statistics && matrices ? k * (d4 + 1) * kQueueColumn : 0)  // queue
                          + 4 * kQueueColumn                                            // scaled
                          + lane_sums;
    memory = hwy::AllocateAligned<double>(static_cast<size_t>(total));
    std::fill_n(memory.get(), total, 0.0);
    x = memory.get();
    whitened = x + d4 * kColumn;
    group = whitened + d4 * kColumn;
    joint = group + d4 * kColumn;
    log_density = joint + k * kColumn;
    entropy = log_density + kColumn;
    inverse = entropy + kColumn;
    weight = inverse + kColumn;
    queue = weight + kColumn;
    scaled = queue + (statistics && matrices ? k * (d4 + 1) * kQueueColumn : 0);
    sums = scaled + 4 * kQueueColumn;
    waiting.assign(static_cast<size_t>(k), 0);
  }

  int64_t lane_sums;
  hwy::AlignedFreeUniquePtr<double[]> memory;
  double *x, *whitened;                              // [d4,kColumn]
  double* group;                                     // [d4, a group of points]
  double* joint;                                     // [k,kColumn], then responsibilities
  double *log_density, *entropy, *inverse, *weight;  // [kTile]
  double* queue;   // [k,d4+1,kQueueColumn] centred points, and their weighted responsibilities
  double* scaled;  // [4,kQueueColumn]
  double* sums;    // lanes of the scatter, [slot][pair of blocks][16][lanes]
  std::vector<int64_t> waiting;  // [k] points in the queue
};

}  // namespace
}  // namespace covary::compute
#endif

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

HWY_INLINE int64_t lanes() { return static_cast<int64_t>(hn::Lanes(kD)); }

// Rows of points to columns; what lies past `count` repeats the first point.
void transpose(const double* x, int64_t count, int64_t d, double* out) {
  for (int64_t i = 0; i < kTile; ++i) {
    const double* row = x + (i < count ? i : 0) * d;
    for (int64_t j = 0; j < d; ++j) out[j * kColumn + i] = row[j];
  }
}

// |W c|^2 of kGroup vectors of points, c [d4][stride]; whitened to out [d4][kColumn] unless null.
HWY_INLINE void whiten_group(const double* HWY_RESTRICT triangle, int64_t d4,
                             const double* HWY_RESTRICT c, int64_t stride, V* squares,
                             double* out) {
  for (int64_t g = 0; g < kGroup; ++g) squares[g] = hn::Zero(kD);
  for (int64_t row = 0; row < d4; row += 4) {
    V acc[4][kGroup];
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = hn::Zero(kD);
    }
    for (int64_t j = 0; j < row + 4; ++j, triangle += 4) {
      V v[kGroup];
      for (int64_t g = 0; g < kGroup; ++g) v[g] = hn::Load(kD, c + j * stride + g * lanes());
      for (int64_t r = 0; r < 4; ++r) {
        const V w = hn::Set(kD, triangle[r]);
        for (int64_t g = 0; g < kGroup; ++g) acc[r][g] = hn::MulAdd(w, v[g], acc[r][g]);
      }
    }
    for (int64_t r = 0; r < 4; ++r) {
      for (int64_t g = 0; g < kGroup; ++g) {
        squares[g] = hn::MulAdd(acc[r][g], acc[r][g], squares[g]);
        if (out) hn::Store(acc[r][g], kD, out + (row + r) * kColumn + g * lanes());
      }
    }
  }
}

// joint [k,kColumn] of a tile whose columns are in w.x.
void joint_of_tile(const Packed& p, Work& w) {
  const int64_t k = p.m.k, d4 = p.d4, d = p.m.d, stride = kGroup * lanes();
  const V minus_half = hn::Set(kD, -0.5);
  const auto centre_group = [&](const double* mean, int64_t i) HWY_ATTR {
    for (int64_t j = 0; j < d4; ++j) {
      const V m = hn::Set(kD, mean[j]);
      for (int64_t g = 0; g < kGroup; ++g) {
        const V x = hn::Load(kD, w.x + j * kColumn + i + g * lanes());
        hn::Store(hn::Sub(x, m), kD, w.group + j * stride + g * lanes());
      }
    }
  };
  V squares[kGroup];
  if (p.m.type == CovarianceType::kTied) {
    for (int64_t i = 0; i < kTile; i += stride) {
      centre_group(p.centre.data(), i);
      whiten_group(p.triangles.data(), d4, w.group, stride, squares, w.whitened + i);
    }
  }
  for (int64_t c = 0; c < k; ++c) {
    const V constant = hn::Set(kD, p.constants[static_cast<size_t>(c)]);
    const double* mean = p.means.data() + c * d4;
    const double* scale = p.scales.data() + (p.scales.empty() ? 0 : c * d4);
    for (int64_t i = 0; i < kTile; i += stride) {
      if (p.m.type == CovarianceType::kFull) {
        centre_group(mean, i);
        whiten_group(p.triangles.data() + c * p.triangle, d4, w.group, stride, squares, nullptr);
      } else {
        for (int64_t g = 0; g < kGroup; ++g) squares[g] = hn::Zero(kD);
        for (int64_t j = 0; j < d; ++j) {
          const V s = hn::Set(kD, scale[j]), m = hn::Set(kD, mean[j]);
          for (int64_t g = 0; g < kGroup; ++g) {
            const int64_t at = j * kColumn + i + g * lanes();
            const V z = p.m.type == CovarianceType::kTied
                            ? hn::Sub(hn::Load(kD, w.whitened + at), s)
                            : hn::Mul(hn::Sub(hn::Load(kD, w.x + at), m), s);
            squares[g] = hn::MulAdd(z, z, squares[g]);
          }
        }
      }
      for (int64_t g = 0; g < kGroup; ++g) {
        hn::Store(hn::MulAdd(minus_half, squares[g], constant), kD,
                  w.joint + c * kColumn + i + g * lanes());
      }
    }
  }
}

// log_density of a tile from joint; with statistics also entropy, and responsibilities in place of
// joint.
void soften_tile(const Packed& p, Work& w, bool statistics) {
  const int64_t k = p.m.k;
  const V none = hn::Set(kD, kNone), zero = hn::Zero(kD), one = hn::Set(kD, 1.0);
  // exp(t) t is 0 in double long before t is here; without the bound it would be 0 x infinity.
  const V floor = hn::Set(kD, -1000.0);
  for (int64_t i = 0; i < kTile; i += lanes()) {
    V top = none;
    for (int64_t c = 0; c < k; ++c) top = hn::Max(top, hn::Load(kD, w.joint + c * kColumn + i));
    const auto dead = hn::Eq(top, none);
    const V shift = hn::IfThenElse(dead, zero, top);
    V sum = zero, weighted = zero;
    for (int64_t c = 0; c < k; ++c) {
      const V t = hn::Max(hn::Sub(hn::Load(kD, w.joint + c * kColumn + i), shift), floor);
      const V e = hn::Exp(kD, t);
      sum = hn::Add(sum, e);
      if (!statistics) continue;
      weighted = hn::MulAdd(e, t, weighted);
      hn::Store(e, kD, w.joint + c * kColumn + i);
    }
    const V safe = hn::IfThenElse(dead, one, sum);
    const V log_sum = hn::Log(kD, safe);
    hn::Store(hn::IfThenElse(dead, none, hn::Add(shift, log_sum)), kD, w.log_density + i);
    if (!statistics) continue;
    const V inverse = hn::IfThenZeroElse(dead, hn::Div(one, safe));
    hn::Store(hn::NegMulAdd(weighted, inverse, log_sum), kD, w.entropy + i);
    for (int64_t c = 0; c < k; ++c) {
      double* r = w.joint + c * kColumn + i;
      hn::Store(hn::Mul(hn::Load(kD, r), inverse), kD, r);
    }
  }
}

// Adds a component's queue to its scatter's lanes, and to mass and shift.
void flush_queue(const Packed& p, Work& w, int64_t c, MixtureSums& sums) {
  const int64_t count = w.waiting[static_cast<size_t>(c)], d4 = p.d4, d = p.m.d;
  if (count == 0) return;
  w.waiting[static_cast<size_t>(c)] = 0;
  double* q = w.queue + c * (d4 + 1) * kQueueColumn;
  const double* r = q + d4 * kQueueColumn;
  const int64_t n = round_up(count, lanes());
  for (int64_t j = 0; j <= d4; ++j) {
    for (int64_t i = count; i < n; ++i) q[j * kQueueColumn + i] = 0;
  }
  V mass = hn::Zero(kD);
  for (int64_t i = 0; i < n; i += lanes()) mass = hn::Add(mass, hn::Load(kD, r + i));
  sums.mass[static_cast<size_t>(c)] += hn::GetLane(hn::SumOfLanes(kD, mass));
  const int64_t pairs = d4 / 4 * (d4 / 4 + 1) / 2;
  double* lane_sums =
      w.sums + (p.m.type == CovarianceType::kFull ? c * pairs * 16 * (kWidest / 8) : 0);
  for (int64_t row = 0; row < d4; row += 4) {
    for (int64_t a = row; a < row + 4; ++a) {
      V shift = hn::Zero(kD);
      for (int64_t i = 0; i < n; i += lanes()) {
        const V y = hn::Mul(hn::Load(kD, r + i), hn::Load(kD, q + a * kQueueColumn + i));
        hn::Store(y, kD, w.scaled + (a - row) * kQueueColumn + i);
        shift = hn::Add(shift, y);
      }
      if (a < d) {
        sums.shift[static_cast<size_t>(c * d + a)] += hn::GetLane(hn::SumOfLanes(kD, shift));
      }
    }
    for (int64_t column = 0; column <= row; column += 4) {
      const double* HWY_RESTRICT x = q + column * kQueueColumn;
      for (int64_t part = 0; part < 4; part += kRows) {
        const double* HWY_RESTRICT y = w.scaled + part * kQueueColumn;
        double* out = lane_sums + part * 4 * lanes();
        V acc[kRows][4];
        for (int64_t a = 0; a < kRows; ++a) {
          for (int64_t b = 0; b < 4; ++b) acc[a][b] = hn::Load(kD, out + (a * 4 + b) * lanes());
        }
        for (int64_t i = 0; i < n; i += lanes()) {
          V left[kRows], right[4];
          for (int64_t a = 0; a < kRows; ++a) left[a] = hn::Load(kD, y + a * kQueueColumn + i);
          for (int64_t b = 0; b < 4; ++b) right[b] = hn::Load(kD, x + b * kQueueColumn + i);
          for (int64_t a = 0; a < kRows; ++a) {
            for (int64_t b = 0; b < 4; ++b) acc[a][b] = hn::MulAdd(left[a], right[b], acc[a][b]);
          }
        }
        for (int64_t a = 0; a < kRows; ++a) {
          for (int64_t b = 0; b < 4; ++b) hn::Store(acc[a][b], kD, out + (a * 4 + b) * lanes());
        }
      }
      lane_sums += 16 * (kWidest / 8);
    }
  }
}

// The lanes of the scatter to the sums, and back to zero.
void collect_scatter(const Packed& p, Work& w, MixtureSums& sums) {
  const int64_t d = p.m.d, count = p.m.type == CovarianceType::kFull ? p.m.k : 1;
  double* lane_sums = w.sums;
  for (int64_t c = 0; c < count; ++c) {
    double* scatter = sums.scatter.data() + c * d * d;
    for (int64_t row = 0; row < p.d4; row += 4) {
      for (int64_t column = 0; column <= row; column += 4, lane_sums += 16 * (kWidest / 8)) {
        for (int64_t a = 0; a < 4; ++a) {
          for (int64_t b = 0; b < 4; ++b) {
            if (row + a >= d || column + b > row + a) continue;
            const V v = hn::Load(kD, lane_sums + (a * 4 + b) * lanes());
            scatter[(row + a) * d + column + b] += hn::GetLane(hn::SumOfLanes(kD, v));
          }
        }
      }
    }
  }
  std::fill_n(w.sums, w.lane_sums, 0.0);
}

// Puts the tile's points that a component is responsible for into its queue.
void enqueue_tile(const Packed& p, Work& w, MixtureSums& sums) {
  const int64_t d4 = p.d4;
  const V negligible = hn::Set(kD, kNegligible);
  for (int64_t c = 0; c < p.m.k; ++c) {
    int64_t& waiting = w.waiting[static_cast<size_t>(c)];
    double* q = w.queue + c * (d4 + 1) * kQueueColumn;
    const double* mean = p.means.data() + c * d4;
    for (int64_t i = 0; i < kTile; i += lanes()) {
      const V r = hn::Load(kD, w.joint + c * kColumn + i);
      const V u = hn::Load(kD, w.weight + i);
      const auto taken = hn::And(hn::Ge(r, negligible), hn::Gt(u, hn::Zero(kD)));
      const int64_t count = static_cast<int64_t>(hn::CountTrue(kD, taken));
      if (count == 0) continue;
      if (waiting + lanes() > kQueue) flush_queue(p, w, c, sums);
      double* out = q + waiting;
      if (count == lanes()) {
        for (int64_t j = 0; j < d4; ++j) {
          const V x = hn::Load(kD, w.x + j * kColumn + i);
          hn::StoreU(hn::Sub(x, hn::Set(kD, mean[j])), kD, out + j * kQueueColumn);
        }
        hn::StoreU(hn::Mul(r, u), kD, out + d4 * kQueueColumn);
      } else {
        for (int64_t j = 0; j < d4; ++j) {
          const V x = hn::Sub(hn::Load(kD, w.x + j * kColumn + i), hn::Set(kD, mean[j]));
          hn::StoreU(hn::Compress(x, taken), kD, out + j * kQueueColumn);
        }
        hn::StoreU(hn::Compress(hn::Mul(r, u), taken), kD, out + d4 * kQueueColumn);
      }
      waiting += count;
    }
  }
}

// Spherical and diagonal sums of a tile: no queue is worth its copy.
void add_diagonal_tile(const Packed& p, Work& w, MixtureSums& sums) {
  const int64_t d = p.m.d;
  const V negligible = hn::Set(kD, kNegligible);
  for (int64_t c = 0; c < p.m.k; ++c) {
    double* r = w.joint + c * kColumn;
    V mass = hn::Zero(kD);
    for (int64_t i = 0; i < kTile; i += lanes()) {
      const V v = hn::Load(kD, r + i);
      const V u = hn::Mul(hn::IfThenElseZero(hn::Ge(v, negligible), v), hn::Load(kD, w.weight + i));
      hn::Store(u, kD, r + i);
      mass = hn::Add(mass, u);
    }
    const double total = hn::GetLane(hn::SumOfLanes(kD, mass));
    if (total == 0) continue;
    sums.mass[static_cast<size_t>(c)] += total;
    for (int64_t j = 0; j < d; ++j) {
      const V mean = hn::Set(kD, p.means[static_cast<size_t>(c * p.d4 + j)]);
      V shift[2] = {hn::Zero(kD), hn::Zero(kD)}, square[2] = {hn::Zero(kD), hn::Zero(kD)};
      for (int64_t i = 0; i < kTile; i += 2 * lanes()) {
        for (int64_t g = 0; g < 2; ++g) {
          const V x = hn::Sub(hn::Load(kD, w.x + j * kColumn + i + g * lanes()), mean);
          const V y = hn::Mul(hn::Load(kD, r + i + g * lanes()), x);
          shift[g] = hn::Add(shift[g], y);
          square[g] = hn::MulAdd(y, x, square[g]);
        }
      }
      sums.shift[static_cast<size_t>(c * d + j)] +=
          hn::GetLane(hn::SumOfLanes(kD, hn::Add(shift[0], shift[1])));
      const int64_t at = p.m.type == CovarianceType::kSpherical ? c : c * d + j;
      sums.scatter[static_cast<size_t>(at)] +=
          hn::GetLane(hn::SumOfLanes(kD, hn::Add(square[0], square[1])));
    }
  }
}

// A block of at most kReductionBlock rows into sums that are clear.
void accumulate_block(const Packed& p, const double* x, const double* weights, int64_t n, Work& w,
                      MixtureSums& sums) {
  const bool matrices = !p.triangles.empty();
  for (int64_t from = 0; from < n; from += kTile) {
    const int64_t count = std::min(kTile, n - from);
    transpose(x + from * p.m.d, count, p.m.d, w.x);
    for (int64_t i = 0; i < kTile; ++i) {
      w.weight[i] = i >= count ? 0.0 : weights ? weights[from + i] : 1.0;
    }
    joint_of_tile(p, w);
    soften_tile(p, w, true);
    for (int64_t i = 0; i < count; ++i) {
      const double u = w.weight[i];
      if (u == 0) continue;
      sums.weight += u;
      sums.log_likelihood += u * w.log_density[i];
      sums.entropy += u * w.entropy[i];
      if (w.log_density[i] < sums.lowest) {
        sums.lowest = w.log_density[i];
        sums.lowest_row = from + i;
      }
    }
    if (matrices) {
      enqueue_tile(p, w, sums);
    } else {
      add_diagonal_tile(p, w, sums);
    }
  }
  sums.rows = static_cast<double>(n);
  if (!matrices) return;
  for (int64_t c = 0; c < p.m.k; ++c) flush_queue(p, w, c, sums);
  collect_scatter(p, w, sums);
}

// Scores of at most kTile rows; `out` is of the first of them.
void score_tile(const Packed& p, const double* x, int64_t n, Work& w, const MixtureScores& out) {
  const int64_t k = p.m.k;
  transpose(x, n, p.m.d, w.x);
  joint_of_tile(p, w);
  for (int64_t i = 0; i < n && (out.joint || out.labels); ++i) {
    int64_t best = 0;
    for (int64_t c = 0; c < k; ++c) {
      const double j = w.joint[c * kColumn + i];
      if (out.joint) out.joint[i * k + c] = j;
      if (j > w.joint[best * kColumn + i]) best = c;
    }
    if (out.labels) out.labels[i] = best;
  }
  if (!out.log_density && !out.responsibilities) return;
  soften_tile(p, w, out.responsibilities != nullptr);
  if (out.log_density) std::copy_n(w.log_density, n, out.log_density);
  if (!out.responsibilities) return;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t c = 0; c < k; ++c) out.responsibilities[i * k + c] = w.joint[c * kColumn + i];
  }
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace covary::compute
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace covary::compute {

HWY_EXPORT(accumulate_block);
HWY_EXPORT(score_tile);

namespace {

// Blocks whose sums are held at once: enough to keep threads busy, however many rows there are.
constexpr int64_t kWave = 16;

class Workers {
 public:
  Workers(const Packed& p, bool statistics) : p_(p), statistics_(statistics) {
    works_.resize(static_cast<size_t>(threads()));
  }
  Work& of(int worker) {
    auto& w = works_[static_cast<size_t>(worker)];
    if (!w) w = std::make_unique<Work>(p_, statistics_);
    return *w;
  }

 private:
  const Packed& p_;
  bool statistics_;
  std::vector<std::unique_ptr<Work>> works_;
};

}  // namespace

void mixture_scores(const GaussianMixtureView& m, const double* x, int64_t n,
                    const MixtureScores& out) {
  const Packed p(m);
  Workers workers(p, false);
  parallel_tasks((n + kTile - 1) / kTile, [&](int64_t tile, int worker) {
    const int64_t from = tile * kTile;
    const auto at = [&](auto* values, int64_t width) {
      return values ? values + from * width : nullptr;
    };
    HWY_DYNAMIC_DISPATCH(score_tile)
    (p, x + from * m.d, std::min(kTile, n - from), workers.of(worker),
     {at(out.log_density, 1), at(out.responsibilities, m.k), at(out.joint, m.k),
      at(out.labels, 1)});
  });
}

void accumulate_mixture(const GaussianMixtureView& m, const double* x, const double* weights,
                        int64_t n, MixtureSums& sums) {
  const Packed p(m);
  Workers workers(p, true);
  const int64_t blocks = (n + kReductionBlock - 1) / kReductionBlock;
  std::vector<MixtureSums> wave(static_cast<size_t>(std::min(blocks, kWave)),
                                MixtureSums(m.type, m.k, m.d));
  for (int64_t first = 0; first < blocks; first += kWave) {
    const int64_t count = std::min(kWave, blocks - first);
    parallel_tasks(count, [&](int64_t i, int worker) {
      const int64_t from = (first + i) * kReductionBlock;
      MixtureSums& part = wave[static_cast<size_t>(i)];
      part.clear();
      HWY_DYNAMIC_DISPATCH(accumulate_block)
      (p, x + from * m.d, weights ? weights + from : nullptr, std::min(kReductionBlock, n - from),
       workers.of(worker), part);
    });
    for (int64_t i = 0; i < count; ++i) sums.add(wave[static_cast<size_t>(i)]);
  }
}

}  // namespace covary::compute
#endif
