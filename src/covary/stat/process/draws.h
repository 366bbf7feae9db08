// Joint draws of a Gaussian with a dense covariance.
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace covary::stat {

// mean [s], covariance [s,s], doubles: [count,s]. The same numbers for the same seed and stream.
// Throws Error(kFailed) when no jitter makes the covariance positive definite.
at::Tensor gaussian_draws(const at::Tensor& mean, const at::Tensor& covariance, int64_t count,
                          uint64_t seed, uint64_t stream);

}  // namespace covary::stat
