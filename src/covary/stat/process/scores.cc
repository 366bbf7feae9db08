#include "covary/stat/process/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"
#include "covary/core/numeric/normal.h"

namespace covary::stat {

void PredictiveScores::count_place(double probability) {
  for (size_t k = 0; k < kLevels.size(); ++k) {
    coverage[k] += std::abs(2 * probability - 1) <= kLevels[k];
  }
  ++pit[std::min<size_t>(static_cast<size_t>(probability * kBins), kBins - 1)];
}

PredictiveScores predictive_scores(const at::Tensor& mean, const at::Tensor& variance,
                                   const at::Tensor& y) {
  const at::Tensor m = mean.contiguous(), v = variance.contiguous(), t = y.contiguous();
  PredictiveScores s;
  double sum = 0, squares = 0, errors = 0;
  for (int64_t i = 0; i < t.numel(); ++i) {
    const double value = t.const_data_ptr<double>()[i], at = m.const_data_ptr<double>()[i],
                 spread = v.const_data_ptr<double>()[i];
    if (std::isnan(value) || std::isnan(at) || std::isnan(spread)) continue;
    if (!(spread > 0)) {
      throw Error(ExitCode::kFailed, "the predicted variance is 0: there is no density",
                  "row " + std::to_string(i), "use a kernel with white");
    }
    const double sd = std::sqrt(spread), z = (value - at) / sd, p = numeric::normal_cdf(z);
    ++s.rows;
    sum += value;
    squares += value * value;
    errors += (value - at) * (value - at);
    s.mae += std::abs(value - at);
    s.nlpd += 0.5 * (std::log(2 * std::numbers::pi * spread) + z * z);
    s.crps +=
        sd * (z * (2 * p - 1) + 2 * numeric::normal_density(z) - 1 / std::sqrt(std::numbers::pi));
    s.count_place(p);
    s.standardised.push_back(z);
  }
  if (s.rows == 0) throw Error(ExitCode::kData, "holds no value to compare with", "y");
  const auto n = static_cast<double>(s.rows);
  s.rmse = std::sqrt(errors / n);
  s.mae /= n;
  s.nlpd /= n;
  s.crps /= n;
  for (double& c : s.coverage) c /= n;
  const double spread = squares / n - sum / n * (sum / n);
  s.r2 = spread > 0 ? 1 - errors / n / spread : 0;
  std::sort(s.standardised.begin(), s.standardised.end());
  return s;
}

at::Tensor log_densities(const Likelihood& likelihood, const at::Tensor& mean,
                         const at::Tensor& variance, const at::Tensor& y) {
  const at::Tensor m = mean.contiguous(), v = variance.contiguous(), t = y.contiguous();
  likelihood.check({t.const_data_ptr<double>(), static_cast<size_t>(t.numel())});
  at::Tensor out = at::empty_like(t);
  parallel_for(t.numel(), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double value = t.const_data_ptr<double>()[i], at = m.const_data_ptr<double>()[i],
                   spread = v.const_data_ptr<double>()[i];
      const bool known = !(std::isnan(value) || std::isnan(at) || std::isnan(spread));
      out.data_ptr<double>()[i] = known ? likelihood.tilted(value, at, spread, {}).log_z
                                        : std::numeric_limits<double>::quiet_NaN();
    }
  });
  return out;
}

PredictiveScores predictive_scores(const Likelihood& likelihood, const at::Tensor& mean,
                                   const at::Tensor& variance, const at::Tensor& y) {
  const at::Tensor m = mean.contiguous(), v = variance.contiguous(), t = y.contiguous();
  const at::Tensor density = log_densities(likelihood, m, v, t);
  PredictiveScores s;
  s.normal = false;
  s.labels = likelihood.binary();
  double sum = 0, squares = 0, errors = 0;
  for (int64_t i = 0; i < t.numel(); ++i) {
    const double log_density = density.const_data_ptr<double>()[i];
    if (std::isnan(log_density)) continue;
    const double value = t.const_data_ptr<double>()[i];
    const double expected =
        likelihood.predict(m.const_data_ptr<double>()[i], v.const_data_ptr<double>()[i]).first;
    ++s.rows;
    sum += value;
    squares += value * value;
    errors += (value - expected) * (value - expected);
    s.mae += std::abs(value - expected);
    s.nlpd -= log_density;
    s.accuracy += s.labels && (expected > 0.5) == (value > 0.5);
  }
  if (s.rows == 0) throw Error(ExitCode::kData, "holds no value to compare with", "y");
  const auto n = static_cast<double>(s.rows);
  s.rmse = std::sqrt(errors / n);
  s.brier = s.labels ? errors / n : 0;
  s.mae /= n;
  s.nlpd /= n;
  s.accuracy /= n;
  const double spread = squares / n - sum / n * (sum / n);
  s.r2 = spread > 0 ? 1 - errors / n / spread : 0;
  return s;
}

nlohmann::json PredictiveScores::to_json() const {
  if (labels) return {{"rows", rows}, {"nlpd", nlpd}, {"accuracy", accuracy}, {"brier", brier}};
  if (!normal) return {{"rows", rows}, {"rmse", rmse}, {"mae", mae}, {"nlpd", nlpd}, {"r2", r2}};
  nlohmann::json coverage_of = nlohmann::json::object();
  for (size_t k = 0; k < kLevels.size(); ++k) {
    coverage_of[std::to_string(static_cast<int>(std::lround(100 * kLevels[k])))] = coverage[k];
  }
  return {{"rows", rows}, {"rmse", rmse}, {"mae", mae},
          {"nlpd", nlpd}, {"crps", crps}, {"coverage", coverage_of},
          {"r2", r2},     {"pit", pit}};
}

}  // namespace covary::stat
