// Online and incremental EM of Gaussian mixtures.
#include <algorithm>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/mixture/gaussian_mixture.h"

namespace covary::mixture {
namespace {

void check_likelihood(const compute::MixtureSums& sums) {
  if (!std::isfinite(sums.log_likelihood))
    throw Error(ExitCode::kFailed, "a row has density 0 in double precision", "mixture",
                "drop rows far from all others");
}

void refuse_prior(const GaussianMixtureOptions& o) {
  if (o.prior_rows > 0)
    throw Error(ExitCode::kUsage, "a prior serves fits of all rows at once", "prior_rows",
                "call fit, or leave it out");
}

}  // namespace

GaussianMixture& GaussianMixture::partial_fit(const at::Tensor& x, const at::Tensor& weights) {
  refuse_prior(options_);
  const Rows rows(x, weights);
  const ColumnMoments moments = column_moments(rows);
  if (state_.k == 0) {
    if (moments.rows < static_cast<double>(options_.components))
      throw Error(ExitCode::kData, "the first batch has fewer rows than there are components",
                  "components", "give a longer first batch");
    floor_ = {moments.variance, options_.floor};
    report_.constant_columns = replace_constant(moments.mean, floor_.variance);
    state_ = first_state(rows, moments, floor_, options_);
  } else if (state_.d != rows.columns()) {
    throw Error(ExitCode::kData, "the batch has other columns than the mixture", "data");
  } else if (floor_.variance.empty()) {
    floor_ = {moments.variance, options_.floor};
    replace_constant(moments.mean, floor_.variance);
  }
  compute::MixtureSums sums(state_.type, state_.k, state_.d);
  expect(state_, rows, moments.missing, sums);
  check_likelihood(sums);
  report_.log_likelihood = sums.log_likelihood;
  report_.weight = sums.weight;
  report_.rows = sums.rows;
  report_.trace.mean_log_likelihood.push_back(sums.log_likelihood / sums.weight);
  double gain = options_.online_gain > 0
                    ? options_.online_gain
                    : std::pow(static_cast<double>(batches_ + 2), -options_.online_power);
  if (running_.empty()) running_.emplace_back(state_.type, state_.k, state_.d), gain = 1;
  // Before the first step batches count alike.
  if (batches_ < options_.online_delay) gain = 1 / static_cast<double>(batches_ + 1);
  compute::MixtureSums& s = running_.front();
  const auto blend = [&](std::vector<double>& to, const std::vector<double>& from) {
    for (size_t i = 0; i < to.size(); ++i)
      to[i] = (1 - gain) * to[i] + gain * from[i] / sums.weight;
  };
  blend(s.mass, sums.mass);
  blend(s.shift, sums.shift);
  blend(s.scatter, sums.scatter);
  if (++batches_ <= options_.online_delay) return *this;
  const std::vector<double> before = state_.means;
  const MStep step = maximise(s, floor_, options_.least_weight, state_);
  report_.trace.floored = step.floored;
  ++report_.trace.steps;
  move_sums(state_.type, state_.k, state_.d, before, state_.means, s);
  return *this;
}

GaussianMixture& GaussianMixture::fit_incremental(const at::Tensor& x, const at::Tensor& weights,
                                                  int64_t blocks) {
  refuse_prior(options_);
  const at::Tensor all = checked_rows(x, "data", false);
  const at::Tensor w = checked_weights(weights, all.size(0));
  const int64_t n = all.size(0);
  if (blocks < 1) throw Error(ExitCode::kUsage, "must be at least 1", "blocks");
  blocks = std::min(blocks, n);
  const Rows rows(all, w);
  const ColumnMoments moments = column_moments(rows);
  if (moments.rows < static_cast<double>(options_.components))
    throw Error(ExitCode::kData, "fewer rows than components", "components",
                "ask for at most as many components as there are rows");
  FitReport report;
  VarianceFloor floor{moments.variance, options_.floor};
  report.constant_columns = replace_constant(moments.mean, floor.variance);
  if (options_.init == "given") {
    need_fit();
    if (state_.d != rows.columns())
      throw Error(ExitCode::kData, "the given means have other columns than the data", "means");
  } else {
    state_ = first_state(rows, moments, floor, options_, &report.start);
  }
  const int64_t k = state_.k, d = state_.d;
  using compute::MixtureSums;
  // Each block's sums stay about the means that they were taken at.
  std::vector<MixtureSums> parts(static_cast<size_t>(blocks), MixtureSums(state_.type, k, d));
  std::vector<std::vector<double>> centres(static_cast<size_t>(blocks), state_.means);
  const double* values = all.data_ptr<double>();
  const auto take = [&](int64_t b) {
    const int64_t begin = b * n / blocks, end = (b + 1) * n / blocks;
    MixtureSums& part = parts[static_cast<size_t>(b)];
    part.clear();
    compute::accumulate_mixture(state_.view(), values + begin * d,
                                w.defined() ? w.data_ptr<double>() + begin : nullptr, end - begin,
                                part);
    check_likelihood(part);
    centres[static_cast<size_t>(b)] = state_.means;
  };
  const auto total = [&] {
    MixtureSums sum(state_.type, k, d);
    for (int64_t b = 0; b < blocks; ++b) {
      MixtureSums part = parts[static_cast<size_t>(b)];
      move_sums(state_.type, k, d, centres[static_cast<size_t>(b)], state_.means, part);
      sum.add(part);
    }
    return sum;
  };
  for (int64_t b = 0; b < blocks; ++b) take(b);
  MixtureSums sums = total();
  report.trace.mean_log_likelihood.push_back(sums.log_likelihood / sums.weight);
  while (report.trace.steps < options_.steps && !report.trace.converged) {
    for (int64_t b = 0; b < blocks; ++b) {
      report.trace.floored = maximise(sums, floor, options_.least_weight, state_).floored;
      take(b);
      sums = total();
    }
    ++report.trace.steps;
    // The likelihood of each block is of the parameters that it was last seen with, so it may fall a
    // little from pass to pass.
    const double now = sums.log_likelihood / sums.weight;
    report.trace.converged =
        std::abs(now - report.trace.mean_log_likelihood.back()) < options_.tolerance;
    report.trace.mean_log_likelihood.push_back(now);
  }
  sums.clear();
  expect(state_, rows, false, sums);
  report.trace.mean_log_likelihood.back() = sums.log_likelihood / sums.weight;
  report.log_likelihood = sums.log_likelihood;
  report.entropy = std::max(0.0, sums.entropy);
  report.rows = sums.rows;
  report.weight = sums.weight;
  report.parameters = free_parameters(state_.type, k, d, state_.rule, state_.factors);
  report.criteria =
      criteria(report.log_likelihood, report.parameters, report.weight, report.entropy);
  report_ = std::move(report);
  floor_ = std::move(floor);
  running_.clear();
  batches_ = 0;
  return *this;
}

}  // namespace covary::mixture
