#include "covary/core/linalg/cluster/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <numeric>
#include <string>
#include <type_traits>

#include "covary/core/base/error.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/cluster/kmeans_kernel.h"
#include "covary/core/linalg/cluster/kmeans_search.h"
#include "covary/core/linalg/cluster/kmeans_tiles.h"

namespace covary::linalg {
namespace {

constexpr int64_t kWave = 16;  // blocks whose sums are held at once

template <class T>
std::vector<T> zeros(int64_t n) {
  return std::vector<T>(static_cast<size_t>(n), T(0));
}

int64_t blocks_of(int64_t n, int64_t block) { return (n + block - 1) / block; }

template <class T>
void check_points(const T* x, const T* weights, int64_t n, int64_t d) {
  if (n < 1 || d < 1)
    throw Error(ExitCode::kData, "there is no point", "k-means",
                "give at least one row and column");
  std::vector<int64_t> bad(static_cast<size_t>(blocks_of(n, kReductionBlock)), -1);
  parallel_tasks(static_cast<int64_t>(bad.size()), [&](int64_t b) {
    const int64_t end = std::min(n, (b + 1) * kReductionBlock);
    for (int64_t i = b * kReductionBlock * d; i < end * d && bad[size_t(b)] < 0; ++i) {
      if (!std::isfinite(x[i])) bad[static_cast<size_t>(b)] = i;
    }
  });
  for (const int64_t i : bad) {
    if (i < 0) continue;
    throw Error(ExitCode::kData, "a value is missing or not finite",
                "row " + std::to_string(i / d) + ", column " + std::to_string(i % d),
                "drop or fill such rows before clustering");
  }
  if (!weights) return;
  double total = 0;
  for (int64_t i = 0; i < n; ++i) {
    if (!(weights[i] >= 0) || !std::isfinite(weights[i]))
      throw Error(ExitCode::kData, "the weight is negative or not finite",
                  "row " + std::to_string(i));
    total += static_cast<double>(weights[i]);
  }
  if (!(total > 0)) throw Error(ExitCode::kData, "all weights are 0", "weights");
}

// Weighted mean and summed variance of the columns.
struct Spread {
  std::vector<double> mean;
  double variance = 0;  // sum over columns
  double weight = 0;
};

template <class T>
Spread spread_of(const T* x, const T* weights, int64_t n, int64_t d) {
  // Two passes: the second about the mean of the first.
  Spread s;
  s.mean = zeros<double>(d);
  for (const bool squares : {false, true}) {
    const int64_t blocks = blocks_of(n, kReductionBlock);
    std::vector<std::vector<double>> part(static_cast<size_t>(blocks));
    parallel_tasks(blocks, [&](int64_t b) {
      std::vector<double> sum = zeros<double>(d + 1);
      const int64_t end = std::min(n, (b + 1) * kReductionBlock);
      for (int64_t i = b * kReductionBlock; i < end; ++i) {
        const double w = weights ? static_cast<double>(weights[i]) : 1.0;
        sum[static_cast<size_t>(d)] += w;
        for (int64_t j = 0; j < d; ++j) {
          const double v = static_cast<double>(x[i * d + j]) - s.mean[static_cast<size_t>(j)];
          sum[static_cast<size_t>(j)] += squares ? w * v * v : w * v;
        }
      }
      part[static_cast<size_t>(b)] = std::move(sum);
    });
    std::vector<double> sum = zeros<double>(d + 1);
    for (const auto& p : part) {
      for (size_t j = 0; j < p.size(); ++j) sum[j] += p[j];
    }
    s.weight = sum.back();
    for (int64_t j = 0; j < d; ++j) {
      const double v = sum[static_cast<size_t>(j)] / s.weight;
      if (squares)
        s.variance += v;
      else
        s.mean[static_cast<size_t>(j)] = v;
    }
  }
  return s;
}

template <class T>
double squared_distance(const T* a, const T* b, int64_t d) {
  double s = 0;
  for (int64_t j = 0; j < d; ++j) {
    const double v = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    s += v * v;
  }
  return s;
}

// Sums [k,d] and masses [k] of the clusters, about the origin, in a fixed order.
template <class T>
void cluster_sums(const T* x, const T* weights, const T* origin, const int32_t* labels, int64_t n,
                  int64_t d, int64_t k, std::vector<double>& sums, std::vector<double>& mass) {
  // Blocks long enough that adding up their sums costs little.
  const int64_t block = kReductionBlock * std::max<int64_t>(1, 4 * k / kReductionBlock);
  const int64_t blocks = blocks_of(n, block), wave = std::min(blocks, kWave);
  std::vector<double> part(static_cast<size_t>(wave * k * (d + 1)));
  std::fill(sums.begin(), sums.end(), 0.0);
  std::fill(mass.begin(), mass.end(), 0.0);
  for (int64_t first = 0; first < blocks; first += wave) {
    const int64_t count = std::min(wave, blocks - first);
    std::fill(part.begin(), part.end(), 0.0);
    parallel_tasks(count, [&](int64_t i) {
      double* own = part.data() + i * k * (d + 1);
      const int64_t begin = (first + i) * block;
      add_to_centres(x, weights, origin, labels, begin, std::min(n, begin + block), d, own,
                     own + k * d);
    });
    for (int64_t i = 0; i < count; ++i) {
      const double* own = part.data() + i * k * (d + 1);
      for (int64_t e = 0; e < k * d; ++e) sums[static_cast<size_t>(e)] += own[e];
      for (int64_t c = 0; c < k; ++c) mass[static_cast<size_t>(c)] += own[k * d + c];
    }
  }
}

template <class T>
CentreBounds bounds_of(const KMeansOptions& o, int64_t n) {
  if (o.bounds == "none") return CentreBounds::kNone;
  if (o.bounds == "hamerly") return CentreBounds::kHamerly;
  if (o.bounds == "yinyang") return CentreBounds::kYinyang;
  if (o.bounds == "auto")
    return o.clusters < 20 * kCentreGroup ? CentreBounds::kHamerly : CentreBounds::kYinyang;
  const double bytes = static_cast<double>(n) * static_cast<double>(o.clusters) * sizeof(T);
  if (bytes > 0.5 * static_cast<double>(total_memory_bytes()))
    throw Error(ExitCode::kFailed,
                "a bound for each pair of row and centre takes " +
                    std::to_string(static_cast<int64_t>(bytes / 1e9)) + " GB",
                "bounds",
                "take yinyang, which keeps one for " + std::to_string(kCentreGroup) + " centres");
  return CentreBounds::kElkan;
}

// One run of Lloyd's sweeps. Centres are kept less the origin.
template <class T>
class Lloyd {
 public:
  Lloyd(const T* x, const T* weights, int64_t n, int64_t d, const KMeansOptions& options,
        const Spread& spread, std::vector<T> centres)
      : x_(x),
        weights_(weights),
        n_(n),
        d_(d),
        k_(options.clusters),
        options_(options),
        spread_(spread),
        origin_(zeros<T>(d)),
        centres_(std::move(centres)),
        labels_(static_cast<size_t>(n), 0),
        sums_(zeros<double>(k_ * d)),
        mass_(zeros<double>(k_)),
        search_(x, n, d, origin_.data(), k_, bounds_of<T>(options, n), options.bounds == "auto") {
    for (int64_t j = 0; j < d_; ++j) {
      origin_[static_cast<size_t>(j)] = static_cast<T>(spread.mean[static_cast<size_t>(j)]);
    }
    for (int64_t i = 0; i < k_ * d_; ++i) {
      centres_[static_cast<size_t>(i)] -= origin_[static_cast<size_t>(i % d_)];
    }
    // sum w |x|^2 about the origin: the cost of a partition is this less sum |S|^2 / mass.
    double shift = 0;
    for (int64_t j = 0; j < d_; ++j) {
      const double v = spread.mean[static_cast<size_t>(j)] -
                       static_cast<double>(origin_[static_cast<size_t>(j)]);
      shift += v * v;
    }
    total_ = spread.weight * (spread.variance + shift);
  }

  KMeansResult<T> run() {
    KMeansResult<T> r;
    for (; r.sweeps < options_.sweeps && !r.converged; ++r.sweeps) {
      const int64_t changed = search_.assign(centres_, labels_);
      r.reseeded += update();
      r.trace.push_back(partition_cost());
      const double limit = options_.tolerance * spread_.variance / static_cast<double>(d_);
      r.converged = changed == 0 || (options_.tolerance > 0 && moved_ <= limit);
    }
    r.centres = centres_;
    for (int64_t i = 0; i < k_ * d_; ++i) {
      r.centres[static_cast<size_t>(i)] += origin_[static_cast<size_t>(i % d_)];
    }
    // Labels and cost of the centres that are returned.
    if (r.sweeps == 0 || moved_ > 0) search_.assign(centres_, labels_);
    r.labels = std::move(labels_);
    r.cost = ordered_sum(n_, [&](int64_t i) {
      const int64_t c = r.labels[static_cast<size_t>(i)];
      const double w = weights_ ? static_cast<double>(weights_[i]) : 1.0;
      return w * squared_distance(x_ + i * d_, r.centres.data() + c * d_, d_);
    });
    std::vector<bool> used(static_cast<size_t>(k_), false);
    for (const int32_t c : r.labels) used[static_cast<size_t>(c)] = true;
    r.empty = std::count(used.begin(), used.end(), false);
    return r;
  }

 private:
  // Centres to the means of their points; how many empty clusters were given one.
  int64_t update() {
    cluster_sums(x_, weights_, origin_.data(), labels_.data(), n_, d_, k_, sums_, mass_);
    const int64_t reseeded = fill_empty();
    std::vector<T> moves(static_cast<size_t>(k_), T(0));
    moved_ = 0;
    for (int64_t c = 0; c < k_; ++c) {
      const double mass = mass_[static_cast<size_t>(c)];
      if (!(mass > 0)) continue;
      double move = 0;
      for (int64_t j = 0; j < d_; ++j) {
        const size_t at = static_cast<size_t>(c * d_ + j);
        const T to = static_cast<T>(sums_[at] / mass);
        const double step = static_cast<double>(to) - static_cast<double>(centres_[at]);
        move += step * step;
        centres_[at] = to;
      }
      moved_ += move;
      moves[static_cast<size_t>(c)] =
          static_cast<T>(std::sqrt(move) * (1 + 2 * std::numeric_limits<T>::epsilon()));
    }
    search_.moved(moves);
    return reseeded;
  }

  // Gives each empty cluster the point farthest from its own centre; its sums follow.
  int64_t fill_empty() {
    int64_t filled = 0;
    for (int64_t c = 0; c < k_; ++c) {
      if (mass_[static_cast<size_t>(c)] > 0) continue;
      int64_t farthest = -1;
      double most = 0;
      for (int64_t i = 0; i < n_; ++i) {
        const int64_t own = labels_[static_cast<size_t>(i)];
        const double mass = mass_[static_cast<size_t>(own)];
        const double w = weights_ ? static_cast<double>(weights_[i]) : 1.0;
        if (w == 0 || !(mass > w)) continue;  // the last point of a cluster stays
        double s = 0;
        for (int64_t j = 0; j < d_; ++j) {
          const double v = static_cast<double>(x_[i * d_ + j]) -
                           static_cast<double>(origin_[static_cast<size_t>(j)]) -
                           sums_[static_cast<size_t>(own * d_ + j)] / mass;
          s += v * v;
        }
        if (s > most) most = s, farthest = i;
      }
      if (farthest < 0) break;
      const int64_t own = labels_[static_cast<size_t>(farthest)];
      const double w = weights_ ? static_cast<double>(weights_[farthest]) : 1.0;
      for (int64_t j = 0; j < d_; ++j) {
        const double v = w * (static_cast<double>(x_[farthest * d_ + j]) -
                              static_cast<double>(origin_[static_cast<size_t>(j)]));
        sums_[static_cast<size_t>(own * d_ + j)] -= v;
        sums_[static_cast<size_t>(c * d_ + j)] = v;
      }
      mass_[static_cast<size_t>(own)] -= w;
      mass_[static_cast<size_t>(c)] = w;
      labels_[static_cast<size_t>(farthest)] = static_cast<int32_t>(c);
      search_.forget(farthest);  // before its centre moves there
      ++filled;
    }
    return filled;
  }

  double partition_cost() const {
    double between = 0;
    for (int64_t c = 0; c < k_; ++c) {
      const double mass = mass_[static_cast<size_t>(c)];
      if (!(mass > 0)) continue;
      double s = 0;
      for (int64_t j = 0; j < d_; ++j) {
        const double v = sums_[static_cast<size_t>(c * d_ + j)];
        s += v * v;
      }
      between += s / mass;
    }
    return std::max(0.0, total_ - between);
  }

  const T* x_;
  const T* weights_;
  int64_t n_, d_, k_;
  const KMeansOptions& options_;
  const Spread& spread_;
  std::vector<T> origin_, centres_;
  std::vector<int32_t> labels_;
  std::vector<double> sums_, mass_;
  CentreSearch<T> search_;
  double total_ = 0, moved_ = 0;
};

// k-means++ on the rows named by ids (null = all).
template <class T>
std::vector<T> seed_centres(const T* x, const T* weights, const int64_t* ids, int64_t n, int64_t d,
                            int64_t k, int64_t trials, uint64_t seed, uint64_t start) {
  if (trials == 0) trials = 2 + static_cast<int64_t>(std::log(static_cast<double>(k)));
  const int64_t tiles = blocks_of(n, kClusterTile), tile_size = d * kClusterTile;
  const std::vector<T> origin = zeros<T>(d);
  std::vector<T> columns(static_cast<size_t>(tiles * tile_size));
  std::vector<T> weight = zeros<T>(tiles * kClusterTile), nearest(weight.size());
  std::fill(nearest.begin(), nearest.end(), std::numeric_limits<T>::max());
  const auto row = [&](int64_t i) { return x + (ids ? ids[i] : i) * d; };
  parallel_tasks(tiles, [&](int64_t t) {
    T norms[kClusterTile];
    const int64_t from = t * kClusterTile, count = std::min(kClusterTile, n - from);
    load_tile(x, d, origin.data(), ids ? ids + from : nullptr, from, count,
              columns.data() + t * tile_size, norms);
    for (int64_t i = from; i < from + count; ++i) {
      weight[static_cast<size_t>(i)] = weights ? weights[ids ? ids[i] : i] : T(1);
    }
  });
  std::vector<double> potential(static_cast<size_t>(tiles * trials));
  const auto potentials = [&](const std::vector<T>& candidates, int64_t m, bool keep) {
    std::fill(potential.begin(), potential.end(), 0.0);
    parallel_for(tiles, 4, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        potential_of_tile(columns.data() + t * tile_size, d, weight.data() + t * kClusterTile,
                          candidates.data(), m, keep, nearest.data() + t * kClusterTile,
                          potential.data() + t * trials);
      }
    });
  };
  const Random random(seed, stream_of("kmeans.init", start));
  uint64_t draw = 0;
  // The row at which the running sum of weight times value passes a share of the total.
  const auto pick = [&](const auto& value, const std::vector<double>& by_tile, double total) {
    double left = random.uniform(draw++) * total;
    int64_t t = 0;
    while (t + 1 < tiles && left >= by_tile[static_cast<size_t>(t)]) {
      left -= by_tile[static_cast<size_t>(t++)];
    }
    int64_t last = std::min(t * kClusterTile, n - 1);
    for (int64_t i = t * kClusterTile; i < std::min(n, (t + 1) * kClusterTile); ++i) {
      const double v = value(i);
      if (!(v > 0)) continue;
      last = i;
      left -= v;
      if (left < 0) break;
    }
    return last;
  };
  const auto tile_sums = [&](const auto& value) {
    std::vector<double> sums(static_cast<size_t>(tiles), 0.0);
    parallel_for(tiles, 16, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        for (int64_t i = t * kClusterTile; i < std::min(n, (t + 1) * kClusterTile); ++i) {
          sums[static_cast<size_t>(t)] += value(i);
        }
      }
    });
    return sums;
  };
  const auto by_weight = [&](int64_t i) {
    return static_cast<double>(weight[static_cast<size_t>(i)]);
  };
  const auto by_distance = [&](int64_t i) {
    return static_cast<double>(weight[static_cast<size_t>(i)]) *
           static_cast<double>(nearest[static_cast<size_t>(i)]);
  };
  std::vector<T> centres(static_cast<size_t>(k * d));
  const auto take = [&](int64_t c, int64_t i) {
    const std::vector<T> point(row(i), row(i) + d);
    std::copy(point.begin(), point.end(), centres.begin() + c * d);
    potentials(point, 1, true);
  };
  std::vector<double> sums = tile_sums(by_weight);
  take(0, pick(by_weight, sums, std::accumulate(sums.begin(), sums.end(), 0.0)));
  for (int64_t c = 1; c < k; ++c) {
    sums = tile_sums(by_distance);
    const double total = std::accumulate(sums.begin(), sums.end(), 0.0);
    if (!(total > 0)) {
      // Fewer distinct points than clusters: any row is as good as another.
      take(c, static_cast<int64_t>(random.below(static_cast<uint64_t>(n), draw++)));
      continue;
    }
    std::vector<T> candidates(static_cast<size_t>(trials * d));
    std::vector<int64_t> rows(static_cast<size_t>(trials));
    for (int64_t a = 0; a < trials; ++a) {
      rows[static_cast<size_t>(a)] = pick(by_distance, sums, total);
      std::copy_n(row(rows[static_cast<size_t>(a)]), d, candidates.begin() + a * d);
    }
    potentials(candidates, trials, false);
    int64_t best = 0;
    double least = std::numeric_limits<double>::infinity();
    for (int64_t a = 0; a < trials; ++a) {
      double p = 0;
      for (int64_t t = 0; t < tiles; ++t) p += potential[static_cast<size_t>(t * trials + a)];
      if (p < least) least = p, best = a;
    }
    take(c, rows[static_cast<size_t>(best)]);
  }
  return centres;
}

// k-means|| over all rows. Cost: about 10 n k d multiply-adds, memory 20 bytes a row.
template <class T>
std::vector<T> parallel_centres(const T* x, const T* weights, int64_t n, int64_t d, int64_t k,
                                int64_t trials, uint64_t seed, uint64_t start) {
  constexpr int kRounds = 5;
  const double wanted = 2.0 * static_cast<double>(k);
  const auto weight = [&](int64_t i) { return weights ? static_cast<double>(weights[i]) : 1.0; };
  const Random random(seed, stream_of("kmeans.parallel", start));
  // The first by weight.
  double left = random.uniform(0) * ordered_sum(n, weight);
  int64_t first = 0;
  for (int64_t i = 0; i < n && left >= 0; ++i) {
    if (!(weight(i) > 0)) continue;
    first = i;
    left -= weight(i);
  }
  std::vector<T> taken(x + first * d, x + (first + 1) * d);
  std::vector<int32_t> owner(static_cast<size_t>(n)), label(owner.size());
  std::vector<double> nearest(owner.size(), std::numeric_limits<double>::infinity());
  std::vector<double> square(owner.size());
  int64_t known = 0;
  const auto look = [&] {
    const int64_t count = static_cast<int64_t>(taken.size()) / d - known;
    if (count == 0) return;
    nearest_centres(x, n, d, taken.data() + known * d, count, label.data(), square.data());
    parallel_for(n, 4096, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const size_t at = static_cast<size_t>(i);
        if (!(square[at] < nearest[at])) continue;
        nearest[at] = square[at];
        owner[at] = static_cast<int32_t>(known) + label[at];
      }
    });
    known += count;
  };
  look();
  for (int round = 0; round < kRounds; ++round) {
    const double cost =
        ordered_sum(n, [&](int64_t i) { return weight(i) * nearest[static_cast<size_t>(i)]; });
    if (!(cost > 0)) break;
    // Each row by its own number, so that the order of rows and threads does not matter.
    for (int64_t i = 0; i < n; ++i) {
      const double chance = wanted * weight(i) * nearest[static_cast<size_t>(i)] / cost;
      const uint64_t draw = static_cast<uint64_t>(1 + round * n + i);
      if (chance > 0 && random.uniform(draw) < chance)
        taken.insert(taken.end(), x + i * d, x + (i + 1) * d);
    }
    look();
  }
  // Few distinct rows: as k-means++ on all has it.
  if (known < k)
    return seed_centres(x, weights, static_cast<const int64_t*>(nullptr), n, d, k, trials, seed,
                        start);
  std::vector<double> mass(static_cast<size_t>(known), 0.0);
  for (int64_t i = 0; i < n; ++i)
    mass[static_cast<size_t>(owner[static_cast<size_t>(i)])] += weight(i);
  const std::vector<T> masses(mass.begin(), mass.end());
  return seed_centres(taken.data(), masses.data(), static_cast<const int64_t*>(nullptr), known, d,
                      k, trials, seed, start);
}

template <class T>
std::vector<T> first_centres(const T* x, const T* weights, int64_t n, int64_t d,
                             const KMeansOptions& o, uint64_t start) {
  const Random random(static_cast<uint64_t>(o.seed), stream_of("kmeans.rows", start));
  if (o.init == "k-means||")
    return parallel_centres(x, weights, n, d, o.clusters, o.trials, static_cast<uint64_t>(o.seed),
                            start);
  std::vector<int64_t> ids;
  const bool plus = o.init == "k-means++";
  const int64_t wanted = plus ? o.init_rows_per_cluster * o.clusters : o.clusters;
  if (wanted > 0 && wanted < n) {
    // One row of each of `wanted` equal stretches: distinct, in order, and cheap.
    for (int64_t s = 0; s < wanted; ++s) {
      const int64_t begin = s * n / wanted, end = (s + 1) * n / wanted;
      ids.push_back(begin + static_cast<int64_t>(random.below(static_cast<uint64_t>(end - begin),
                                                              static_cast<uint64_t>(s))));
    }
    double mass = 0;
    for (const int64_t i : ids) mass += weights ? static_cast<double>(weights[i]) : 1.0;
    if (plus && !(mass > 0)) ids.clear();
  }
  if (plus) {
    return seed_centres(x, weights, ids.empty() ? nullptr : ids.data(),
                        ids.empty() ? n : static_cast<int64_t>(ids.size()), d, o.clusters, o.trials,
                        static_cast<uint64_t>(o.seed), start);
  }
  std::vector<T> centres;
  for (int64_t c = 0; c < o.clusters; ++c) {
    const T* row = x + (ids.empty() ? c : ids[static_cast<size_t>(c)]) * d;
    centres.insert(centres.end(), row, row + d);
  }
  return centres;
}

template <class T>
KMeansResult<T> mini_batches(const T* x, const T* weights, int64_t n, int64_t d,
                             const KMeansOptions& o, std::vector<T> centres, uint64_t start) {
  const Random random(static_cast<uint64_t>(o.seed), stream_of("kmeans.batch", start));
  std::vector<double> position(centres.begin(), centres.end()), mass = zeros<double>(o.clusters);
  std::vector<T> batch(static_cast<size_t>(o.batch * d));
  std::vector<int64_t> ids(static_cast<size_t>(o.batch));
  std::vector<int32_t> labels(static_cast<size_t>(o.batch));
  KMeansResult<T> r;
  for (; r.sweeps < o.sweeps; ++r.sweeps) {
    for (int64_t i = 0; i < o.batch; ++i) {
      ids[static_cast<size_t>(i)] = static_cast<int64_t>(
          random.below(static_cast<uint64_t>(n), static_cast<uint64_t>(r.sweeps * o.batch + i)));
      std::copy_n(x + ids[static_cast<size_t>(i)] * d, d, batch.begin() + i * d);
    }
    nearest_centres(batch.data(), o.batch, d, centres.data(), o.clusters, labels.data());
    for (int64_t i = 0; i < o.batch; ++i) {
      const double w = weights ? static_cast<double>(weights[ids[static_cast<size_t>(i)]]) : 1.0;
      const size_t c = static_cast<size_t>(labels[static_cast<size_t>(i)]);
      if (w == 0) continue;
      mass[c] += w;
      for (int64_t j = 0; j < d; ++j) {
        double& p = position[c * static_cast<size_t>(d) + static_cast<size_t>(j)];
        p += w / mass[c] * (static_cast<double>(batch[static_cast<size_t>(i * d + j)]) - p);
      }
    }
    for (size_t e = 0; e < position.size(); ++e) centres[e] = static_cast<T>(position[e]);
  }
  r.centres = std::move(centres);
  r.labels.resize(static_cast<size_t>(n));
  std::vector<double> squares(static_cast<size_t>(n));
  nearest_centres(x, n, d, r.centres.data(), o.clusters, r.labels.data(), squares.data());
  r.cost = ordered_sum(n, [&](int64_t i) {
    return (weights ? static_cast<double>(weights[i]) : 1.0) * squares[static_cast<size_t>(i)];
  });
  std::vector<bool> used(static_cast<size_t>(o.clusters), false);
  for (const int32_t c : r.labels) used[static_cast<size_t>(c)] = true;
  r.empty = std::count(used.begin(), used.end(), false);
  return r;
}

}  // namespace

template <class T>
KMeansResult<T> kmeans(const T* x, const T* weights, int64_t n, int64_t d,
                       const KMeansOptions& options, const T* start) {
  options.check();
  check_points(x, weights, n, d);
  if (n < options.clusters)
    throw Error(
        ExitCode::kData,
        std::to_string(n) + " rows cannot make " + std::to_string(options.clusters) + " clusters",
        "clusters", "ask for at most as many clusters as there are rows");
  const Spread spread = spread_of(x, weights, n, d);
  if (!std::isfinite(spread.variance) ||
      spread.variance > static_cast<double>(std::numeric_limits<T>::max()) / 4)
    throw Error(ExitCode::kData, "squares of the values overflow", "k-means",
                "scale the columns down");
  KMeansResult<T> best;
  for (int64_t s = 0; s < options.starts; ++s) {
    std::vector<T> centres = start ? std::vector<T>(start, start + options.clusters * d)
                                   : first_centres(x, weights, n, d, options, uint64_t(s));
    KMeansResult<T> r =
        options.batch > 0 ? mini_batches(x, weights, n, d, options, std::move(centres), uint64_t(s))
                          : Lloyd<T>(x, weights, n, d, options, spread, std::move(centres)).run();
    if (s == 0 || r.cost < best.cost) best = std::move(r);
    if (start && options.batch == 0) break;  // the same again
  }
  return best;
}

template <class T>
std::vector<T> kmeans_plus_plus(const T* x, const T* weights, int64_t n, int64_t d, int64_t k,
                                int64_t trials, int64_t seed) {
  check_points(x, weights, n, d);
  return seed_centres(x, weights, static_cast<const int64_t*>(nullptr), n, d, k, trials,
                      static_cast<uint64_t>(seed), 0);
}

template <class T>
void nearest_centres(const T* x, int64_t n, int64_t d, const T* centres, int64_t k, int32_t* labels,
                     double* squared_distances) {
  // Coordinates are taken from the first centre, which costs no pass over the points.
  const std::vector<T> origin(centres, centres + d);
  std::vector<T> moved(centres, centres + k * d);
  for (int64_t i = 0; i < k * d; ++i) moved[static_cast<size_t>(i)] -= origin[size_t(i % d)];
  const PackedCentres<T> packed(moved.data(), k, d);
  EachWorker<ClusterTile<T>> tiles;
  parallel_tasks(blocks_of(n, kClusterTile), [&](int64_t b, int worker) {
    ClusterTile<T>& tile = tiles.of(worker, d);
    const int64_t from = b * kClusterTile, count = std::min(kClusterTile, n - from);
    load_tile<T>(x, d, origin.data(), nullptr, from, count, tile.columns.data(), tile.norms.data());
    nearest_in_tile<T>(packed, tile.columns.data(), count, tile.best.data(), nullptr,
                       tile.label.data());
    for (int64_t i = 0; i < count; ++i) {
      const int32_t c = static_cast<int32_t>(tile.label[static_cast<size_t>(i)]);
      labels[from + i] = c;
      if (squared_distances) {
        squared_distances[from + i] = squared_distance(x + (from + i) * d, centres + c * d, d);
      }
    }
  });
}

template <class T>
void nearest_centres_reference(const T* x, int64_t n, int64_t d, const T* centres, int64_t k,
                               int32_t* labels, double* squared_distances) {
  for (int64_t i = 0; i < n; ++i) {
    double best = std::numeric_limits<double>::infinity();
    labels[i] = 0;
    for (int64_t c = 0; c < k; ++c) {
      const double s = squared_distance(x + i * d, centres + c * d, d);
      if (s < best) best = s, labels[i] = static_cast<int32_t>(c);
    }
    if (squared_distances) squared_distances[i] = best;
  }
}

#define COVARY_KMEANS(T)                                                                           \
  template KMeansResult<T> kmeans(const T*, const T*, int64_t, int64_t, const KMeansOptions&,      \
                                  const T*);                                                       \
  template std::vector<T> kmeans_plus_plus(const T*, const T*, int64_t, int64_t, int64_t, int64_t, \
                                           int64_t);                                               \
  template void nearest_centres(const T*, int64_t, int64_t, const T*, int64_t, int32_t*, double*); \
  template void nearest_centres_reference(const T*, int64_t, int64_t, const T*, int64_t, int32_t*, \
                                          double*);
COVARY_KMEANS(float)
COVARY_KMEANS(double)
#undef COVARY_KMEANS

}  // namespace covary::linalg
