#include "covary/stat/process/expected_hypervolume.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kMostObjectives = 16;
constexpr double kCertain = 40;  // so many deviations above a level, what is below has no weight

[[noreturn]] void refuse_overflow() {
  throw Error(ExitCode::kData, "the gain is larger than a double holds", "expected hypervolume",
              "scale the objectives");
}

void check_normals(std::span<const double> mean, std::span<const double> sd,
                   std::span<const double> by_mean, std::span<const double> by_sd, size_t count,
                   const char* where) {
  if (mean.size() != count || sd.size() != count || (!by_mean.empty() && by_mean.size() != count) ||
      (!by_sd.empty() && by_sd.size() != count)) {
    throw Error(
        ExitCode::kUsage,
        "means, deviations and their gradients must have " + std::to_string(count) + " entries",
        where);
  }
  for (size_t j = 0; j < count; ++j) {
    if (!std::isfinite(mean[j]) || !(sd[j] >= 0) || sd[j] == kInfinity) {
      throw Error(ExitCode::kData,
                  "entry " + std::to_string(j) + " has mean " + std::to_string(mean[j]) +
                      " and deviation " + std::to_string(sd[j]),
                  where);
    }
  }
}

}  // namespace

ExpectedHypervolume::ExpectedHypervolume(std::shared_ptr<const BoxDecomposition> boxes)
    : boxes_(std::move(boxes)) {
  if (boxes_ == nullptr) throw Error(ExitCode::kUsage, "needs boxes", "expected hypervolume");
  if (boxes_->objectives() > kMostObjectives) {
    throw Error(ExitCode::kUsage, "takes at most 16 objectives", "expected hypervolume");
  }
  for (int64_t j = 0; j < boxes_->objectives(); ++j) {
    for (auto* v : {&psi_, &slope_, &sd_slope_}) v->emplace_back(boxes_->levels(j).size(), 0.0);
  }
}

double ExpectedHypervolume::value(std::span<const double> mean, std::span<const double> sd,
                                  std::span<double> by_mean, std::span<double> by_sd) {
  const auto m = static_cast<size_t>(boxes_->objectives());
  check_normals(mean, sd, by_mean, by_sd, m, "expected hypervolume");
  for (size_t j = 0; j < m; ++j) {
    const auto levels = boxes_->levels(static_cast<int64_t>(j));
    const double s = sd[j];
    psi_[j].back() = slope_[j].back() = sd_slope_[j].back() = 0;  // at infinity
    for (size_t i = 0; i + 1 < levels.size(); ++i) {
      const double above = mean[j] - levels[i];
      if (above < kCertain * s) {
        // Far below 0 digits cancel, but not all: none is left only where both terms underflow.
        const double z = above / s, p = numeric::normal_cdf(z),
                     density = numeric::normal_density(z);
        psi_[j][i] = p > 0 ? s * std::max(density + z * p, 0.0) : 0;
        slope_[j][i] = p;
        sd_slope_[j][i] = density;
      } else {
        psi_[j][i] = std::max(above, 0.0);
        slope_[j][i] = above > 0 ? 1 : 0;
        sd_slope_[j][i] = 0;
      }
    }
  }
  double sum = 0, grad_mean[kMostObjectives] = {}, grad_sd[kMostObjectives] = {};
  const bool gradient = !by_mean.empty() || !by_sd.empty();
  const auto boxes = static_cast<size_t>(boxes_->size());
  const int32_t *lower[kMostObjectives], *upper[kMostObjectives];
  for (size_t j = 0; j < m; ++j) {
    lower[j] = boxes_->lower(static_cast<int64_t>(j)).data();
    upper[j] = boxes_->upper(static_cast<int64_t>(j)).data();
  }
  for (size_t k = 0; k < boxes; ++k) {
    double side[kMostObjectives], before[kMostObjectives];  // before: product of the sides before j
    double product = 1;
    for (size_t j = 0; j < m; ++j) {
      side[j] =
          psi_[j][static_cast<size_t>(lower[j][k])] - psi_[j][static_cast<size_t>(upper[j][k])];
      before[j] = product;
      product *= side[j];
    }
    sum += product;
    if (!gradient) continue;
    double after = 1;
    for (size_t j = m; j-- > 0;) {
      const auto low = static_cast<size_t>(lower[j][k]), high = static_cast<size_t>(upper[j][k]);
      const double others = before[j] * after;
      grad_mean[j] += others * (slope_[j][low] - slope_[j][high]);
      grad_sd[j] += others * (sd_slope_[j][low] - sd_slope_[j][high]);
      after *= side[j];
    }
  }
  if (!std::isfinite(sum)) refuse_overflow();
  for (size_t j = 0; j < by_mean.size(); ++j) by_mean[j] = grad_mean[j];
  for (size_t j = 0; j < by_sd.size(); ++j) by_sd[j] = grad_sd[j];
  return sum;
}

double ExpectedHypervolume::log_value(std::span<const double> mean, std::span<const double> sd,
                                      std::span<double> by_mean, std::span<double> by_sd) {
  const auto m = static_cast<size_t>(boxes_->objectives());
  check_normals(mean, sd, by_mean, by_sd, m, "expected hypervolume");
  for (size_t j = 0; j < m; ++j) {
    const auto levels = boxes_->levels(static_cast<int64_t>(j));
    const double s = sd[j], log_s = std::log(s);
    for (size_t i = 0; i < levels.size(); ++i) {
      const double above = mean[j] - levels[i];
      psi_[j][i] = -kInfinity;
      slope_[j][i] = sd_slope_[j][i] = 0;
      if (above == -kInfinity) continue;
      if (above < kCertain * s) {
        const double z = above / s;
        double ratio;  // of P(N < z) to the expectation; 1 - z ratio is that of the density
        const double log_expectation = numeric::log_improvement(z, &ratio);
        if (log_expectation == -kInfinity) continue;
        psi_[j][i] = log_s + log_expectation;
        slope_[j][i] = ratio / s;
        const double density_ratio =
            z < 0 ? 1 - z * ratio : numeric::normal_density(z) * std::exp(-log_expectation);
        sd_slope_[j][i] = density_ratio / s;
      } else if (above > 0) {
        psi_[j][i] = std::log(above);
        slope_[j][i] = 1 / above;
      }
    }
  }
  // A running sum of exponentials relative to the largest so far.
  double largest = -kInfinity, sum = 0;
  double grad_mean[kMostObjectives] = {}, grad_sd[kMostObjectives] = {};
  for (size_t k = 0; k < static_cast<size_t>(boxes_->size()); ++k) {
    double log_volume = 0, ratio_mean[kMostObjectives], ratio_sd[kMostObjectives];
    for (size_t j = 0; j < m; ++j) {
      const auto o = static_cast<int64_t>(j);
      const auto low = static_cast<size_t>(boxes_->lower(o)[k]),
                 high = static_cast<size_t>(boxes_->upper(o)[k]);
      // psi falls with the level: share = psi(upper) / psi(lower) < 1.
      const double gap = psi_[j][high] - psi_[j][low];
      if (psi_[j][low] == -kInfinity || !(gap < 0)) {
        log_volume = -kInfinity;
        break;
      }
      const double share = std::exp(gap), rest = -std::expm1(gap);
      log_volume += psi_[j][low] + std::log(rest);
      ratio_mean[j] = (slope_[j][low] - share * slope_[j][high]) / rest;
      ratio_sd[j] = (sd_slope_[j][low] - share * sd_slope_[j][high]) / rest;
    }
    if (log_volume == -kInfinity) continue;
    double weight = std::exp(log_volume - largest);
    if (log_volume > largest) {
      const double shrink = std::exp(largest - log_volume);
      sum *= shrink;
      for (size_t j = 0; j < m; ++j) grad_mean[j] *= shrink, grad_sd[j] *= shrink;
      largest = log_volume;
      weight = 1;
    }
    sum += weight;
    for (size_t j = 0; j < m; ++j) {
      grad_mean[j] += weight * ratio_mean[j];
      grad_sd[j] += weight * ratio_sd[j];
    }
  }
  if (!std::isfinite(sum) || largest == kInfinity) refuse_overflow();
  const double scale = sum > 0 ? 1 / sum : 0;
  for (size_t j = 0; j < by_mean.size(); ++j) by_mean[j] = scale * grad_mean[j];
  for (size_t j = 0; j < by_sd.size(); ++j) by_sd[j] = scale * grad_sd[j];
  return sum > 0 ? largest + std::log(sum) : -kInfinity;
}

double log_feasibility(std::span<const double> mean, std::span<const double> sd,
                       std::span<double> by_mean, std::span<double> by_sd) {
  check_normals(mean, sd, by_mean, by_sd, mean.size(), "constraints");
  double sum = 0;
  for (size_t j = 0; j < mean.size(); ++j) {
    const double z = -mean[j] / sd[j];
    double slope = 0;
    if (std::abs(z) < 1e100) {
      sum += numeric::log_normal_cdf(z, &slope);
    } else if (mean[j] > 0) {  // a deviation of 0, or as good as
      sum = -kInfinity;
    }
    if (!by_mean.empty()) by_mean[j] = slope == 0 ? 0 : -slope / sd[j];
    if (!by_sd.empty()) by_sd[j] = slope == 0 ? 0 : -slope * z / sd[j];
  }
  return sum;
}

}  // namespace covary::stat
