#include "covary/core/linalg/cluster/kmeans_search.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "covary/core/base/threads.h"

namespace covary::linalg {
namespace {

// A rounding of a sum or product goes against the bound.
template <class T>
constexpr T kUp = 1 + 4 * std::numeric_limits<T>::epsilon();
template <class T>
constexpr T kDown = 1 - 4 * std::numeric_limits<T>::epsilon();
template <class T>
constexpr T kFar = std::numeric_limits<T>::infinity();

// A search that meets more than this share of all pairs costs more than a plain one.
constexpr double kMostPairs = 0.5;

// Centres that lie together: halves along the widest column, until they are few enough.
template <class T>
void split(const std::vector<T>& centres, int64_t d, std::vector<int32_t> members,
           std::vector<std::vector<int32_t>>& groups) {
  const int64_t count = static_cast<int64_t>(members.size());
  if (count <= kCentreGroup) {
    std::sort(members.begin(), members.end());
    groups.push_back(std::move(members));
    return;
  }
  int64_t widest = 0;
  double most = -1;
  for (int64_t j = 0; j < d; ++j) {
    double sum = 0, squares = 0;
    for (const int32_t c : members) sum += static_cast<double>(centres[size_t(c * d + j)]);
    for (const int32_t c : members) {
      const double v = static_cast<double>(centres[size_t(c * d + j)]) - sum / double(count);
      squares += v * v;
    }
    if (squares > most) most = squares, widest = j;
  }
  std::sort(members.begin(), members.end(), [&](int32_t a, int32_t b) {
    const T va = centres[size_t(a * d + widest)], vb = centres[size_t(b * d + widest)];
    return va < vb || (va == vb && a < b);
  });
  const int64_t parts = (count + kCentreGroup - 1) / kCentreGroup;
  const auto middle = members.begin() + parts / 2 * kCentreGroup;
  split(centres, d, std::vector<int32_t>(members.begin(), middle), groups);
  split(centres, d, std::vector<int32_t>(middle, members.end()), groups);
}

}  // namespace

template <class T>
struct CentreSearch<T>::Scratch {
  Scratch(int64_t d, int64_t groups, bool values)
      : tile(d),
        queued(d),
        own(d),
        values(values ? kCentreGroup * kClusterTile : 0),
        candidates(kReductionBlock),
        wanted(static_cast<size_t>(groups * kClusterTile)),
        queues(wanted.size()),
        wanting(static_cast<size_t>(groups)),
        waiting(wanting) {}
  ClusterTile<T> tile, queued, own;       // points; points of a queue; their own centres
  std::vector<T> values;                  // [kCentreGroup,kClusterTile]
  std::vector<Candidate> candidates;      // [kReductionBlock]
  std::vector<int64_t> open;              // rows that meet a group
  std::vector<int32_t> wanted;            // [groups,kClusterTile] points of the tile
  std::vector<int64_t> queues;            // [groups,kClusterTile] rows
  std::vector<int64_t> wanting, waiting;  // [groups]
  int64_t met = 0;                        // pairs of point and centre
  int64_t ids[kClusterTile], centre_ids[kClusterTile];
  int32_t centres[kClusterTile];
  T near[kClusterTile], next[kClusterTile];  // bounds from below
  T upper[kClusterTile], limits[kClusterTile], lower[kClusterTile];
  T norms[kClusterTile], of_best[kClusterTile], centre_norms[kClusterTile];
};

template <class T>
CentreSearch<T>::CentreSearch(const T* x, int64_t n, int64_t d, const T* origin, int64_t k,
                              CentreBounds kind, bool may_rest)
    : x_(x),
      n_(n),
      d_(d),
      k_(k),
      origin_(origin),
      kind_(kind),
      may_rest_(may_rest),
      // d + 3 roundings of terms that are at most |x|^2 + |c|^2.
      error_(static_cast<T>(2 * (d + 3)) * std::numeric_limits<T>::epsilon()),
      zero_(static_cast<size_t>(d), T(0)) {}

template <class T>
CentreSearch<T>::~CentreSearch() = default;

template <class T>
void CentreSearch<T>::make_groups(const std::vector<T>& centres) {
  std::vector<int32_t> all(static_cast<size_t>(k_));
  std::iota(all.begin(), all.end(), 0);
  if (kind_ == CentreBounds::kNone || kind_ == CentreBounds::kHamerly) {
    groups_ = {all};
  } else {
    split(centres, d_, all, groups_);
  }
  const bool each = kind_ == CentreBounds::kElkan;
  group_of_.resize(all.size());
  place_of_.resize(all.size());
  firsts_ = {0};
  for (size_t g = 0; g < groups_.size(); ++g) {
    for (size_t i = 0; i < groups_[g].size(); ++i) {
      const auto c = static_cast<size_t>(groups_[g][i]);
      group_of_[c] = static_cast<int32_t>(g);
      place_of_[c] = firsts_[g] + (each ? static_cast<int32_t>(i) : 0);
    }
    firsts_.push_back(firsts_[g] + (each ? static_cast<int32_t>(groups_[g].size()) : 1));
  }
  width_ = (firsts_.back() + kPlaces - 1) / kPlaces * kPlaces;
  if (kind_ == CentreBounds::kNone) return;
  drift_.assign(static_cast<size_t>(width_), 0.0);
  drift_stored_.assign(drift_.size(), T(0));
  drift_read_ = drift_stored_;
  gaps_.assign(static_cast<size_t>(k_ * width_), T(0));  // none yet
  nearest_gap_.assign(static_cast<size_t>(k_), T(0));
  moves_.assign(static_cast<size_t>(k_), T(0));
  upper_.assign(static_cast<size_t>(n_), T(0));
  lower_ = upper_;
  bounds_.assign(static_cast<size_t>(n_ * width_), kFar<T>);
}

template <class T>
void CentreSearch<T>::prepare() {
  std::vector<T> members;
  for (const auto& group : groups_) {
    members.clear();
    for (const int32_t c : group) {
      members.insert(members.end(), centres_ + c * d_, centres_ + (c + 1) * d_);
    }
    packed_.emplace_back(members.data(), static_cast<int64_t>(group.size()), d_);
  }
  half_norms_.resize(static_cast<size_t>(k_));
  norms_.resize(half_norms_.size());
  for (int64_t c = 0; c < k_; ++c) {
    const auto at = static_cast<size_t>(c), g = static_cast<size_t>(group_of_[at]);
    const auto& group = groups_[g];
    const auto rank = std::lower_bound(group.begin(), group.end(), c) - group.begin();
    half_norms_[at] = packed_[g].half_norms[static_cast<size_t>(rank)];
    norms_[at] = std::sqrt(2 * half_norms_[at]) * kUp<T>;
  }
  // Worth their k^2 d only where there are many more points.
  if (4 * k_ > n_) return;
  parallel_tasks((k_ + kClusterTile - 1) / kClusterTile, [&](int64_t tile, int worker) {
    measure_gaps(tile * kClusterTile, scratch(worker));
  });
}

// Distances from a tile of centres to the nearest others of all places, rounded down.
template <class T>
void CentreSearch<T>::measure_gaps(int64_t from, Scratch& s) {
  const int64_t count = std::min(kClusterTile, k_ - from);
  const bool each = kind_ == CentreBounds::kElkan;
  load_tile<T>(centres_, d_, zero_.data(), nullptr, from, count, s.tile.columns.data(),
               s.tile.norms.data());
  const T* norms = s.tile.norms.data();
  for (size_t g = 0; g < groups_.size(); ++g) {
    nearest_in_tile<T>(packed_[g], s.tile.columns.data(), count, s.own.best.data(),
                       s.own.second.data(), s.own.label.data(), each ? s.values.data() : nullptr);
    if (each) {
      for (int64_t place = firsts_[g]; place < firsts_[g + 1]; ++place) {
        bounds_below<T>(norms, s.values.data() + (place - firsts_[g]) * kClusterTile, count, error_,
                        T(0), s.near);
        for (int64_t t = 0; t < count; ++t) {
          gaps_[static_cast<size_t>((from + t) * width_ + place)] = s.near[t];
        }
      }
      continue;
    }
    // Of its own group the nearest is the centre itself, or one that stands on it.
    bounds_below<T>(norms, s.own.best.data(), count, error_, T(0), s.near);
    bounds_below<T>(norms, s.own.second.data(), count, error_, T(0), s.next);
    for (int64_t t = 0; t < count; ++t) {
      const bool own = group_of_[static_cast<size_t>(from + t)] == static_cast<int32_t>(g);
      gaps_[static_cast<size_t>((from + t) * width_ + firsts_[g])] = own ? s.next[t] : s.near[t];
    }
  }
  for (int64_t a = from; a < from + count; ++a) {
    T* row = gaps_.data() + a * width_;
    std::fill(row + firsts_.back(), row + width_, kFar<T>);
    if (each) row[place_of_[static_cast<size_t>(a)]] = kFar<T>;
    nearest_gap_[static_cast<size_t>(a)] = *std::min_element(row, row + width_);
  }
}

template <class T>
typename CentreSearch<T>::Scratch& CentreSearch<T>::scratch(int worker) {
  return workers_.of(worker, d_, static_cast<int64_t>(groups_.size()),
                     kind_ == CentreBounds::kElkan);
}

// As bounds_above has it.
template <class T>
T CentreSearch<T>::squared_limit(T upper, int32_t own) const {
  const T reach = upper + norms_[static_cast<size_t>(own)];
  return (upper * upper * (1 + error_) + 4 * error_ * reach * reach) * (1 + 2 * error_);
}

template <class T>
GroupBounds<T> CentreSearch<T>::view() const {
  return {bounds_.data(),
          drift_read_.data(),
          gaps_.data(),
          width_,
          static_cast<int64_t>(groups_.size()),
          firsts_.data(),
          error_};
}

template <class T>
int64_t CentreSearch<T>::assign(const std::vector<T>& centres, std::vector<int32_t>& labels) {
  const bool plain = kind_ == CentreBounds::kNone || rest_ > 0;
  centres_ = centres.data();
  if (groups_.empty()) make_groups(centres);
  packed_.clear();
  if (plain) {
    packed_.emplace_back(centres_, k_, d_);
  } else {
    prepare();
  }
  const int64_t blocks = (n_ + kReductionBlock - 1) / kReductionBlock;
  std::vector<int64_t> changed(static_cast<size_t>(blocks), 0), met(changed);
  parallel_tasks(blocks, [&](int64_t b, int worker) {
    Scratch& s = scratch(worker);
    s.met = 0;
    const int64_t begin = b * kReductionBlock, end = std::min(n_, begin + kReductionBlock);
    changed[static_cast<size_t>(b)] = plain    ? search_plain(begin, end, s, labels)
                                      : fresh_ ? search_all(begin, end, s, labels)
                                               : search_open(begin, end, s, labels);
    met[static_cast<size_t>(b)] = s.met;
  });
  if (plain) {
    rest_ = std::max<int64_t>(0, rest_ - 1);
  } else if (!std::exchange(fresh_, false) && may_rest_) {
    const auto pairs = static_cast<double>(std::accumulate(met.begin(), met.end(), int64_t{0}));
    if (pairs > kMostPairs * static_cast<double>(n_) * static_cast<double>(k_)) {
      rest_ = std::exchange(next_rest_, 2 * next_rest_);
      fresh_ = true;
    } else {
      next_rest_ = kFirstRest;
    }
  }
  return std::accumulate(changed.begin(), changed.end(), int64_t{0});
}

template <class T>
int64_t CentreSearch<T>::search_plain(int64_t begin, int64_t end, Scratch& s,
                                      std::vector<int32_t>& labels) const {
  int64_t changed = 0;
  for (int64_t from = begin; from < end; from += kClusterTile) {
    const int64_t count = std::min(kClusterTile, end - from);
    load_tile<T>(x_, d_, origin_, nullptr, from, count, s.tile.columns.data(), s.tile.norms.data());
    nearest_in_tile<T>(packed_[0], s.tile.columns.data(), count, s.tile.best.data(), nullptr,
                       s.tile.label.data());
    for (int64_t t = 0; t < count; ++t) {
      const auto label = static_cast<int32_t>(s.tile.label[static_cast<size_t>(t)]);
      changed += std::exchange(labels[static_cast<size_t>(from + t)], label) != label;
    }
  }
  return changed;
}

// Every point meets every group.
template <class T>
int64_t CentreSearch<T>::search_all(int64_t begin, int64_t end, Scratch& s,
                                    std::vector<int32_t>& labels) {
  int64_t changed = 0;
  int32_t everyone[kClusterTile];
  std::iota(everyone, everyone + kClusterTile, 0);
  for (int64_t from = begin; from < end; from += kClusterTile) {
    const int64_t count = std::min(kClusterTile, end - from);
    load_tile<T>(x_, d_, origin_, nullptr, from, count, s.tile.columns.data(), s.tile.norms.data());
    for (int64_t t = 0; t < count; ++t) {
      s.ids[t] = from + t;
      s.candidates[static_cast<size_t>(from + t - begin)] = {
          s.tile.norms[static_cast<size_t>(t)], kFar<T>, 0, 0, -1, -1, true};
    }
    for (size_t g = 0; g < groups_.size(); ++g) {
      meet(g, s.tile, count, s.ids, everyone, count, begin, s);
    }
    changed += finish(s.ids, count, begin, s, labels);
  }
  return changed;
}

// Moves the point's bounds with the centres; true when no other centre can be nearer.
template <class T>
bool CentreSearch<T>::settled(int64_t row, int32_t own) {
  const auto at = static_cast<size_t>(row), c = static_cast<size_t>(own);
  const T upper = (upper_[at] + moves_[c]) * kUp<T>;
  const T lower =
      std::max(T(0), (lower_[at] - (own == farthest_ ? second_move_ : largest_move_)) * kDown<T>);
  upper_[at] = upper;
  lower_[at] = lower;
  const T bound = std::max(lower, nearest_gap_[c] - upper);
  return bound * bound > squared_limit(upper, own);
}

template <class T>
int64_t CentreSearch<T>::search_open(int64_t begin, int64_t end, Scratch& s,
                                     std::vector<int32_t>& labels) {
  s.open.clear();
  int64_t count = 0;
  for (int64_t i = begin; i < end; ++i) {
    if (settled(i, labels[static_cast<size_t>(i)])) continue;
    s.ids[count++] = i;
    if (count < kClusterTile) continue;
    open_tile(begin, count, s, labels);
    count = 0;
  }
  if (count) open_tile(begin, count, s, labels);
  for (size_t g = 0; g < groups_.size(); ++g) meet_queue(g, begin, s);
  int64_t changed = 0;
  const auto opened = static_cast<int64_t>(s.open.size());
  for (int64_t i = 0; i < opened; i += kClusterTile) {
    changed += finish(s.open.data() + i, std::min(kClusterTile, opened - i), begin, s, labels);
  }
  return changed;
}

// Rows s.ids whose bounds over all centres have failed: distance to the own centre, then the groups.
template <class T>
void CentreSearch<T>::open_tile(int64_t begin, int64_t count, Scratch& s,
                                const std::vector<int32_t>& labels) {
  load_tile<T>(x_, d_, origin_, s.ids, 0, count, s.tile.columns.data(), s.tile.norms.data());
  T* values = s.own.best.data();
  for (int64_t t = 0; t < count; ++t) {
    const int32_t own = labels[static_cast<size_t>(s.ids[t])];
    s.centre_ids[t] = s.centres[t] = own;
    values[t] = half_norms_[static_cast<size_t>(own)];
    s.centre_norms[t] = norms_[static_cast<size_t>(own)];
  }
  load_tile<T>(centres_, d_, zero_.data(), s.centre_ids, 0, count, s.own.columns.data(),
               s.own.norms.data());
  values_in_tile<T>(s.tile.columns.data(), s.own.columns.data(), d_, count, values);
  bounds_above<T>(s.tile.norms.data(), values, s.centre_norms, count, error_, s.upper, s.limits);
  bounds_below<T>(s.tile.norms.data(), values, count, error_, T(0), s.near);
  std::fill(s.wanting.begin(), s.wanting.end(), 0);
  choose_groups<T>(view(), s.ids, s.centres, count, s.upper, s.limits, s.lower, s.wanted.data(),
                   s.wanting.data());
  for (int64_t t = 0; t < count; ++t) {
    const int64_t row = s.ids[t];
    if (s.lower[t] * s.lower[t] > s.limits[t]) {
      upper_[static_cast<size_t>(row)] = s.upper[t];
      lower_[static_cast<size_t>(row)] = s.lower[t];
      continue;
    }
    const int32_t own = s.centres[t];
    const T drift = drift_stored_[static_cast<size_t>(place_of_[static_cast<size_t>(own)])];
    s.candidates[static_cast<size_t>(row - begin)] = {s.tile.norms[static_cast<size_t>(t)],
                                                      values[t],
                                                      (s.near[t] + drift) * kDown<T>,
                                                      0,
                                                      own,
                                                      own,
                                                      false};
    s.open.push_back(row);
  }
  for (size_t g = 0; g < groups_.size(); ++g) {
    const int32_t* wanted = s.wanted.data() + g * kClusterTile;
    if (2 * s.wanting[g] >= count) {
      meet(g, s.tile, count, s.ids, wanted, s.wanting[g], begin, s);
      continue;
    }
    for (int64_t i = 0; i < s.wanting[g]; ++i) {
      s.queues[g * kClusterTile + static_cast<size_t>(s.waiting[g]++)] = s.ids[wanted[i]];
      if (s.waiting[g] == kClusterTile) meet_queue(g, begin, s);
    }
  }
}

template <class T>
void CentreSearch<T>::meet_queue(size_t g, int64_t begin, Scratch& s) {
  const int64_t count = std::exchange(s.waiting[g], 0);
  if (count == 0) return;
  int32_t everyone[kClusterTile];
  std::iota(everyone, everyone + count, 0);
  const int64_t* ids = s.queues.data() + g * kClusterTile;
  load_tile<T>(x_, d_, origin_, ids, 0, count, s.queued.columns.data(), s.queued.norms.data());
  meet(g, s.queued, count, ids, everyone, count, begin, s);
}

// The wanted points of a tile, rows ids, against the centres of a group.
template <class T>
void CentreSearch<T>::meet(size_t g, const ClusterTile<T>& tile, int64_t count, const int64_t* ids,
                           const int32_t* wanted, int64_t wanting, int64_t begin, Scratch& s) {
  const bool each = kind_ == CentreBounds::kElkan;
  nearest_in_tile<T>(packed_[g], tile.columns.data(), count, s.own.best.data(), s.own.second.data(),
                     s.own.label.data(), each ? s.values.data() : nullptr);
  const auto& members = groups_[g];
  s.met += wanting * static_cast<int64_t>(members.size());
  const int64_t first = firsts_[g];
  if (each) {
    for (size_t m = 0; m < members.size(); ++m) {
      const int64_t place = first + static_cast<int64_t>(m);
      bounds_below<T>(tile.norms.data(), s.values.data() + m * kClusterTile, count, error_,
                      drift_stored_[static_cast<size_t>(place)], s.near);
      for (int64_t i = 0; i < wanting; ++i) {
        bounds_[static_cast<size_t>(ids[wanted[i]] * width_ + place)] = s.near[wanted[i]];
      }
    }
  } else {
    const T drift = drift_stored_[static_cast<size_t>(first)];
    bounds_below<T>(tile.norms.data(), s.own.best.data(), count, error_, drift, s.near);
    bounds_below<T>(tile.norms.data(), s.own.second.data(), count, error_, drift, s.next);
  }
  for (int64_t i = 0; i < wanting; ++i) {
    const int32_t t = wanted[i];
    const int64_t row = ids[t];
    Candidate& c = s.candidates[static_cast<size_t>(row - begin)];
    const T value = s.own.best[static_cast<size_t>(t)];
    const int32_t label = members[static_cast<size_t>(s.own.label[static_cast<size_t>(t)])];
    if (!each) bounds_[static_cast<size_t>(row * width_ + first)] = s.near[t];
    c.own_group_met |=
        c.own >= 0 && group_of_[static_cast<size_t>(c.own)] == static_cast<int32_t>(g);
    if (label != c.label && !(value < c.value || (value == c.value && label < c.label))) continue;
    c.value = value;
    c.label = label;
    c.next = s.next[t];
  }
}

// Labels and bounds of rows that have met all groups they want.
template <class T>
int64_t CentreSearch<T>::finish(const int64_t* rows, int64_t count, int64_t begin, Scratch& s,
                                std::vector<int32_t>& labels) {
  int64_t changed = 0;
  for (int64_t i = 0; i < count; ++i) {
    const Candidate& c = s.candidates[static_cast<size_t>(rows[i] - begin)];
    s.centres[i] = c.label;
    s.norms[i] = c.norm;
    s.of_best[i] = c.value;
    changed += std::exchange(labels[static_cast<size_t>(rows[i])], c.label) != c.label;
    // A group's bound leaves out the point's own centre.
    T* bounds = bounds_.data() + rows[i] * width_;
    if (c.label != c.own && !c.own_group_met) {
      T& bound = bounds[place_of_[static_cast<size_t>(c.own)]];
      bound = std::min(bound, c.own_bound);
    }
    if (c.label == c.own && !c.own_group_met) continue;
    bounds[place_of_[static_cast<size_t>(c.label)]] =
        kind_ == CentreBounds::kElkan ? kFar<T> : c.next;
  }
  bounds_above<T>(s.norms, s.of_best, nullptr, count, error_, s.upper, nullptr);
  choose_groups<T>(view(), rows, s.centres, count, s.upper, nullptr, s.lower, nullptr, nullptr);
  for (int64_t i = 0; i < count; ++i) {
    upper_[static_cast<size_t>(rows[i])] = s.upper[i];
    lower_[static_cast<size_t>(rows[i])] = s.lower[i];
  }
  return changed;
}

template <class T>
void CentreSearch<T>::moved(const std::vector<T>& moves) {
  if (kind_ == CentreBounds::kNone) return;
  moves_ = moves;
  largest_move_ = second_move_ = 0;
  farthest_ = -1;
  std::vector<T> most(static_cast<size_t>(width_), T(0));
  for (int64_t c = 0; c < k_; ++c) {
    const T move = moves[static_cast<size_t>(c)];
    T& own = most[static_cast<size_t>(place_of_[static_cast<size_t>(c)])];
    own = std::max(own, move);
    if (move > largest_move_) {
      second_move_ = std::exchange(largest_move_, move);
      farthest_ = static_cast<int32_t>(c);
    } else {
      second_move_ = std::max(second_move_, move);
    }
  }
  for (size_t p = 0; p < most.size(); ++p) {
    drift_[p] += static_cast<double>(most[p]);
    drift_stored_[p] = static_cast<T>(drift_[p]);
    drift_read_[p] =
        static_cast<T>(drift_[p] * (1 + 16 * double(std::numeric_limits<T>::epsilon())));
  }
}

template <class T>
void CentreSearch<T>::forget(int64_t row) {
  if (kind_ == CentreBounds::kNone) return;
  upper_[static_cast<size_t>(row)] = std::numeric_limits<T>::max();
  lower_[static_cast<size_t>(row)] = 0;
  std::fill_n(bounds_.begin() + row * width_, firsts_.back(), -kFar<T>);
}

template class CentreSearch<float>;
template class CentreSearch<double>;

}  // namespace covary::linalg
