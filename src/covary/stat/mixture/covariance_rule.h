// Shapes of covariances between the four plain ones: what an M-step may choose. Within mixture only.
//
//   MixtureState s;  s.rule = rule_of("EEV");     // kept in full matrices, s.type = base_type("EEV")
//
// With the eigen-decomposition S_k = v_k D_k A_k D_k', |A_k| = 1, a name of three letters says whether
// volume v, shape A and orientation D are Equal in all components, Vary, or are the Identity (Banfield
// and Raftery 1993; Celeux and Govaert 1995, whose sections 4 and 5 give the forms below). With W_k a
// component's scatter, n_k its mass, n = sum n_k, and det(M) = |M|^(1/d):
//   EII one variance        VII = spherical      EEI one diagonal     VVI = diagonal
//   EEE = tied              VVV = full
//   VEI, VEE  v_k = tr(W_k C^-1) / (d n_k), C ~ sum_k W_k / v_k (its diagonal), in turn until they stay
//   EVI, EVV  C_k = W_k / det(W_k) (of the diagonals), v = sum_k det(W_k) / n
//   EEV  v A = sum_k O_k / n, D_k the eigenvectors of W_k = D_k O_k D_k'
//   VEV  as VEI with O_k for W_k
//   VVE  v_k A_k = diag(D' W_k D) / n_k; EVE  A_k ~ diag(D' W_k D), v = sum_k det(diag(D' W_k D)) / n;
//        in turn with D, improved by rotations of two axes at a time (common_axes.h)
//   factors  S_k = L_k L_k' + diag(P_k) with L_k [d,q] (factor analysers: Ghahramani and Hinton 1996,
//            Technical Report CRG-TR-96-1, equations 8 to 12); a few steps of their EM a step of ours
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::mixture {

enum class CovarianceRule {
  kFree,
  kOneVariance,        // EII
  kOneDiagonal,        // EEI
  kDiagonalOwnVolume,  // VEI
  kDiagonalOwnShape,   // EVI
  kMatrixOwnVolume,    // VEE
  kMatrixOwnShape,     // EVV
  kEqualShape,         // EEV
  kOwnVolume,          // VEV
  kAxesOwnShape,       // EVE
  kAxes,               // VVE
  kFactors
};

CovarianceRule rule_of(const std::string& name);
// How the covariances of that name are stored.
compute::CovarianceType base_type(const std::string& name);

// Free parameters of the covariances alone, as mclust counts them.
double covariance_parameters(CovarianceRule rule, compute::CovarianceType type, int64_t k,
                             int64_t d, int64_t factors);

// What a rule goes on from at the next step: loadings [k,d,q] and noise [k,d] of factors, axes [d,d] in
// columns of EVE and VVE; empty at first.
struct RuleState {
  std::vector<double> loadings, noise, axes;
};

// Covariances that are each component's own maximum become those of the rule; components with mass 0
// are left alone. masses [k]; covariances as stored; the noise of factors is never below least [d].
void constrain(CovarianceRule rule, int64_t k, int64_t d, int64_t factors,
               const std::vector<double>& masses, const std::vector<double>& least,
               std::vector<double>& covariances, RuleState& rule_state);

}  // namespace covary::mixture
