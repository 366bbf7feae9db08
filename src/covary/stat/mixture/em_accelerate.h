// Longer strides for EM: extrapolation of two steps, and inverse temperatures. Within mixture only.
//
//   std::optional<MixtureState> far = extrapolate(s0, s1, s2, floor);   // s1, s2: EM steps from s0
//
// Squared extrapolation (Varadhan and Roland 2008, scheme S3): with r = s1 - s0 and v = s2 - s1 - r the
// next point is s0 - 2 a r + a^2 v, a = -|r| / |v|, at most -1. Parameters are taken where any number is
// allowed: logs of weights, means in units of the data's deviations, logs of variances, or Cholesky
// factors with the logs of their diagonals. None when a weight is 0 or the result falls below the floor.
// The caller keeps it only when the likelihood has not fallen.
//
//   AndersonMixing mixing(5);
//   far = mixing.next(before, after, floor);      // after every EM step; from the second on there is one
//   mixing.restart();                             // when it was not kept
//
// Anderson's mixing (Anderson 1965; Walker and Ni 2011; for EM with a safeguard Henderson and Varadhan
// 2019): of the last steps' residuals f = g - s, s before and g after a step, in the same free numbers,
// the combination that is least, |f_k - dF c|, gives the next point g_k - dG c.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "covary/stat/mixture/mixture_state.h"

namespace covary::mixture {

std::optional<MixtureState> extrapolate(const MixtureState& s0, const MixtureState& s1,
                                        const MixtureState& s2, const VarianceFloor& floor);

class AndersonMixing {
 public:
  // depth: differences of steps that are kept, at least 1.
  explicit AndersonMixing(int64_t depth) : depth_(depth) {}

  std::optional<MixtureState> next(const MixtureState& before, const MixtureState& after,
                                   const VarianceFloor& floor);
  void restart();

 private:
  int64_t depth_;
  std::vector<double> residual_, point_;                 // f and g of the last step
  std::vector<std::vector<double>> residuals_, points_;  // their differences, oldest first
};

// The mixture whose responsibilities are those of s raised to a power in (0, 1]: an inverse temperature
// (Ueda and Nakano 1998, Neural Networks 11, equation 14). Its log-densities mean nothing.
MixtureState tempered(const MixtureState& s, double power);

}  // namespace covary::mixture
