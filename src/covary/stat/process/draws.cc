#include "covary/stat/process/draws.h"

#include <algorithm>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/core/linalg/blas.h"
#include "covary/core/linalg/cholesky.h"

namespace covary::stat {

at::Tensor gaussian_draws(const at::Tensor& mean, const at::Tensor& covariance, int64_t count,
                          uint64_t seed, uint64_t stream) {
  const int64_t s = mean.size(0);
  const at::Tensor centre = mean.contiguous();
  at::Tensor c = covariance.clone(at::MemoryFormat::Contiguous);
  const linalg::Matrix factor{c.data_ptr<double>(), s, s};
  double largest = 0;
  for (int64_t i = 0; i < s; ++i) largest = std::max(largest, factor.row(i)[i]);
  const bool certain = largest == 0;  // every point is known exactly
  if (!certain) linalg::cholesky(factor).check("posterior covariance");
  const Random random(seed, stream_of("process.sample", stream));
  at::Tensor out = at::empty({count, s}, at::kDouble);
  std::vector<double> z(static_cast<size_t>(s));
  for (int64_t k = 0; k < count; ++k) {
    for (int64_t i = 0; i < s; ++i) {
      z[static_cast<size_t>(i)] = random.normal(static_cast<uint64_t>(k * s + i));
    }
    for (int64_t i = 0; i < s; ++i) {
      out.data_ptr<double>()[k * s + i] =
          centre.const_data_ptr<double>()[i] +
          (certain ? 0 : linalg::dot(i + 1, factor.row(i), z.data()));
    }
  }
  return out;
}

}  // namespace covary::stat
