// For tests and benchmarks: a random mixture, and points drawn near it.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/compute/gaussian/gaussian.h"

namespace covary::compute {

struct RandomMixture {
  // spread: distance of the means from 0, in standard deviations.
  RandomMixture(CovarianceType type, int64_t k, int64_t d, double spread)
      : type_(type), k_(k), d_(d), log_weights(size_t(k)), means(size_t(k * d)) {
    const Random random(11, static_cast<uint64_t>(100 * k + d));
    uint64_t element = 0;
    for (double& w : log_weights)
      w = std::log(0.2 + random.uniform(element++)) - std::log(double(k));
    for (double& m : means) m = 3 + spread * random.normal(element++);
    whiten.resize(size_t(covariance_size(type, k, d)));
    const bool matrices = type == CovarianceType::kTied || type == CovarianceType::kFull;
    for (size_t i = 0; i < whiten.size(); ++i) {
      const int64_t row = int64_t(i) / d % d, column = int64_t(i) % d;
      whiten[i] = !matrices || row == column ? 0.5 + random.uniform(element++)
                  : column < row             ? 0.3 * random.normal(element++)
                                             : 0.0;
    }
  }
  GaussianMixtureView view() const {
    return {type_, k_, d_, log_weights.data(), means.data(), whiten.data()};
  }
  // About the means, in turn.
  std::vector<double> points(int64_t n) const {
    const Random random(12);
    std::vector<double> x(size_t(n * d_));
    for (int64_t i = 0; i < n * d_; ++i) {
      x[size_t(i)] = means[size_t(i / d_ % k_ * d_ + i % d_)] + random.normal(uint64_t(i));
    }
    return x;
  }

  CovarianceType type_;
  int64_t k_, d_;
  std::vector<double> log_weights, means, whiten;
};

}  // namespace covary::compute
