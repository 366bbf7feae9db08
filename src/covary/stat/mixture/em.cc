#include "covary/stat/mixture/em.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/cluster/kmeans.h"
#include "covary/stat/mixture/em_accelerate.h"
#include "covary/stat/mixture/missing.h"

namespace covary::mixture {
namespace {

using compute::CovarianceType;
using compute::MixtureSums;

bool has_missing(const double* row, int64_t d) {
  return std::any_of(row, row + d, [](double v) { return std::isnan(v); });
}

// The complete row of this index among complete rows.
std::vector<double> complete_row(const Rows& rows, int64_t index) {
  const int64_t d = rows.columns();
  std::vector<double> found;
  int64_t seen = 0;
  rows.visit([&](const double* x, const double*, int64_t n) {
    for (int64_t i = 0; i < n && found.empty(); ++i) {
      if (has_missing(x + i * d, d)) continue;
      if (seen++ == index) found.assign(x + i * d, x + (i + 1) * d);
    }
  });
  return found;
}

// The data's own covariance as a component's: of its columns' variances.
void set_wide_covariance(const VarianceFloor& floor, int64_t c, MixtureState& s) {
  const int64_t d = s.d;
  double mean = 0;
  for (const double v : floor.variance) mean += v / static_cast<double>(d);
  switch (s.type) {
    case CovarianceType::kSpherical:
      s.covariances[static_cast<size_t>(c)] = mean;
      break;
    case CovarianceType::kDiagonal:
      std::copy_n(floor.variance.begin(), d, s.covariances.begin() + c * d);
      break;
    case CovarianceType::kTied:
      break;  // shared: not this component's to set
    case CovarianceType::kFull:
      std::fill_n(s.covariances.begin() + c * d * d, d * d, 0.0);
      for (int64_t j = 0; j < d; ++j) {
        s.covariances[static_cast<size_t>((c * d + j) * d + j)] =
            floor.variance[static_cast<size_t>(j)];
      }
      break;
  }
}

}  // namespace

void set_wide_covariances(const VarianceFloor& floor, MixtureState& s) {
  if (s.type == CovarianceType::kTied) {
    std::fill(s.covariances.begin(), s.covariances.end(), 0.0);
    for (int64_t j = 0; j < s.d; ++j) {
      s.covariances[static_cast<size_t>(j * s.d + j)] = floor.variance[static_cast<size_t>(j)];
    }
    return;
  }
  for (int64_t c = 0; c < s.k; ++c) set_wide_covariance(floor, c, s);
}

void begin_from(const MixtureSums& sums, const VarianceFloor& floor, double rows, MixtureState& s) {
  const MStep step = maximise(sums, floor, 0, s);
  const double all = rows + static_cast<double>(step.starved.size());
  for (double& w : s.log_weights) w += std::log(rows / all);
  for (const int64_t c : step.starved) s.log_weights[static_cast<size_t>(c)] = -std::log(all);
}

namespace {

// Rows spread evenly over all, columns that miss an entry filled with their mean.
struct Sample {
  std::vector<double> x, weights;  // [n,d], [n]
  int64_t n = 0;
};

Sample sample_of(const Rows& rows, const ColumnMoments& moments, int64_t most, int64_t seed) {
  const int64_t d = rows.columns(), total = static_cast<int64_t>(moments.rows);
  const int64_t wanted = std::min(most, total);
  const Random random(static_cast<uint64_t>(seed), stream_of("mixture.sample"));
  Sample s;
  int64_t seen = 0, next = -1;
  // One row of each of `wanted` equal stretches.
  const auto draw = [&] {
    if (s.n >= wanted) return int64_t{-1};
    const int64_t begin = s.n * total / wanted, end = (s.n + 1) * total / wanted;
    return begin + static_cast<int64_t>(random.below(static_cast<uint64_t>(end - begin),
                                                     static_cast<uint64_t>(s.n)));
  };
  next = draw();
  rows.visit([&](const double* x, const double* weights, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      const double* row = x + i * d;
      const double w = weights ? weights[i] : 1.0;
      const bool empty = std::all_of(row, row + d, [](double v) { return std::isnan(v); });
      if (empty || w == 0) continue;
      if (seen++ != next) continue;
      for (int64_t j = 0; j < d; ++j) {
        s.x.push_back(std::isnan(row[j]) ? moments.mean[static_cast<size_t>(j)] : row[j]);
      }
      s.weights.push_back(w);
      ++s.n;
      next = draw();
    }
  });
  return s;
}

MixtureState start_from(const Sample& sample, const VarianceFloor& floor,
                        const ColumnMoments& moments, const GaussianMixtureOptions& o,
                        int64_t start) {
  const int64_t d = static_cast<int64_t>(floor.variance.size()), k = o.components;
  MixtureState s = empty_state(o, moments, floor);
  s.k = k;
  s.log_weights.assign(static_cast<size_t>(k), -std::log(static_cast<double>(k)));
  s.means.assign(static_cast<size_t>(k * d), 0.0);
  s.covariances.assign(static_cast<size_t>(compute::covariance_size(s.type, k, d)), 0.0);
  set_wide_covariances(floor, s);
  if (o.init == "random") {
    const Random random(static_cast<uint64_t>(o.seed),
                        stream_of("mixture.random", uint64_t(start)));
    for (int64_t c = 0; c < k; ++c) {
      const int64_t begin = c * sample.n / k, end = std::max(begin + 1, (c + 1) * sample.n / k);
      const int64_t i = begin + static_cast<int64_t>(random.below(
                                    static_cast<uint64_t>(end - begin), static_cast<uint64_t>(c)));
      std::copy_n(sample.x.begin() + i * d, d, s.means.begin() + c * d);
    }
    s.factorise();
    return s;
  }
  std::vector<double> scaled(sample.x);
  for (size_t i = 0; i < scaled.size(); ++i) {
    scaled[i] /= std::sqrt(floor.variance[i % static_cast<size_t>(d)]);
  }
  const auto clusters =
      linalg::kmeans<double>(scaled.data(), sample.weights.data(), sample.n, d,
                             {.clusters = k,
                              .init = o.init == "k-means||" ? "k-means||" : "k-means++",
                              .init_rows_per_cluster = 0,
                              .sweeps = o.init == "k-means" ? 100 : 0,
                              .seed = o.seed + 7919 * start});
  for (size_t i = 0; i < s.means.size(); ++i) {
    s.means[i] = clusters.centres[i] * std::sqrt(floor.variance[i % static_cast<size_t>(d)]);
  }
  MixtureSums sums(s.type, k, d);
  for (int64_t i = 0; i < sample.n; ++i)
    add_row(s, clusters.labels[static_cast<size_t>(i)], sample.weights[static_cast<size_t>(i)],
            sample.x.data() + i * d, sums);
  begin_from(sums, floor, static_cast<double>(sample.n), s);
  return s;
}

}  // namespace

MixtureState empty_state(const GaussianMixtureOptions& o, const ColumnMoments& moments,
                         const VarianceFloor& floor) {
  MixtureState s;
  s.type = base_type(o.covariance);
  s.rule = rule_of(o.covariance);
  s.d = static_cast<int64_t>(floor.variance.size());
  if (s.rule == CovarianceRule::kFactors) {
    if (o.factors > s.d)
      throw Error(ExitCode::kUsage,
                  "there are " + std::to_string(s.d) + " columns: fewer than factors", "factors",
                  "ask for fewer factors than columns");
    s.factors = o.factors;
  }
  if (o.prior_rows > 0) {
    s.prior.rows = o.prior_rows;
    s.prior.degrees = static_cast<double>(s.d) + o.prior_degrees;
    s.prior.mean = moments.mean;
    s.prior.scale = floor.variance;
    const double share =
        o.prior_share * std::pow(static_cast<double>(o.components), -2 / static_cast<double>(s.d));
    for (double& v : s.prior.scale) v *= share;
  }
  return s;
}

void expect(const MixtureState& state, const Rows& rows, bool missing, MixtureSums& sums,
            bool moments) {
  const int64_t d = state.d;
  sums.clear();
  std::vector<double> complete, weight;
  rows.visit([&](const double* x, const double* weights, int64_t n) {
    if (!missing) {
      compute::accumulate_mixture(state.view(), x, weights, n, sums, moments);
      return;
    }
    complete.clear();
    weight.clear();
    for (int64_t i = 0; i < n; ++i) {
      if (has_missing(x + i * d, d)) continue;
      complete.insert(complete.end(), x + i * d, x + (i + 1) * d);
      weight.push_back(weights ? weights[i] : 1.0);
    }
    compute::accumulate_mixture(state.view(), complete.data(), weight.data(),
                                static_cast<int64_t>(weight.size()), sums, moments);
    for (const MissingPattern& pattern : missing_patterns(x, n, d)) {
      accumulate_missing(state, pattern, x, weights, sums);
    }
  });
}

namespace {

constexpr double kHeat = 1.25;  // an inverse temperature over the one before
constexpr int64_t kStepsAtATemperature = 10;
constexpr double kParting = 1e-3;  // of the data's deviation

// Steps with responsibilities raised to powers that rise to 1. Components that a high temperature has
// made one are parted by a little noise, which grows where there is more than one.
void cool_down(const Rows& rows, bool missing, const VarianceFloor& floor,
               const GaussianMixtureOptions& o, MixtureState& state, MixtureSums& sums,
               EmTrace& trace) {
  uint64_t draw = 0;
  const Random random(static_cast<uint64_t>(o.seed), stream_of("mixture.heat"));
  for (double power = o.anneal; power < 1; power *= kHeat) {
    for (size_t i = 0; i < state.means.size(); ++i)
      state.means[i] += kParting * std::sqrt(floor.variance[i % static_cast<size_t>(state.d)]) *
                        random.normal(draw++);
    for (int64_t i = 0; i < kStepsAtATemperature; ++i, ++trace.steps) {
      expect(tempered(state, power), rows, missing, sums);
      if (!std::isfinite(sums.log_likelihood)) return;
      maximise(sums, floor, o.least_weight, state);
    }
  }
}

}  // namespace

EmTrace run_em(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
               const GaussianMixtureOptions& o, MixtureState& state, MixtureSums& sums) {
  EmTrace trace;
  if (o.anneal > 0) cool_down(rows, moments.missing, floor, o, state, sums, trace);
  bool disturbed = true;  // the last step was no plain EM step: its change says nothing
  const bool squarem = o.accelerate == "squarem", anderson = o.accelerate == "anderson";
  AndersonMixing mixing(o.anderson_depth);
  std::vector<MixtureState> before;  // of the last plain steps, at most two
  MixtureState plain;                // where EM was before a jump that is not judged yet
  bool jumped = false;
  for (;;) {
    // The last E-step is for the likelihood alone.
    expect(state, rows, moments.missing, sums, trace.steps < o.steps);
    double objective = (sums.log_likelihood + state.log_prior()) / sums.weight;
    if (jumped) {
      jumped = false;
      if (objective >= trace.mean_log_likelihood.back()) {
        ++trace.jumps;
        // A stride that gains little has gone astray as often as it has arrived: EM itself decides.
        if (anderson && objective - trace.mean_log_likelihood.back() < o.tolerance) {
          mixing.restart();
          disturbed = true;
        }
      } else {
        mixing.restart();
        state = std::move(plain);
        expect(state, rows, moments.missing, sums);
        objective = (sums.log_likelihood + state.log_prior()) / sums.weight;
      }
    }
    if (!std::isfinite(sums.log_likelihood))
      throw Error(ExitCode::kFailed, "a row has density 0 in double precision", "mixture",
                  "raise the option floor, or drop rows far from all others");
    trace.mean_log_likelihood.push_back(objective);
    const size_t at = trace.mean_log_likelihood.size();
    if (!disturbed &&
        trace.mean_log_likelihood[at - 1] - trace.mean_log_likelihood[at - 2] < o.tolerance) {
      trace.converged = true;
    }
    if (trace.converged || trace.steps >= o.steps) return trace;
    if (squarem) before.push_back(state);
    if (anderson) before.assign(1, state);
    const MStep step = maximise(sums, floor, o.least_weight, state);
    ++trace.steps;
    trace.floored = step.floored;
    disturbed = false;
    // One starved component a step is set anew, a limited number of times; then it is let go.
    const bool anew =
        !step.starved.empty() && trace.reseeded < 2 * o.components && sums.lowest_row >= 0;
    const std::vector<double> row =
        anew ? complete_row(rows, sums.lowest_row) : std::vector<double>();
    if (!row.empty()) {
      const int64_t c = step.starved.front();
      std::copy(row.begin(), row.end(), state.means.begin() + c * state.d);
      set_wide_covariance(floor, c, state);
      const double share = 1 / static_cast<double>(10 * o.components);
      for (double& w : state.log_weights) w += std::log1p(-share);
      state.log_weights[static_cast<size_t>(c)] = std::log(share);
      state.factorise();
      ++trace.reseeded;
      trace.reseeds.push_back(trace.steps);
      disturbed = true;
      before.clear();
      mixing.restart();
    } else if (anderson) {
      if (auto far = mixing.next(before[0], state, floor)) {
        plain = std::exchange(state, std::move(*far));
        jumped = true;
      }
    } else if (before.size() == 2) {
      if (auto far = extrapolate(before[0], before[1], state, floor)) {
        plain = std::exchange(state, std::move(*far));
        jumped = true;
      }
      before.clear();
    }
  }
}

MixtureState first_state(const Rows& rows, const ColumnMoments& moments, const VarianceFloor& floor,
                         const GaussianMixtureOptions& options, EmTrace* kept) {
  const Sample sample = sample_of(rows, moments, options.init_rows, options.seed);
  MixtureState best;
  if (options.starts == 1) return start_from(sample, floor, moments, options, 0);
  const at::Tensor x =
      at::from_blob(const_cast<double*>(sample.x.data()), {sample.n, rows.columns()}, at::kDouble);
  const at::Tensor w =
      at::from_blob(const_cast<double*>(sample.weights.data()), {sample.n}, at::kDouble);
  const Rows sample_rows(x, w);
  ColumnMoments complete = moments;
  complete.missing = false;
  std::vector<MixtureState> states(static_cast<size_t>(options.starts));
  std::vector<EmTrace> traces(states.size());
  const auto run = [&](int64_t start) {
    MixtureState state = start_from(sample, floor, moments, options, start);
    MixtureSums sums(state.type, state.k, state.d);
    traces[static_cast<size_t>(start)] = run_em(sample_rows, complete, floor, options, state, sums);
    states[static_cast<size_t>(start)] = std::move(state);
  };
  // Few rows are one block of a step's sums, which gives threads nothing to share: then starts run
  // beside one another.
  if (sample.n <= kReductionBlock) {
    parallel_tasks(options.starts, run);
  } else {
    for (int64_t start = 0; start < options.starts; ++start) run(start);
  }
  double most = -std::numeric_limits<double>::infinity();
  for (size_t start = 0; start < states.size(); ++start) {
    if (!(traces[start].mean_log_likelihood.back() > most)) continue;
    most = traces[start].mean_log_likelihood.back();
    best = std::move(states[start]);
    if (kept) *kept = traces[start];
  }
  return best;
}

}  // namespace covary::mixture
