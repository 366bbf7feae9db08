// The best batch by an acquisition function: many evenly spread trials, the promising ones climbed by gradient.
//
//   const Candidates best = find_candidates(*acquisition, space, 4, {}, seed, incumbents);
//   best.points;                          // [4, width], codes of allowed rows
//
// Trials are scrambled Sobol points of all q x width coordinates, and batches near the incumbents. `starts` of them are
// chosen: the best, and others with a probability that grows like exp of their value. Each is climbed in the continuous
// columns by L-BFGS-B; integers and categories are moved to the neighbour that gains most while one does, in turn with
// the climb: every value that counts is that of an allowed row.
// Starts run on all threads; the same seed gives the same bits at any number of them.
// Source: Balandat et al. 2020, section 4.1 (the scheme); Daulton et al. 2022 (moves between neighbours).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/stat/process/acquisition.h"
#include "covary/stat/process/candidates_options.h"
#include "covary/stat/process/search_space.h"

namespace covary::stat {

struct CandidateBox {                          // where candidates may lie, within the unit cube
  std::vector<double> lower = {}, upper = {};  // [width]; empty: all of it
};

struct Candidates {
  std::vector<double> points;  // [count, width]
  double value = 0;            // of the acquisition
  int64_t evaluations = 0;
};

// incumbents [k, width], codes; may be empty. Throws Error(kUsage) for bad options and shapes, Error(kFailed) when no
// trial has a finite value.
Candidates find_candidates(const Acquisition& acquisition, const SearchSpace& space, int64_t count,
                           const CandidateOptions& options, uint64_t seed,
                           const std::vector<double>& incumbents = {},
                           const CandidateBox& box = {});

}  // namespace covary::stat
