#include "covary/stat/mixture/criteria.h"

#include <cmath>

namespace covary::mixture {

double free_parameters(compute::CovarianceType type, int64_t k, int64_t d) {
  const double kd = static_cast<double>(k), dd = static_cast<double>(d);
  const double triangle = dd * (dd + 1) / 2;
  double covariance = 0;
  switch (type) {
    case compute::CovarianceType::kSpherical:
      covariance = kd;
      break;
    case compute::CovarianceType::kDiagonal:
      covariance = kd * dd;
      break;
    case compute::CovarianceType::kTied:
      covariance = triangle;
      break;
    case compute::CovarianceType::kFull:
      covariance = kd * triangle;
      break;
  }
  return kd * dd + kd - 1 + covariance;
}

Criteria criteria(double log_likelihood, double parameters, double rows, double entropy) {
  const double bic = -2 * log_likelihood + parameters * std::log(rows);
  return {bic, -2 * log_likelihood + 2 * parameters, bic + 2 * entropy};
}

}  // namespace covary::mixture
