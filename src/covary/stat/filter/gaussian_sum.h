// The Gaussian-sum filter: a start that is a mixture of Gaussians, each followed by its own filter.
//
//   const GaussianSumFiltered f = gaussian_sum_filter(m, starts, y, {.method = "ekf"});
//   f.weight;                                       // [T,M] of each component given y_0 .. y_t
//
// A wide start that one Gaussian filter cannot linearise over (a bearing, a distance) is covered by
// narrow ones; the observations then weigh them. On a linear model the result is exact. m: its own
// start is not used.
//
// Cost: M filters. Error(kData) for weights that are no probabilities, and as nonlinear.h.
//
// Source: Sorenson and Alspach 1971; Alspach and Sorenson 1972.
#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/filter/nonlinear.h"

namespace covary::filter {

struct GaussianStart {
  double weight = 1;       // >= 0; they add up to 1
  at::Tensor mean0, cov0;  // [n], [n,n]
};

struct GaussianSumFiltered {
  at::Tensor mean, cov;                      // of the mixture given y_0 .. y_t: [T,n], [T,n,n]
  at::Tensor weight;                         // [T,M]
  at::Tensor component_mean, component_cov;  // [T,M,n], [T,M,n,n]
  double log_likelihood = 0;
};

GaussianSumFiltered gaussian_sum_filter(const NonlinearModel& model,
                                        const std::vector<GaussianStart>& starts,
                                        const at::Tensor& y, const NonlinearOptions& options = {});

}  // namespace covary::filter
