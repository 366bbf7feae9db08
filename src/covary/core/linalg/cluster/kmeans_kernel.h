// The loops of k-means on one tile of points; SIMD by run-time dispatch. Within cluster only.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::linalg {

// Points of a tile, columns [d][kClusterTile]: a multiple of four vectors of any length, so few
// that with 256 centres of 16 columns all lies in the first cache.
constexpr int64_t kClusterTile = 128;
constexpr int64_t kCentreRun = 6;  // centres searched at once

// Centres in runs: for each run and each column kCentreRun values, and |c|^2 / 2; missing ones of the
// last run have infinite norm.
template <class T>
struct PackedCentres {
  PackedCentres(const T* centres, int64_t k, int64_t d);
  int64_t k, d, runs;
  std::vector<T> values, half_norms;
  std::vector<T> numbers;  // 0, 1, 2, ...
};

// Rows ids[i] (or from + i when ids is null), less origin, to columns; past count the first row
// again. norms [kClusterTile] receives |x|^2.
template <class T>
void load_tile(const T* x, int64_t d, const T* origin, const int64_t* ids, int64_t from,
               int64_t count, T* columns, T* norms);

// Of each of the first `count` points of a tile the smallest |c|^2 / 2 - x c, the second smallest (unless null), and the
// index of the smallest as a number; values [k,kClusterTile], a column each of which vectors may run
// past count, unless null, receives them all, with second.
template <class T>
void nearest_in_tile(const PackedCentres<T>& centres, const T* columns, int64_t count, T* best,
                     T* second, T* label, T* values = nullptr);

// values [count] -= x c, of each point with a centre of its own, in columns as well: by the same
// arithmetic as in nearest_in_tile when values hold |c|^2 / 2 before.
template <class T>
void values_in_tile(const T* columns, const T* centres, int64_t d, int64_t count, T* values);

// Bounds from below on the distances of points to groups of centres. A row has one a place, less the
// place's drift; places [firsts[g], firsts[g + 1]) belong to group g, and those from firsts[groups] to
// width, a multiple of kPlaces, are infinitely far. gaps [k,width]: distances between centres.
template <class T>
struct GroupBounds {
  const T *bounds, *drift, *gaps;
  int64_t width, groups;
  const int32_t* firsts;
  T error;  // of a squared distance, as a share of |x|^2 + |c|^2
};
constexpr int64_t kPlaces = 8;

// Bounds on the distance to a centre from |c|^2 / 2 - x c: from above, and unless null, the square that
// a lower bound must exceed before the centre behind it can be passed over, whatever the rounding of both
// values: |x| is at most the distance plus |c|. From below: plus drift, rounded down.
template <class T>
void bounds_above(const T* norms, const T* values, const T* centre_norms, int64_t count, T error,
                  T* upper, T* limits);
template <class T>
void bounds_below(const T* norms, const T* values, int64_t count, T error, T drift, T* lower);

// Of rows ids [count] with centres own: lower [count] is the least of their bounds, max(bound - drift,
// gap - upper); of each group whose bound has a square within the limit the row's index is added to
// wanted [groups,kClusterTile] and wanting [groups]. limits null: lower alone.
template <class T>
void choose_groups(const GroupBounds<T>& b, const int64_t* ids, const int32_t* own, int64_t count,
                   const T* upper, const T* limits, T* lower, int32_t* wanted, int64_t* wanting);

// sums[j][label] += weight (x - origin), mass[label] += weight, over rows [begin, end).
template <class T>
void add_to_centres(const T* x, const T* weights, const T* origin, const int32_t* labels,
                    int64_t begin, int64_t end, int64_t d, double* sums, double* mass);

// For k-means++: for each of m candidates [m,d] the sum over a tile of weight min(nearest, squared
// distance); with m = 1 and keep, nearest takes that minimum.
template <class T>
void potential_of_tile(const T* columns, int64_t d, const T* weights, const T* candidates,
                       int64_t m, bool keep, T* nearest, double* potentials);

}  // namespace covary::linalg
