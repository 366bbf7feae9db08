#include "covary/stat/mixture/von_mises_fisher_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"

namespace covary::mixture {
namespace {

constexpr const char* kWhere = "von Mises-Fisher mixture";
constexpr double kInf = std::numeric_limits<double>::infinity();

double dot(const double* a, const double* b, int64_t d) {
  double s = 0;
  for (int64_t i = 0; i < d; ++i) s += a[i] * b[i];
  return s;
}

double log_sum(const double* row, int64_t k) {
  const double top = *std::max_element(row, row + k);
  if (top == -kInf) return top;
  double s = 0;
  for (int64_t i = 0; i < k; ++i) s += std::exp(row[i] - top);
  return top + std::log(s);
}

// Rows' shares of each component [N,K] times their weights, from log joint densities; returns the objective a weight.
double expect(const at::Tensor& joint, const at::Tensor& weights, bool hard, at::Tensor& shares) {
  const int64_t n = joint.size(0), k = joint.size(1);
  const double *log_p = joint.data_ptr<double>(), *w = weights.data_ptr<double>();
  shares = at::empty({n, k}, at::kDouble);
  double* share = shares.data_ptr<double>();
  std::vector<double> value(static_cast<size_t>(n));
  parallel_for(n, loop_grain(20 * k), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double* row = log_p + i * k;
      const int64_t best = std::max_element(row, row + k) - row;
      const double total = hard ? row[best] : log_sum(row, k);
      value[static_cast<size_t>(i)] = total;
      for (int64_t j = 0; j < k; ++j) {
        share[i * k + j] =
            w[i] * (hard ? static_cast<double>(j == best) : std::exp(row[j] - total));
      }
    }
  });
  const double mass = ordered_sum(n, [&](int64_t i) { return w[i]; });
  return ordered_sum(
             n, [&](int64_t i) { return w[i] > 0 ? w[i] * value[static_cast<size_t>(i)] : 0.0; }) /
         mass;
}

struct Step {
  VonMisesFisherMixture model;
  std::vector<int> empty;  // components without rows; their parts are undefined
};

Step maximise(const at::Tensor& x, const at::Tensor& shares, double max_kappa) {
  const int64_t n = x.size(0), d = x.size(1), k = shares.size(1);
  const double *data = x.data_ptr<double>(), *share = shares.data_ptr<double>();
  const at::Tensor sums = at::zeros({k, d}, at::kDouble);
  std::vector<double> mass(static_cast<size_t>(k));
  constexpr int64_t kColumns = 256;
  const int64_t strips = (d + kColumns - 1) / kColumns;
  // A task is a component's strip of columns; it adds rows in their order.
  const auto add_up = [&](int64_t task) {
    const int64_t j = task / strips, begin = task % strips * kColumns;
    const int64_t end = std::min(d, begin + kColumns);
    double* sum = sums.data_ptr<double>() + j * d;
    double total = 0;
    for (int64_t i = 0; i < n; ++i) {
      const double s = share[i * k + j];
      total += s;
      if (s == 0) continue;
      for (int64_t c = begin; c < end; ++c) sum[c] += s * data[i * d + c];
    }
    if (begin == 0) mass[static_cast<size_t>(j)] = total;
  };
  parallel_for(k * strips, loop_grain(n * std::min(d, kColumns)), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) add_up(task);
  });
  double all = 0;
  for (const double m : mass) all += m;
  Step step;
  for (int64_t j = 0; j < k; ++j) {
    const double m = mass[static_cast<size_t>(j)];
    const double* sum = sums.data_ptr<double>() + j * d;
    const double norm = std::sqrt(dot(sum, sum, d));
    step.model.weights.push_back(m / all);
    if (!(m > 1e-10 * all / static_cast<double>(n))) {
      step.empty.push_back(static_cast<int>(j));
      step.model.parts.push_back({at::Tensor(), 0});
      continue;
    }
    const double length = std::min(norm / m, 1.0);
    at::Tensor mean = norm > 0 ? sums[j] / norm : at::zeros({d}, at::kDouble);
    if (norm == 0) mean.data_ptr<double>()[0] = 1;
    step.model.parts.push_back({mean, std::min(concentration(d, length), max_kappa)});
  }
  return step;
}

void check(const VonMisesFisherMixtureOptions& o) {
  const auto refuse = [](const char* what, const char* hint) {
    throw Error(ExitCode::kUsage, what, kWhere, hint);
  };
  if (o.components < 1) refuse("components must be at least 1", "the default is 2");
  if (o.max_iterations < 1) refuse("max_iterations must be at least 1", "the default is 200");
  if (!(o.tolerance >= 0)) refuse("tolerance must be at least 0", "the default is 1e-10");
  if (!(o.max_kappa > 0 && o.max_kappa <= 1e12)) {
    refuse("max_kappa must lie in (0, 1e12]", "the default is 1e9");
  }
  if (o.restarts < 0) refuse("restarts must be at least 0", "the default is 10");
}

}  // namespace

at::Tensor VonMisesFisherMixture::log_joint(const at::Tensor& rows) const {
  at::Tensor out = at::empty({rows.size(0), static_cast<int64_t>(parts.size())}, at::kDouble);
  for (size_t k = 0; k < parts.size(); ++k) {
    out.select(1, static_cast<int64_t>(k)).copy_(parts[k].log_density(rows) + std::log(weights[k]));
  }
  return out;
}

at::Tensor VonMisesFisherMixture::log_density(const at::Tensor& rows) const {
  return log_joint(rows).logsumexp(1);
}

at::Tensor VonMisesFisherMixture::log_responsibilities(const at::Tensor& rows) const {
  return log_joint(rows).log_softmax(1);
}

at::Tensor VonMisesFisherMixture::sample(int64_t n, uint64_t seed) const {
  const Random choice(seed, stream_of("von_mises_fisher_mixture.part"));
  at::Tensor out = at::empty({n, parts.at(0).dimension()}, at::kDouble);
  std::vector<std::vector<int64_t>> rows(parts.size());
  for (int64_t i = 0; i < n; ++i) {
    double u = choice.uniform(static_cast<uint64_t>(i));
    size_t k = 0;
    while (k + 1 < parts.size() && u >= weights[k]) u -= weights[k++];
    rows[k].push_back(i);
  }
  for (size_t k = 0; k < parts.size(); ++k) {
    const at::Tensor index = at::tensor(rows[k], at::kLong);
    const auto count = static_cast<int64_t>(rows[k].size());
    out.index_copy_(0, index,
                    parts[k].sample(count, stream_of("von_mises_fisher_mixture", seed + k)));
  }
  return out;
}

std::vector<int64_t> cosine_seeds(const at::Tensor& unit_rows, const at::Tensor& weights, int k,
                                  uint64_t seed) {
  const int64_t n = unit_rows.size(0), d = unit_rows.size(1);
  const double *x = unit_rows.data_ptr<double>(), *w = weights.data_ptr<double>();
  const Random random(seed, stream_of("cosine_seeds"));
  std::vector<double> far(static_cast<size_t>(n), 1.0);
  std::vector<int64_t> seeds;
  for (int j = 0; j < k; ++j) {
    const double total =
        ordered_sum(n, [&](int64_t i) { return w[i] * far[static_cast<size_t>(i)]; });
    double at = random.uniform(static_cast<uint64_t>(j)) * total;
    int64_t chosen = -1;
    for (int64_t i = 0; i < n; ++i) {
      const double share = w[i] * far[static_cast<size_t>(i)];
      if (share <= 0) continue;
      chosen = i;
      if (at < share) break;
      at -= share;
    }
    // All rows that are left equal a seed: any will do.
    if (chosen < 0)
      chosen =
          static_cast<int64_t>(random.below(static_cast<uint64_t>(n), static_cast<uint64_t>(j)));
    seeds.push_back(chosen);
    const double* centre = x + chosen * d;
    parallel_for(n, loop_grain(d), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        double& f = far[static_cast<size_t>(i)];
        f = std::max(0.0, std::min(j == 0 ? kInf : f, 1 - dot(x + i * d, centre, d)));
      }
    });
    far[static_cast<size_t>(chosen)] = 0;
  }
  return seeds;
}

VonMisesFisherMixtureFit fit_von_mises_fisher_mixture(const at::Tensor& rows,
                                                      const VonMisesFisherMixtureOptions& options,
                                                      const at::Tensor& weights) {
  check(options);
  const at::Tensor x = unit_rows(rows, options.normalise), w = row_weights(weights, x.size(0));
  const int64_t n = x.size(0), d = x.size(1), k = options.components;
  const double* weight = w.data_ptr<double>();
  if (std::count_if(weight, weight + n, [](double a) { return a > 0; }) < k) {
    throw Error(ExitCode::kData, "fewer rows than components", kWhere, "ask for fewer components");
  }
  // Rows go to their nearest seed.
  const std::vector<int64_t> seeds = cosine_seeds(x, w, options.components, options.seed);
  at::Tensor cosine = at::empty({n, k}, at::kDouble), shares;
  parallel_for(n, loop_grain(k * d), [&](int64_t begin, int64_t end) {
    const double* data = x.data_ptr<double>();
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        cosine.data_ptr<double>()[i * k + j] =
            dot(data + i * d, data + seeds[static_cast<size_t>(j)] * d, d);
      }
    }
  });
  expect(cosine, w, /*hard=*/true, shares);

  VonMisesFisherMixtureFit fit;
  int restarts = 0;
  // The model before the current one, whose densities tell which row is explained worst.
  at::Tensor joint = cosine;
  for (int iteration = 0; iteration < options.max_iterations; ++iteration) {
    Step step = maximise(x, shares, options.max_kappa);
    if (!step.empty.empty()) {
      const at::Tensor explained = std::get<0>(joint.max(1));
      double moderate = 0;
      for (const VonMisesFisher& part : step.model.parts) moderate = std::max(moderate, part.kappa);
      std::vector<double> height(static_cast<size_t>(n));
      for (int64_t i = 0; i < n; ++i) {
        height[static_cast<size_t>(i)] = weight[i] > 0 ? explained.data_ptr<double>()[i] : kInf;
      }
      const bool allowed = restarts++ < options.restarts;
      for (const int j : step.empty) {
        const auto slot = static_cast<size_t>(j);
        const auto worst = std::min_element(height.begin(), height.end()) - height.begin();
        height[static_cast<size_t>(worst)] = kInf;
        step.model.parts[slot] = {x[worst].clone(), moderate};
        step.model.weights[slot] = allowed ? 1.0 / static_cast<double>(n) : 0;
      }
      double total = 0;
      for (const double a : step.model.weights) total += a;
      for (double& a : step.model.weights) a /= total;
      if (allowed) fit.restarted.push_back(iteration);
    }
    fit.model = step.model;
    joint = fit.model.log_joint(x);
    fit.objective.push_back(expect(joint, w, options.hard, shares));
    const size_t count = fit.objective.size();
    const bool disturbed = !fit.restarted.empty() && fit.restarted.back() == iteration;
    if (count > 1 && !disturbed &&
        fit.objective[count - 1] - fit.objective[count - 2] < options.tolerance) {
      fit.converged = true;
      break;
    }
  }
  return fit;
}

}  // namespace covary::mixture
