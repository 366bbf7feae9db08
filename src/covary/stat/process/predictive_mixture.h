// Predictions that are mixtures of normals, as where a process's parameters are uncertain.
//
//   PredictiveMixture m = mix_predictions(gp, sample, points, /*noise=*/true);
//   auto [mean, variance] = m.moments();     // of all: average variance plus variance of the means
//   at::Tensor q = m.quantile(0.95);         // of the mixture itself, not of a normal
//
// Source: Grimit, Gneiting, Berrocal and Johnson 2006 (CRPS of a mixture of normals, eq. 5).
#pragma once

#include <cstdint>
#include <utility>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/scores.h"

namespace covary::stat {

struct PredictiveMixture {
  at::Tensor mean, variance;  // [parts, points], doubles
  at::Tensor weight;          // [parts, points], summing to 1 a point; undefined: equal

  int64_t parts() const { return mean.size(0); }
  int64_t points() const { return mean.size(1); }
  std::pair<at::Tensor, at::Tensor> moments() const;  // [points] each
  // Where the distribution function is p, in (0, 1), by bisection to 1e-10 of the spread: [points].
  at::Tensor quantile(double p) const;
  at::Tensor log_density(const at::Tensor& y) const;  // [points]; NaN where any is NaN
};

// y [points]; errors and what is left out as for a single normal, see scores.h. The standardised
// residuals are normal quantiles of the probability of a smaller value. CRPS: O(parts^2) a point.
PredictiveScores predictive_scores(const PredictiveMixture& mixture, const at::Tensor& y);

}  // namespace covary::stat
