#include "covary/stat/mixture/criteria.h"

#include <cmath>
#include <map>
#include <utility>

namespace covary::mixture {

double free_parameters(compute::CovarianceType type, int64_t k, int64_t d, CovarianceRule rule,
                       int64_t factors) {
  const double kd = static_cast<double>(k), dd = static_cast<double>(d);
  return kd * dd + kd - 1 + covariance_parameters(rule, type, k, d, factors);
}

Criteria criteria(double log_likelihood, double parameters, double rows, double entropy) {
  const double bic = -2 * log_likelihood + parameters * std::log(rows);
  return {bic, -2 * log_likelihood + 2 * parameters, bic + 2 * entropy};
}

double adjusted_rand_index(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  std::map<std::pair<int64_t, int64_t>, double> both;
  std::map<int64_t, double> in_a, in_b;
  for (size_t i = 0; i < a.size(); ++i) {
    ++both[{a[i], b[i]}];
    ++in_a[a[i]];
    ++in_b[b[i]];
  }
  const auto pairs = [](double n) { return n * (n - 1) / 2; };
  double together = 0, of_a = 0, of_b = 0;
  for (const auto& [key, n] : both) together += pairs(n);
  for (const auto& [key, n] : in_a) of_a += pairs(n);
  for (const auto& [key, n] : in_b) of_b += pairs(n);
  const double all = pairs(static_cast<double>(a.size()));
  const double expected = all > 0 ? of_a * of_b / all : 0, most = (of_a + of_b) / 2;
  return most == expected ? 1 : (together - expected) / (most - expected);
}

}  // namespace covary::mixture
