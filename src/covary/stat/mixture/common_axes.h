// Axes that several scatters share. Within mixture only.
//
//   std::vector<double> axes;                                 // [d,d] in columns, or empty
//   common_axes(k, d, true, masses, covariances, axes);       // axes of all
//
// Covariances S_k [k,d,d] become v_k D A_k D', |A_k| = 1, with the same D, which maximise
// sum_k n_k (-log |S| - tr(S^-1 S_k)): with v_k their own (VVE: Flury 1984's common principal
// components) or one v for all (EVE: Celeux and Govaert 1995). In turn v A_k are set to what is best
// for D, and D to what is better for them: for two of its columns the rotation that minimises
// sum_k n_k tr(D (v_k A_k)^-1 D' S_k) is an eigenvector of a 2 x 2 matrix. The objective never falls
// on the way. It begins from the axes given and from those of the pooled scatter, and keeps the better
// end, so that it is never worse than the axes given. Components with mass 0 are left alone.
#pragma once

#include <cstdint>
#include <vector>

namespace covary::mixture {

void common_axes(int64_t k, int64_t d, bool own_volume, const std::vector<double>& masses,
                 std::vector<double>& covariances, std::vector<double>& axes);

}  // namespace covary::mixture
