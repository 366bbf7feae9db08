// The numbers of a Gaussian mixture and the closed forms of EM's second half. Within mixture only.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/gaussian/gaussian.h"
#include "covary/stat/mixture/covariance_rule.h"

namespace covary::mixture {

// Normal-inverse-Wishart prior of every component, for the most probable parameters instead of the
// likeliest: S_k ~ W^-1(scale, degrees), m_k ~ N(mean, S_k / rows); with diagonal covariances each
// column by itself, of degrees - d + 1. rows = 0: no prior.
struct MixturePrior {
  double rows = 0, degrees = 0;
  std::vector<double> mean, scale;  // [d]; the scale matrix is diagonal
};

struct MixtureState {
  compute::CovarianceType type = compute::CovarianceType::kFull;
  CovarianceRule rule = CovarianceRule::kFree;
  int64_t factors = 0;   // of CovarianceRule::kFactors
  RuleState rule_state;  // of rules that go on from the step before
  MixturePrior prior;
  int64_t k = 0, d = 0;
  std::vector<double> log_weights;  // [k]
  std::vector<double> means;        // [k,d]
  std::vector<double> covariances;  // shaped as compute::covariance_size says; symmetric
  std::vector<double> whiten;       // follows from covariances

  compute::GaussianMixtureView view() const {
    return {type, k, d, log_weights.data(), means.data(), whiten.data()};
  }
  // Covariance of one component as a full matrix [d,d].
  std::vector<double> covariance(int64_t component) const;
  // whiten from covariances; Error(kData) names a component whose covariance is not positive
  // definite, and its smallest eigenvalue.
  void factorise();
  // log of the prior's density at the parameters, but for a constant; 0 without a prior.
  double log_prior() const;
};

// Least variances: `variance` [d] of the data and the share of it that no direction of a covariance
// may fall below.
struct VarianceFloor {
  std::vector<double> variance;
  double share = 0;
};

// The data's variances with those of constant columns replaced: by the square of 2^-26 of the
// column's size, or by 1 where that is 0 too. How many were.
int64_t replace_constant(const std::vector<double>& mean, std::vector<double>& variance);

struct MStep {
  int64_t floored = 0;           // covariances that the floor changed
  std::vector<int64_t> starved;  // components below the least weight: left as they were
};

// Weights, means and covariances that maximise the expected log-likelihood whose sums, about the
// state's means, are given; among the covariances that are nowhere below the floor. That is, with
// S = scatter / mass - delta delta', the eigenvalues of S in units of the floor's variances that
// are below the share are raised to it: the constrained maximum, so that the likelihood never
// falls. The state's rule comes before the floor, and its prior before the rule: with a prior, the
// log-posterior is what never falls.
MStep maximise(const compute::MixtureSums& sums, const VarianceFloor& floor, double least_weight,
               MixtureState& state);

// A row x [d] that belongs to a component with the weight w is added to sums about the state's means.
void add_row(const MixtureState& state, int64_t component, double w, const double* x,
             compute::MixtureSums& sums);

// Sums about the means `from` become sums about `to` [k,d].
void move_sums(compute::CovarianceType type, int64_t k, int64_t d, const std::vector<double>& from,
               const std::vector<double>& to, compute::MixtureSums& sums);

}  // namespace covary::mixture
