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

// least [groups]: the smallest max(bounds - drift, gaps - upper) of the places
// [firsts[g], firsts[g + 1]) of each group; rounded down where it is positive.
template <class T>
void least_bounds(const T* bounds, const T* drift, const T* gaps, T upper, const int32_t* firsts,
                  int64_t groups, T* least);

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
