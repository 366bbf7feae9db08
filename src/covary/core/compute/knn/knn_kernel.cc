#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nanoflann.hpp>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/compute/knn/knn.h"

namespace covary::compute {
namespace {

constexpr double kFar = std::numeric_limits<double>::infinity();

template <class T>
double squared_distance(const T* a, const T* b) {
  double s = 0;
  for (int k = 0; k < 3; ++k) {
    const double d = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    s += d * d;
  }
  return s;
}

template <class T>
void check_finite(const T* points, int64_t n) {
  for (int64_t i = 0; i < 3 * n; ++i) {
    if (!std::isfinite(points[i])) {
      throw Error(ExitCode::kData, "a coordinate is not finite", "point " + std::to_string(i / 3),
                  "drop such points before asking for neighbours");
    }
  }
}

void write_row(const std::vector<std::pair<double, int64_t>>& found, int k, int64_t* ids,
               double* squared_distances) {
  for (int j = 0; j < k; ++j) {
    const bool there = static_cast<size_t>(j) < found.size();
    ids[j] = there ? found[static_cast<size_t>(j)].second : -1;
    if (squared_distances)
      squared_distances[j] = there ? found[static_cast<size_t>(j)].first : kFar;
  }
}

template <class T>
struct PointSet {
  const T* points;
  int64_t n;
  size_t kdtree_get_point_count() const { return static_cast<size_t>(n); }
  T kdtree_get_pt(size_t i, size_t dim) const { return points[3 * i + dim]; }
  template <class Box>
  bool kdtree_get_bbox(Box&) const {
    return false;
  }
};

// Points that stand at one place, together. A search looks at all that are equally far, so that the tree must hold places: with
// points, n at one place would take n steps each.
template <class T>
struct Places {
  std::vector<T> points;           // [places,3]
  std::vector<int64_t> first;      // of the members, a place each, and their number
  std::vector<int64_t> points_at;  // ascending within a place
};

// Empty when no two points stand at one place.
template <class T>
Places<T> shared_places(const T* points, int64_t n) {
  struct Item {
    std::array<T, 3> at;
    int64_t index;
  };
  std::vector<Item> items(static_cast<size_t>(n));
  for (int64_t i = 0; i < n; ++i)
    items[static_cast<size_t>(i)] = {{points[3 * i], points[3 * i + 1], points[3 * i + 2]}, i};
  std::sort(items.begin(), items.end(), [](const Item& a, const Item& b) {
    return a.at != b.at ? a.at < b.at : a.index < b.index;
  });
  Places<T> out;
  if (std::adjacent_find(items.begin(), items.end(),
                         [](const Item& a, const Item& b) { return a.at == b.at; }) == items.end())
    return out;
  for (const Item& item : items) {
    if (out.points_at.empty() ||
        !std::equal(item.at.begin(), item.at.end(), out.points.end() - 3)) {
      out.points.insert(out.points.end(), item.at.begin(), item.at.end());
      out.first.push_back(static_cast<int64_t>(out.points_at.size()));
    }
    out.points_at.push_back(item.index);
  }
  out.first.push_back(n);
  return out;
}

// The k best by (distance, index) so far. nanoflann's own set breaks ties by the order of the tree; it also stops at
// distances equal to the worst, so ties at the border need <= here: worstDist is the next number above.
template <class PointsAt>
class BestByDistanceThenIndex {
 public:
  using DistanceType = double;
  using IndexType = int64_t;
  using CountType = size_t;
  // points_at(place): indices, ascending.
  BestByDistanceThenIndex(size_t k, int64_t self, PointsAt points_at,
                          std::vector<std::pair<double, int64_t>>& best)
      : k_(k), self_(self), points_at_(points_at), best_(best) {
    best_.clear();
  }
  bool addPoint(double distance,
                int64_t place) {  // NOLINT(readability-identifier-naming): nanoflann's interface
    for (const int64_t index : points_at_(place)) {
      if (index == self_) continue;
      const std::pair<double, int64_t> item(distance, index);
      if (best_.size() == k_ && !(item < best_.back())) break;
      best_.insert(std::upper_bound(best_.begin(), best_.end(), item), item);
      if (best_.size() > k_) best_.pop_back();
    }
    return true;
  }
  double worstDist() const {  // NOLINT(readability-identifier-naming)
    return best_.size() < k_ ? std::numeric_limits<double>::max()
                             : std::nextafter(best_.back().first, kFar);
  }
  size_t size() const { return best_.size(); }
  bool full() const { return best_.size() == k_; }

 private:
  size_t k_;
  int64_t self_;
  PointsAt points_at_;
  std::vector<std::pair<double, int64_t>>& best_;
};

// set: the points, or the places where they stand.
template <class T, class PointsAt>
void search(const PointSet<T>& set, const T* points, int64_t n, int k, PointsAt points_at,
            int64_t* ids, double* squared_distances) {
  using Adaptor = nanoflann::L2_Simple_Adaptor<T, PointSet<T>, double, int64_t>;
  using Tree = nanoflann::KDTreeSingleIndexAdaptor<Adaptor, PointSet<T>, 3, int64_t>;
  Tree tree(3, set, nanoflann::KDTreeSingleIndexAdaptorParams(16));
  tree.buildIndex();
  parallel_for(n, 1024, [&](int64_t begin, int64_t end) {
    std::vector<std::pair<double, int64_t>> best;
    for (int64_t i = begin; i < end; ++i) {
      BestByDistanceThenIndex found(static_cast<size_t>(k), i, points_at, best);
      tree.findNeighbors(found, points + 3 * i, nanoflann::SearchParams());
      for (auto& [distance, id] : best)
        distance = squared_distance(points + 3 * i, points + 3 * id);
      write_row(best, k, ids + i * k, squared_distances ? squared_distances + i * k : nullptr);
    }
  });
}

}  // namespace

template <class T>
void knn_reference(const T* points, int64_t n, int k, int64_t* ids, double* squared_distances) {
  check_finite(points, n);
  std::vector<std::pair<double, int64_t>> all;
  for (int64_t i = 0; i < n; ++i) {
    all.clear();
    for (int64_t j = 0; j < n; ++j)
      if (j != i) all.emplace_back(squared_distance(points + 3 * i, points + 3 * j), j);
    const size_t keep = std::min(all.size(), static_cast<size_t>(k));
    std::partial_sort(all.begin(), all.begin() + static_cast<int64_t>(keep), all.end());
    all.resize(keep);
    write_row(all, k, ids + i * k, squared_distances ? squared_distances + i * k : nullptr);
  }
}

template <class T>
void knn(const T* points, int64_t n, int k, int64_t* ids, double* squared_distances) {
  check_finite(points, n);
  if (n == 0) return;
  const Places<T> places = shared_places(points, n);
  if (places.points.empty())
    search(
        PointSet<T>{points, n}, points, n, k, [](int64_t i) { return std::array<int64_t, 1>{i}; },
        ids, squared_distances);
  else
    search(
        PointSet<T>{places.points.data(), static_cast<int64_t>(places.points.size() / 3)}, points,
        n, k,
        [&places](int64_t p) {
          const auto at = static_cast<size_t>(p);
          return std::span(places.points_at)
              .subspan(static_cast<size_t>(places.first[at]),
                       static_cast<size_t>(places.first[at + 1] - places.first[at]));
        },
        ids, squared_distances);
}

template void knn_reference(const float*, int64_t, int, int64_t*, double*);
template void knn_reference(const double*, int64_t, int, int64_t*, double*);
template void knn(const float*, int64_t, int, int64_t*, double*);
template void knn(const double*, int64_t, int, int64_t*, double*);

}  // namespace covary::compute
