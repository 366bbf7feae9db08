#include "covary/core/compute/knn/op.h"

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/knn/knn.h"

namespace covary::compute {

std::pair<at::Tensor, at::Tensor> knn(const at::Tensor& points, int k) {
  if (points.dim() != 2 || points.size(1) != 3 || !at::isFloatingType(points.scalar_type()) ||
      k < 1)
    throw Error(ExitCode::kUsage, "has the wrong shape or type", "points",
                "it must be [N,3], float or double, and k >= 1");
  const at::Tensor p = points.detach().contiguous();
  const int64_t n = p.size(0);
  at::Tensor ids = at::empty({n, k}, at::kLong), d2 = at::empty({n, k}, at::kDouble);
  if (p.scalar_type() == at::kFloat) {
    knn(p.const_data_ptr<float>(), n, k, ids.data_ptr<int64_t>(), d2.data_ptr<double>());
  } else {
    knn(p.const_data_ptr<double>(), n, k, ids.data_ptr<int64_t>(), d2.data_ptr<double>());
  }
  return {ids, d2};
}

at::Tensor mean_square_distance_of_neighbours(const at::Tensor& points, int k) {
  const auto [ids, d2] = knn(points, k);
  const at::Tensor there = ids >= 0;
  return (at::where(there, d2, 0.0).sum(1) / there.sum(1).clamp_min(1)).to(points.scalar_type());
}

}  // namespace covary::compute
