// k-means: k centres that make the weighted sum of squared distances to the nearest small.
//
//   KMeansResult<float> r = kmeans(x.data(), nullptr, n, d, {.clusters = 256, .sweeps = 10});
//   nearest_centres(y.data(), m, d, r.centres.data(), 256, labels.data());     // new points
//
// x [n,d] row-major, float or double; weights [n] >= 0 or null = 1. Error(kData) names the first
// value that is not finite or the first bad weight, and says when n < k. The same seed gives the
// same bits at any number of threads.
//
// Lloyd's sweeps (Lloyd 1982) search |c|^2 / 2 - x c over all centres in register tiles, points in
// lanes, coordinates taken from the mean of the data; sums for the centres are in double, in blocks
// of fixed size. Bounds on distances say which pairs need no look, and change no label: `hamerly`, `elkan`,
// `yinyang` (kmeans_search.h), or `auto`: Hamerly's, of many centres Yinyang's, laid aside for some
// sweeps where they leave more than half of the pairs, as where clumps overlap in many columns.
// Start: greedy k-means++ (Arthur and Vassilvitskii 2007; trials: their section 7),
// k-means|| (Bahmani, Moseley, Vattani, Kumar, Vassilvitskii 2012: five passes that each take about 2 k
// rows, by squared distance to those taken before; then k-means++ on these, by the mass each
// stands for), or random rows. Mini-batch steps: Sculley 2010. A cluster that loses all its points takes the point
// that is farthest from its own centre; where all distances are 0 (fewer than k distinct points) it
// stays empty. The cost never rises from sweep to sweep beyond rounding.
//
// Cost a sweep: n k d multiply-adds, less what the bounds save; memory beside x 4 bytes a point, with
// bounds 2 values more, and 8 (hamerly), about k / 24 (yinyang) or k (elkan).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/linalg/cluster/kmeans_options.h"

namespace covary::linalg {

template <class T>
struct KMeansResult {
  std::vector<T> centres;       // [k,d]
  std::vector<int32_t> labels;  // [n]
  double cost = 0;              // sum of weight times squared distance
  std::vector<double> trace;    // cost of each sweep's partition about its own means; empty for
                                // mini-batches
  int64_t sweeps = 0;           // done, by the start that was kept (steps for mini-batches)
  bool converged = false;
  int64_t reseeded = 0;  // times that an empty cluster was given a point
  int64_t empty = 0;     // clusters without a point at the end
};

// start: centres [k,d] to begin from, or null.
template <class T>
KMeansResult<T> kmeans(const T* x, const T* weights, int64_t n, int64_t d,
                       const KMeansOptions& options, const T* start = nullptr);

// First centres [k,d], by greedy k-means++ over all rows. trials 0 = 2 + floor(log k).
template <class T>
std::vector<T> kmeans_plus_plus(const T* x, const T* weights, int64_t n, int64_t d, int64_t k,
                                int64_t trials, int64_t seed);

// Nearest centre of each point, and its squared distance unless null (computed from differences).
template <class T>
void nearest_centres(const T* x, int64_t n, int64_t d, const T* centres, int64_t k, int32_t* labels,
                     double* squared_distances = nullptr);

// All pairs, double, to be read; equal distances go to the lower index.
template <class T>
void nearest_centres_reference(const T* x, int64_t n, int64_t d, const T* centres, int64_t k,
                               int32_t* labels, double* squared_distances);

}  // namespace covary::linalg
