#include "covary/stat/process/chebyshev.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"

namespace covary::stat {
namespace {

constexpr const char* kWhere = "chebyshev scalarisation";

}  // namespace

std::vector<double> random_weights(int64_t objectives, uint64_t seed, uint64_t index) {
  if (objectives < 1) throw Error(ExitCode::kUsage, "there must be an objective", kWhere);
  // Exponential variables over their sum.
  const Random random(seed, stream_of("chebyshev.weights", index));
  std::vector<double> weights;
  double sum = 0;
  for (int64_t j = 0; j < objectives; ++j) {
    weights.push_back(-std::log1p(-random.uniform(static_cast<uint64_t>(j))));
    sum += weights.back();
  }
  for (double& w : weights) w = sum > 0 ? w / sum : 1 / static_cast<double>(objectives);
  return weights;
}

Chebyshev::Chebyshev(std::span<const double> observed, std::span<const double> weights, double rho)
    : weights_(weights.begin(), weights.end()), rho_(rho) {
  const size_t m = weights.size();
  if (m == 0 || observed.empty() || observed.size() % m != 0) {
    throw Error(ExitCode::kUsage,
                std::to_string(observed.size()) + " observed values are no rows of " +
                    std::to_string(m) + " objectives",
                kWhere);
  }
  if (!(rho >= 0) || !std::isfinite(rho)) {
    throw Error(ExitCode::kUsage, "rho must not be negative", kWhere);
  }
  double sum = 0;
  for (const double w : weights) {
    if (!(w >= 0) || !std::isfinite(w)) {
      throw Error(ExitCode::kUsage, "weights must not be negative", kWhere);
    }
    sum += w;
  }
  if (!(sum > 0) || !std::isfinite(sum)) {
    throw Error(ExitCode::kUsage, "weights must have a sum above 0", kWhere);
  }
  for (double& w : weights_) w /= sum;
  std::vector<double> low(observed.begin(), observed.begin() + static_cast<std::ptrdiff_t>(m));
  high_ = low;
  for (size_t i = 0; i < observed.size(); ++i) {
    if (!std::isfinite(observed[i])) {
      throw Error(ExitCode::kData, "objective " + std::to_string(i % m) + " is not a finite number",
                  "point " + std::to_string(i / m), "leave failed evaluations out");
    }
    low[i % m] = std::min(low[i % m], observed[i]);
    high_[i % m] = std::max(high_[i % m], observed[i]);
  }
  for (size_t j = 0; j < m; ++j) {
    const double range = high_[j] - low[j];
    if (!std::isfinite(range)) {
      throw Error(ExitCode::kData, "objective " + std::to_string(j) + " spans more than a double",
                  kWhere, "scale the objectives");
    }
    scale_.push_back(range > 0 ? range : 1);
  }
}

double Chebyshev::value(std::span<const double> objectives, std::span<double> slopes) const {
  const size_t m = weights_.size();
  if (objectives.size() != m || (!slopes.empty() && slopes.size() != m)) {
    throw Error(ExitCode::kUsage, "there are " + std::to_string(m) + " objectives", kWhere);
  }
  double least = 0, sum = 0;
  size_t worst = 0;
  for (size_t j = 0; j < m; ++j) {
    if (!std::isfinite(objectives[j])) {
      throw Error(ExitCode::kData, "objective " + std::to_string(j) + " is not a finite number",
                  kWhere);
    }
    const double term = weights_[j] * ((objectives[j] - high_[j]) / scale_[j]);
    sum += term;
    if (j == 0 || term < least) least = term, worst = j;
  }
  if (!std::isfinite(sum)) {
    throw Error(ExitCode::kData, "an objective is too far from the observed ones", kWhere,
                "scale the objectives");
  }
  for (size_t j = 0; j < slopes.size(); ++j) {
    slopes[j] = (rho_ + (j == worst ? 1 : 0)) * (weights_[j] / scale_[j]);
  }
  return least + rho_ * sum;
}

}  // namespace covary::stat
