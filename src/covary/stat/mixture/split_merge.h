// Ways out of a poor maximum of a mixture's likelihood: two components become one, and another becomes
// two. Within mixture only.
//
//   split_and_merge(rows, moments, floor, options, state, sums, trace);   // after run_em
//
// Candidates in the order of Ueda, Nakano, Ghahramani and Hinton 2000 (SMEM; Neural Computation 12(9)):
// the pair that is most alike is merged, here by the cost of merging that keeps the moments (Runnalls
// 2007), and the component is split in whose places the mixture's density is smallest. (Their criterion
// for a split, the divergence of the component from the data under it, is -log n less the mean log-density
// of those data: it needs no density estimate.) At most options.split_merge candidates a round are fitted
// by EM; the first that raises the objective is kept, until none does. The likelihood never falls.
// Cost: one EM run a candidate.
#pragma once

#include "covary/stat/mixture/em.h"

namespace covary::mixture {

// How many exchanges were kept.
int64_t split_and_merge(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
                        const GaussianMixtureOptions& options, MixtureState& state,
                        compute::MixtureSums& sums, EmTrace& trace);

}  // namespace covary::mixture
