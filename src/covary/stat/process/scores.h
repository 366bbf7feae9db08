// How well predictive normal distributions meet the values that came.
//
//   PredictiveScores s = predictive_scores(loo.mean, loo.variance, y);
//   s.rmse;  s.nlpd;  s.coverage[2];       // share of values inside their 95 % intervals
//   report["leave_one_out"] = s.to_json();
//
// Source: Gneiting and Raftery 2007 (scores, eq. 21 for CRPS); Gneiting, Balabdaoui and Raftery
// 2007 (probability integral transform).
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

#include "covary/stat/process/likelihood.h"

namespace covary::stat {

struct PredictiveScores {
  static constexpr std::array<double, 3> kLevels{0.5, 0.8, 0.95};
  static constexpr int kBins = 10;

  int64_t rows = 0;
  double rmse = 0, mae = 0;          // units of y
  double nlpd = 0;                   // mean negative log density a value, nats
  double crps = 0;                   // mean continuous ranked probability score, units of y
  double r2 = 0;                     // 1 - mean square error / variance of the values
  std::array<double, 3> coverage{};  // of central intervals of kLevels: share of values inside
  std::array<int64_t, kBins> pit{};  // values by the probability of a smaller one, in tenths
  std::vector<double> standardised;  // (y - mean) / sd, ascending: for a QQ plot
  // Values that are not normal given what is predicted: crps, coverage, pit and standardised stay
  // empty; of labels also the share that the likelier one meets, and the mean square of value less
  // probability.
  bool normal = true, labels = false;
  double accuracy = 0, brier = 0;
  // Counts a value by the probability of a smaller one, in coverage and pit; coverage is a count until
  // the rows are known.
  void count_place(double probability);
  nlohmann::json to_json() const;
};

// mean, variance, y [n], doubles; rows where any is NaN are left out. Throws Error(kFailed) when a
// variance is not positive, Error(kData) when no row is left.
PredictiveScores predictive_scores(const at::Tensor& mean, const at::Tensor& variance,
                                   const at::Tensor& y);

// The same of values behind a likelihood, by mean and variance of the function.
PredictiveScores predictive_scores(const Likelihood& likelihood, const at::Tensor& mean,
                                   const at::Tensor& variance, const at::Tensor& y);
// Log density of each value, nats; NaN where any is NaN.
at::Tensor log_densities(const Likelihood& likelihood, const at::Tensor& mean,
                         const at::Tensor& variance, const at::Tensor& y);

}  // namespace covary::stat
