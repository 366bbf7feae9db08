// Rows with missing entries: densities of what is there, and the sums of EM with what is missing
// integrated out (Ghahramani and Jordan 1994, section 3). Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/mixture_state.h"

namespace covary::mixture {

// The rows (of n, [n,d]) with at least one NaN, by the pattern of their NaNs.
struct MissingPattern {
  std::vector<int64_t> observed, missing;  // columns
  std::vector<int64_t> rows;
};
std::vector<MissingPattern> missing_patterns(const double* x, int64_t n, int64_t d);

// Adds rows of one pattern to the sums; a row of nothing but NaN adds nothing. weights may be null.
// Adds rows of one pattern to the sums; a row of nothing but NaN adds nothing. weights may be null.
// The least likely row is looked for among complete rows only.
void accumulate_missing(const MixtureState& state, const MissingPattern& pattern, const double* x,
                        const double* weights, compute::MixtureSums& sums);

// Joint log w_c + log N(x_observed | c) of the pattern's rows, [rows,k] in their order.
std::vector<double> missing_joint(const MixtureState& state, const MissingPattern& pattern,
                                  const double* x);

}  // namespace covary::mixture
