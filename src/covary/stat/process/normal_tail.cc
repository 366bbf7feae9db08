#include "covary/stat/process/normal_tail.h"

#include <cmath>
#include <numbers>

namespace covary::stat {
namespace {

constexpr double kFar = -3;  // from here on by the continued fraction
constexpr double kLogRootTwoPi = 0.91893853320467274178;
constexpr double kRootTwoPiInverse = 0.39894228040143267794;

double density_at(double z) { return kRootTwoPiInverse * std::exp(-0.5 * z * z); }
double probability_at(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

// c of the header for t >= 3: from a depth at which what is left out is below 1e-17 of it.
double fraction_rest(double t) {
  const int depth = 8 + static_cast<int>(150 / t);
  double rest = 0;
  for (int k = depth; k >= 1; --k) rest = k / (t + rest);
  return rest;
}

}  // namespace

NormalTail normal_tail(double z) {
  const double density = density_at(z);
  if (z > kFar) {
    const double probability = probability_at(z);
    return {density + z * probability, probability, density};
  }
  const double rest = fraction_rest(-z), mills = 1 / (rest - z);
  return {density * rest * mills, density * mills, density};
}

LogTail log_normal_tail(double z) {
  if (z > kFar) {
    const NormalTail t = normal_tail(z);
    return {std::log(t.expectation), t.probability / t.expectation, t.density / t.expectation};
  }
  const double rest = fraction_rest(-z);
  return {-0.5 * z * z - kLogRootTwoPi + std::log(rest / (rest - z)), 1 / rest, (rest - z) / rest};
}

double log_normal_cdf(double z, double* slope) {
  if (z > kFar) {
    // Above 0 the small part is the other tail.
    const double probability = probability_at(z);
    if (slope != nullptr) *slope = density_at(z) / probability;
    return z > 0 ? std::log1p(-probability_at(-z)) : std::log(probability);
  }
  const double inverse_mills = fraction_rest(-z) - z;
  if (slope != nullptr) *slope = inverse_mills;
  return -0.5 * z * z - kLogRootTwoPi - std::log(inverse_mills);
}

}  // namespace covary::stat
