// By how much a point whose objectives are independent normals is expected to enlarge the
// hypervolume: in closed form, with gradients. All objectives are maximised.
//
//   ExpectedHypervolume ehvi(std::make_shared<BoxDecomposition>(front, reference));
//   const double gain = ehvi.value(mean, sd, by_mean, by_sd);        // each [m]
//   const double log_gain = ehvi.log_value(mean, sd);                // where the gain underflows
//
// The gain is the sum over the boxes of the open region of the product over the objectives of
// E max(0, min(Y, upper) - lower) = psi(lower) - psi(upper), psi(a) = E max(0, Y - a). psi is
// computed once a level of an objective (see box_decomposition.h), so that m (n + 2) normal tails
// and m multiplications a box make a value with gradient. With one objective it is the expected
// improvement. Standard deviations may be 0: the gain is then that of the point itself.
//
// z deviations below the front, value has a relative error of about 2e-16 z^4; log_value keeps all
// digits, and has a gradient where value underflows; minus infinity only where a gain is impossible (deviation 0).
// Constraints c <= 0 that are independent normals multiply the gain by the probability that all are
// met; the front should then be that of the feasible points.
//
// One object serves one thread; copies share the boxes. Throws Error(kUsage) for wrong sizes and
// Error(kData) for a mean that is not finite or a deviation that is negative or not finite.
// by_* may be empty, or have the size of what they are the gradient by.
// Sources: Emmerich, Yang, Deutz, Wang and Fonseca 2016 (two objectives); Yang et al. 2019
// (boxes); Ament et al. 2023 (why logarithms).
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "covary/stat/process/box_decomposition.h"

namespace covary::stat {

class ExpectedHypervolume {
 public:
  explicit ExpectedHypervolume(std::shared_ptr<const BoxDecomposition> boxes);

  double value(std::span<const double> mean, std::span<const double> sd,
               std::span<double> by_mean = {}, std::span<double> by_sd = {});
  double log_value(std::span<const double> mean, std::span<const double> sd,
                   std::span<double> by_mean = {}, std::span<double> by_sd = {});

  const BoxDecomposition& boxes() const { return *boxes_; }

 private:
  std::shared_ptr<const BoxDecomposition> boxes_;
  // Of each objective's levels: psi or its logarithm, and slopes by mean and deviation.
  std::vector<std::vector<double>> psi_, slope_, sd_slope_;
};

// log of the probability that independent normal constraints are all <= 0, with gradients. 0 for
// no constraints; minus infinity where a deviation is 0 and its mean above 0.
double log_feasibility(std::span<const double> mean, std::span<const double> sd,
                       std::span<double> by_mean = {}, std::span<double> by_sd = {});

}  // namespace covary::stat
