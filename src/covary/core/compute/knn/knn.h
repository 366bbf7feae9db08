// Nearest neighbours of points in space: a kd-tree (nanoflann), queries in parallel.
//
//   std::vector<int64_t> ids(n * 3);  std::vector<double> d2(n * 3);
//   knn<float>(points, n, 3, ids.data(), d2.data());        // of each point, itself excluded
//
// Neighbours come nearest first; equal distances by index, so that the answer does not depend on the tree or the threads.
// Itself means its index: a duplicate of a point is its neighbour at distance 0. With fewer than k other points the rest
// is id -1 and distance infinity. Error(kData) when a coordinate is not finite. O(n log n); 10M points need about 0.6 GB.
#pragma once

#include <cstdint>

namespace covary::compute {

// points [N,3]; ids [N,k]; squared_distances [N,k], may be null.
template <class T>
void knn_reference(const T* points, int64_t n, int k, int64_t* ids,
                   double* squared_distances);  // all pairs
template <class T>
void knn(const T* points, int64_t n, int k, int64_t* ids, double* squared_distances);

}  // namespace covary::compute
