// Criteria that choose among mixtures: smaller is better in all three.
//
//   const double p = free_parameters(compute::CovarianceType::kFull, 3, 2);   // 17
//   const Criteria c = criteria(log_likelihood, p, n, entropy);               // c.bic
//
// BIC = -2 L + p log n (Schwarz 1978), AIC = -2 L + 2 p (Akaike 1974), ICL = BIC + 2 H with H the
// entropy of the responsibilities, -sum_ik r_ik log r_ik (Biernacki, Celeux, Govaert 2000).
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/compute/gaussian/gaussian.h"
#include "covary/stat/mixture/covariance_rule.h"

namespace covary::mixture {

// Numbers that a fit of k components in d dimensions chooses: k d means, k - 1 weights, and the
// covariances: spherical k, diagonal k d, tied d (d + 1) / 2, full k d (d + 1) / 2; other rules as
// covariance_rule.h counts them.
double free_parameters(compute::CovarianceType type, int64_t k, int64_t d,
                       CovarianceRule rule = CovarianceRule::kFree, int64_t factors = 0);

struct Criteria {
  double bic = 0, aic = 0, icl = 0;
};

// Agreement of two partitions of the same rows, 1 for equal ones, about 0 for unrelated ones (Hubert
// and Arabie 1985). Labels are any integers; partitions that are trivial alike agree.
double adjusted_rand_index(const std::vector<int64_t>& a, const std::vector<int64_t>& b);

// log_likelihood: the sum over rows, nats; rows: their number, or sum of weights.
Criteria criteria(double log_likelihood, double parameters, double rows, double entropy);

}  // namespace covary::mixture
