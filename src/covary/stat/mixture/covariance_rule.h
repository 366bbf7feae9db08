// Shapes of covariances between the four plain ones: what an M-step may choose. Within mixture only.
//
//   MixtureState s;  s.rule = rule_of("EEV");     // kept in full matrices, s.type = base_type("EEV")
//
// With the eigen-decomposition S_k = v_k D_k A_k D_k', |A_k| = 1, a name of three letters says whether
// volume v, shape A and orientation D are Equal in all components, Vary, or are the Identity (Banfield
// and Raftery 1993; Celeux and Govaert 1995, whose sections 4 and 5 give the closed forms):
//   EII one variance        VII = spherical      EEI one diagonal     VVI = diagonal
//   EEE = tied              VVV = full
//   EEV  v A = sum_k O_k / n, D_k the eigenvectors of the scatter W_k = D_k O_k D_k'
//   VEV  v_k = tr(O_k A^-1) / (d n_k), A ~ sum_k O_k / v_k, in turn until they stay
//   factors  S_k = L_k L_k' + diag(P_k) with L_k [d,q] (factor analysers: Ghahramani and Hinton 1996,
//            Technical Report CRG-TR-96-1, equations 8 to 12); a few steps of their EM a step of ours
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::mixture {

enum class CovarianceRule { kFree, kOneVariance, kOneDiagonal, kEqualShape, kOwnVolume, kFactors };

CovarianceRule rule_of(const std::string& name);
// How the covariances of that name are stored.
compute::CovarianceType base_type(const std::string& name);

// Free parameters of the covariances alone.
double covariance_parameters(CovarianceRule rule, compute::CovarianceType type, int64_t k,
                             int64_t d, int64_t factors);

// Covariances that are each component's own maximum become those of the rule; components with mass 0
// are left alone. masses [k]; covariances as stored; with factors, loadings [k,d,q] and noise [k,d] are
// improved from what they were (empty at first), noise never below least [d].
struct FactorState {
  std::vector<double> loadings, noise;
};
void constrain(CovarianceRule rule, int64_t k, int64_t d, int64_t factors,
               const std::vector<double>& masses, const std::vector<double>& least,
               std::vector<double>& covariances, FactorState& factor_state);

}  // namespace covary::mixture
