// Nearest neighbours of point tensors; see knn.h.
#pragma once

#include <utility>

#include <ATen/core/Tensor.h>

namespace covary::compute {

// points [N,3] float or double: ids [N,k] int64 and squared distances [N,k] double, nearest first, the point excluded.
// No gradient.
std::pair<at::Tensor, at::Tensor> knn(const at::Tensor& points, int k);

// Mean squared distance to the k nearest others (fewer where there are fewer; 0 for a lone point): [N], the type of points.
at::Tensor mean_square_distance_of_neighbours(const at::Tensor& points, int k);

}  // namespace covary::compute
