// Several objectives as one number, by random trade-offs: what to maximise where boxes become too
// many, and what spreads a batch over a front. All objectives are maximised.
//
//   const Chebyshev one(observed, random_weights(m, seed, iteration));   // observed [n, m]
//   const double worth = one.value(y, slopes);                           // y, slopes [m]
//
// Each objective is put on the scale of the observed values, v_j = (y_j - low_j) / (high_j - low_j),
// and measured from the best, 1:
//   worth = min_j w_j (v_j - 1) + rho sum_j w_j (v_j - 1).
// The first part is the weighted distance to the ideal that is worst; with positive weights every
// point of the front, also where it is not convex, is best for some of them. The second, small part
// rules out points that are only weakly best. rho = 0.05.
//
// Only the front's range counts if the observed points are those of the front, as they should be
// when there are outliers. A constant objective has scale 1. value throws Error(kUsage) for wrong
// sizes and Error(kData) for values that are not finite; O(m).
// Source: Knowles 2006 (ParEGO); the scalarisation is Steuer and Choo's of 1983.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace covary::stat {

// Weights that sum to 1, uniform over all such; a function of its arguments alone.
std::vector<double> random_weights(int64_t objectives, uint64_t seed, uint64_t index);

class Chebyshev {
 public:
  // observed: rows, at least one. weights: not negative, one positive; they are scaled to sum 1.
  Chebyshev(std::span<const double> observed, std::span<const double> weights, double rho = 0.05);

  // slopes [m] or empty; at a corner of the minimum, those of the first objective that attains it.
  double value(std::span<const double> objectives, std::span<double> slopes = {}) const;

  const std::vector<double>& weights() const { return weights_; }

 private:
  std::vector<double> weights_, high_, scale_;  // [m]; scale: high - low
  double rho_;
};

}  // namespace covary::stat
