#include <algorithm>
#include <cmath>
#include <vector>

#include "covary/core/compute/improvement/improvement.h"

namespace covary::compute {
namespace {

constexpr double kFat = 0.1;        // of the Cauchy density beside the softplus
constexpr double kLargest = 1e140;  // whose square is finite
const double kStep = std::sqrt(1.0 / 3);

}  // namespace

void fat_log_positive_reference(const double* x, int64_t count, double tau, double* value,
                                double* slope) {
  for (int64_t i = 0; i < count; ++i) {
    const double u = std::clamp(x[i] / tau, -kLargest, kLargest);
    const double cauchy = 1 / (1 + u * u), small = std::exp(-std::abs(u));
    const double soft = std::max(u, 0.0) + std::log1p(small);
    const double sigmoid = (u > 0 ? 1 : small) / (1 + small);
    const double sum = soft + kFat * cauchy;
    value[i] = std::log(tau * sum);
    slope[i] = (sigmoid - 2 * kFat * u * cauchy * cauchy) / (tau * sum);
  }
}

void fat_log_step_reference(const double* x, int64_t count, double tau, double* value,
                            double* slope) {
  for (int64_t i = 0; i < count; ++i) {
    const double u = std::clamp(x[i] / tau, -kLargest, kLargest);
    const double away = std::abs(u) + kStep, bell = 2.0 / 3 / (1 + away * away);
    const double step = u < 0 ? bell : 1 - bell;
    value[i] = std::log(step);
    slope[i] = 2 * away * bell / (1 + away * away) / (tau * step);
  }
}

double fat_log_mean_max_reference(const double* l, int64_t q, int64_t draws, double tau,
                                  double* weights) {
  std::vector<double> v(static_cast<size_t>(draws));
  for (int64_t s = 0; s < draws; ++s) {
    int64_t best = 0;
    for (int64_t j = 1; j < q; ++j) {
      if (l[j * draws + s] > l[best * draws + s]) best = j;
    }
    const double most = l[best * draws + s];
    double sum = 0;
    for (int64_t j = 0; j < q; ++j) {
      const double t = (most - l[j * draws + s]) / tau;
      sum += 2 / (2 + 2 * t + t * t);
    }
    double left = 1;
    for (int64_t j = 0; j < q; ++j) {
      const double t = (most - l[j * draws + s]) / tau, p = 2 / (2 + 2 * t + t * t);
      const double w = p * p * (1 + t) / sum;
      weights[j * draws + s] = w;
      left -= w;
    }
    weights[best * draws + s] += left;
    v[static_cast<size_t>(s)] = most + tau * std::log(sum);
  }
  const double most = *std::max_element(v.begin(), v.end());
  double sum = 0;
  for (double& value : v) {
    value = std::exp(value - most);
    sum += value;
  }
  for (int64_t j = 0; j < q; ++j) {
    for (int64_t s = 0; s < draws; ++s) weights[j * draws + s] *= v[static_cast<size_t>(s)] / sum;
  }
  return most + std::log(sum / static_cast<double>(draws));
}

}  // namespace covary::compute
