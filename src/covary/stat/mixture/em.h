// Expectation-maximisation over rows in memory or in chunks. Within mixture only; see
// gaussian_mixture.h for what it means.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/mixture/gaussian_mixture_options.h"
#include "covary/stat/mixture/mixture_state.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {

// One E-step: sums about the state's means over all rows, missing entries integrated out. Without
// moments the likelihood and its like alone are sure to be there.
void expect(const MixtureState& state, const Rows& rows, bool missing, compute::MixtureSums& sums,
            bool moments = true);

struct EmTrace {
  // Before each step, and of the final parameters; with a prior, the log-posterior (but for a
  // constant) a row.
  std::vector<double> mean_log_likelihood;
  int64_t steps = 0;  // M-steps done
  bool converged = false;
  int64_t reseeded = 0;          // components set anew at the least likely point
  std::vector<int64_t> reseeds;  // the steps at which that happened
  int64_t floored = 0;           // covariances at the floor in the last step
  int64_t jumps = 0;             // extrapolations kept
  int64_t exchanges = 0;         // splits with merges kept; the trace is of the last run
};

// The state's shape, rule and prior as the options name them; no parameters yet.
MixtureState empty_state(const GaussianMixtureOptions& options, const ColumnMoments& moments,
                         const VarianceFloor& floor);

// All covariances become the data's own: of its columns' variances.
void set_wide_covariances(const VarianceFloor& floor, MixtureState& state);

// The first M-step, of sums over so many rows about the state's means. Components without a row keep
// their mean and covariance, and have the weight of one.
void begin_from(const compute::MixtureSums& sums, const VarianceFloor& floor, double rows,
                MixtureState& state);

// Steps until the gain is below the tolerance; sums are those of the final parameters, but for moments
// that no step asked for.
EmTrace run_em(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
               const GaussianMixtureOptions& options, MixtureState& state,
               compute::MixtureSums& sums);

// Parameters to begin from: the best of options.starts short runs on options.init_rows rows.
// trace: of the start that was kept; left alone by a single start, which makes no step.
MixtureState first_state(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
                         const GaussianMixtureOptions& options, EmTrace* trace = nullptr);

}  // namespace covary::mixture
