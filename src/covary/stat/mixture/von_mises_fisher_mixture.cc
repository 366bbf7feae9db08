#include "covary/stat/mixture/von_mises_fisher_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/linalg/blas.h"

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

// sums [K,D] = shares' x, in strips of columns and runs of rows that are added in their order.
at::Tensor weighted_sums(const at::Tensor& x, const at::Tensor& shares) {
  const int64_t n = x.size(0), d = x.size(1), k = shares.size(1);
  constexpr int64_t kColumns = 256, kRows = 16384;
  const int64_t strips = (d + kColumns - 1) / kColumns, runs = (n + kRows - 1) / kRows;
  const at::Tensor partial = at::empty({runs, k, d}, at::kDouble);
  parallel_for(strips * runs, 1, [&](int64_t begin, int64_t end) {
    const linalg::OneBlasThread one;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t run = task / strips, column = task % strips * kColumns, row = run * kRows;
      linalg::gemm(true, false, k, std::min(kColumns, d - column), std::min(kRows, n - row), 1,
                   shares.data_ptr<double>() + row * k, k, x.data_ptr<double>() + row * d + column,
                   d, 0, partial.data_ptr<double>() + run * k * d + column, d);
    }
  });
  at::Tensor sums = partial[0].clone();
  for (int64_t run = 1; run < runs; ++run) sums += partial[run];
  return sums;
}

}  // namespace

struct VonMisesFisherMixture::Step {
  std::vector<double> weights;
  std::vector<VonMisesFisher> parts;
  std::vector<int64_t> empty;  // components without rows; their parts are undefined

  Step(const at::Tensor& x, const at::Tensor& shares, const VonMisesFisherMixtureOptions& o) {
    const int64_t d = x.size(1), k = shares.size(1);
    const at::Tensor sums = weighted_sums(x, shares);
    const double* share = shares.data_ptr<double>();
    std::vector<double> mass;
    double all = 0, resultant = 0;
    for (int64_t j = 0; j < k; ++j) {
      mass.push_back(ordered_sum(x.size(0), [&](int64_t i) { return share[i * k + j]; }));
      all += mass.back();
    }
    for (int64_t j = 0; j < k; ++j) {
      const double m = mass[static_cast<size_t>(j)];
      const double* sum = sums.data_ptr<double>() + j * d;
      const double norm = std::sqrt(dot(sum, sum, d));
      resultant += norm;
      weights.push_back(m / all);
      if (!(m > 1e-10 * all / static_cast<double>(x.size(0)))) {
        empty.push_back(j);
        parts.push_back({at::Tensor(), 0});
        continue;
      }
      at::Tensor mean = norm > 0 ? sums[j] / norm : at::zeros({d}, at::kDouble);
      if (norm == 0) mean.data_ptr<double>()[0] = 1;
      parts.push_back({mean, capped(d, norm / m, o)});
    }
    if (o.assignment != "cosine") return;
    const double kappa = capped(d, resultant / all, o);
    for (VonMisesFisher& part : parts) part.kappa = kappa;
    weights.assign(static_cast<size_t>(k), 1 / static_cast<double>(k));
  }

  static double capped(int64_t d, double length, const VonMisesFisherMixtureOptions& o) {
    // Rows that cancel leave the rounding of their sum.
    if (length <= std::numeric_limits<double>::epsilon()) return 0;
    return std::min(concentration(d, std::min(length, 1.0)), o.max_kappa);
  }

  // Components without rows begin again at the rows that are explained worst, or have weight 0.
  void restart(const at::Tensor& x, const double* row_weight, const at::Tensor& joint,
               bool allowed) {
    const int64_t n = x.size(0);
    const at::Tensor explained = std::get<0>(joint.max(1));
    double moderate = 0;
    for (const VonMisesFisher& part : parts) moderate = std::max(moderate, part.kappa);
    std::vector<double> height(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      height[static_cast<size_t>(i)] = row_weight[i] > 0 ? explained.data_ptr<double>()[i] : kInf;
    }
    for (const int64_t j : empty) {
      const auto slot = static_cast<size_t>(j);
      const auto worst = std::min_element(height.begin(), height.end()) - height.begin();
      height[static_cast<size_t>(worst)] = kInf;
      parts[slot] = {x[worst].clone(), moderate};
      weights[slot] = allowed ? 1.0 / static_cast<double>(n) : 0;
    }
    double total = 0;
    for (const double a : weights) total += a;
    for (double& a : weights) a /= total;
  }
};

VonMisesFisherMixture::VonMisesFisherMixture(VonMisesFisherMixtureOptions options)
    : options_(std::move(options)) {
  options_.check();
}

at::Tensor VonMisesFisherMixture::log_joint(const at::Tensor& rows) const {
  at::Tensor joint = cosines(rows, means());
  const int64_t n = joint.size(0), k = joint.size(1);
  std::vector<double> peak, kappa;
  for (size_t j = 0; j < parts_.size(); ++j) {
    peak.push_back(log_peak_density(columns(), parts_[j].kappa) + log_weights_[j]);
    kappa.push_back(parts_[j].kappa);
  }
  double* of = joint.data_ptr<double>();
  parallel_for(n, loop_grain(4 * k), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t j = 0; j < k; ++j) {
        const auto slot = static_cast<size_t>(j);
        of[i * k + j] = peak[slot] + kappa[slot] * (of[i * k + j] - 1);
      }
    }
  });
  return joint;
}

void VonMisesFisherMixture::run(const at::Tensor& x, const at::Tensor& w, int64_t seed) {
  const int64_t k = options_.components;
  const bool hard = options_.assignment != "soft";
  // Rows go to their nearest seed.
  const std::vector<int64_t> seeds = cosine_seeds(x, w, k, static_cast<uint64_t>(seed));
  at::Tensor shares;
  // Of the model before the current one: tells which row is explained worst.
  at::Tensor joint = cosines(x, x.index_select(0, at::tensor(seeds, at::kLong)));
  expect(joint, w, /*hard=*/true, shares);
  report_ = {};
  int64_t restarts = 0;
  for (int64_t step = 0; step < options_.steps; ++step) {
    Step next(x, shares, options_);
    const bool restart = !next.empty.empty();
    if (restart) {
      const bool allowed = restarts++ < options_.restarts;
      next.restart(x, w.data_ptr<double>(), joint, allowed);
      if (allowed) report_.restarted.push_back(step);
    }
    parts_ = std::move(next.parts);
    log_weights_.clear();
    for (const double a : next.weights) log_weights_.push_back(std::log(a));
    joint = log_joint(x);
    report_.objective.push_back(expect(joint, w, hard, shares));
    const size_t count = report_.objective.size();
    const bool disturbed = !report_.restarted.empty() && report_.restarted.back() == step;
    if (count > 1 && !disturbed &&
        report_.objective[count - 1] - report_.objective[count - 2] < options_.tolerance) {
      report_.converged = true;
      break;
    }
  }
  // Likelihood and entropy are those of the mixture, also after hard assignment.
  const int64_t n = x.size(0);
  const double *weight = w.data_ptr<double>(), *of = joint.data_ptr<double>();
  report_.rows = static_cast<double>(n);
  report_.weight = ordered_sum(n, [&](int64_t i) { return weight[i]; });
  report_.log_likelihood = ordered_sum(
      n, [&](int64_t i) { return weight[i] > 0 ? weight[i] * log_sum(of + i * k, k) : 0.0; });
  report_.entropy = ordered_sum(n, [&](int64_t i) {
    const double whole = log_sum(of + i * k, k);
    double entropy = 0;
    for (int64_t c = 0; c < k; ++c) {
      const double log_share = of[i * k + c] - whole;
      if (log_share > -700) entropy -= std::exp(log_share) * log_share;
    }
    return weight[i] * entropy;
  });
  // Spherical k-means has one kappa and no weights.
  report_.parameters = static_cast<double>(options_.assignment == "cosine" ? k * (x.size(1) - 1) + 1
                                                                           : k * x.size(1) + k - 1);
  report_.criteria =
      criteria(report_.log_likelihood, report_.parameters, report_.weight, report_.entropy);
  for (size_t j = 0; j < parts_.size(); ++j) {
    const std::string name = "component " + std::to_string(j);
    if (log_weights_[j] == -kInf) {
      report_.notes.push_back(name + " has no rows: ask for fewer components");
    } else if (parts_[j].kappa >= options_.max_kappa) {
      report_.notes.push_back(name + " holds equal rows: its kappa stopped at the cap");
    } else if (parts_[j].kappa == 0) {
      report_.notes.push_back(name + " is uniform: its rows cancel (kappa 0)");
    }
  }
}

VonMisesFisherMixture& VonMisesFisherMixture::fit(const at::Tensor& rows,
                                                  const at::Tensor& weights) {
  const at::Tensor x = unit_rows(rows, options_.normalise), w = row_weights(weights, x.size(0));
  const double* weight = w.data_ptr<double>();
  const auto used = std::count_if(weight, weight + x.size(0), [](double a) { return a > 0; });
  if (used < options_.components) {
    throw Error(ExitCode::kData,
                std::to_string(used) + " rows are fewer than " +
                    std::to_string(options_.components) + " components",
                kWhere, "ask for fewer components");
  }
  run(x, w, options_.seed);
  for (int64_t start = 1; start < options_.starts; ++start) {
    VonMisesFisherMixture other(options_);
    other.run(x, w,
              static_cast<int64_t>(stream_of("von_mises_fisher_mixture.start",
                                             static_cast<uint64_t>(options_.seed + start)) >>
                                   1));
    if (other.report_.objective.back() > report_.objective.back()) *this = std::move(other);
  }
  return *this;
}

VonMisesFisherMixture& VonMisesFisherMixture::set_parameters(const at::Tensor& weights,
                                                             const at::Tensor& means,
                                                             const at::Tensor& kappas) {
  const auto refuse = [](const std::string& what) {
    throw Error(ExitCode::kData, what, kWhere, "weights and kappas are [k], means [k,d]");
  };
  const at::Tensor m = unit_rows(means, true);
  const int64_t k = m.size(0);
  if (!kappas.defined() || kappas.dim() != 1 || kappas.size(0) != k) refuse("needs a kappa a mean");
  const at::Tensor w = row_weights(weights, k),
                   concentrations = kappas.to(at::kDouble).contiguous();
  const double total = w.sum().item<double>();
  options_.components = k;
  report_ = {};
  log_weights_.clear();
  parts_.clear();
  for (int64_t j = 0; j < k; ++j) {
    const double kappa = concentrations.data_ptr<double>()[j];
    if (!(kappa >= 0 && std::isfinite(kappa))) refuse("a kappa is negative or not finite");
    log_weights_.push_back(std::log(w.data_ptr<double>()[j] / total));
    parts_.push_back({m[j].clone(), kappa});
  }
  return *this;
}

at::Tensor VonMisesFisherMixture::checked_query(const at::Tensor& x) const {
  if (parts_.empty()) {
    throw Error(ExitCode::kFailed, "is not fitted", kWhere, "call fit or set_parameters first");
  }
  const at::Tensor rows = unit_rows(x, options_.normalise);
  if (rows.size(1) != columns()) {
    throw Error(
        ExitCode::kData,
        std::to_string(rows.size(1)) + " columns where the model has " + std::to_string(columns()),
        kWhere, "pass rows of the model's columns");
  }
  return rows;
}

at::Tensor VonMisesFisherMixture::score_samples(const at::Tensor& x) const {
  return log_joint(checked_query(x)).logsumexp(1);
}

double VonMisesFisherMixture::score(const at::Tensor& x, const at::Tensor& weights) const {
  const at::Tensor log_density = score_samples(x), w = row_weights(weights, log_density.size(0));
  const double *p = log_density.data_ptr<double>(), *a = w.data_ptr<double>();
  const double mass = ordered_sum(w.numel(), [&](int64_t i) { return a[i]; });
  return ordered_sum(w.numel(), [&](int64_t i) { return a[i] > 0 ? a[i] * p[i] : 0.0; }) / mass;
}

at::Tensor VonMisesFisherMixture::predict(const at::Tensor& x) const {
  return log_joint(checked_query(x)).argmax(1);
}

at::Tensor VonMisesFisherMixture::predict_proba(const at::Tensor& x) const {
  return log_joint(checked_query(x)).softmax(1);
}

at::Tensor VonMisesFisherMixture::sample(int64_t n, int64_t seed) const {
  at::Tensor labels;
  return sample(n, seed, labels);
}

at::Tensor VonMisesFisherMixture::sample(int64_t n, int64_t seed, at::Tensor& labels) const {
  if (parts_.empty()) {
    throw Error(ExitCode::kFailed, "is not fitted", kWhere, "call fit or set_parameters first");
  }
  const auto key = static_cast<uint64_t>(seed);
  const Random choice(key, stream_of("von_mises_fisher_mixture.part"));
  at::Tensor out = at::empty({n, columns()}, at::kDouble);
  labels = at::empty({n}, at::kLong);
  std::vector<std::vector<int64_t>> rows(parts_.size());
  for (int64_t i = 0; i < n; ++i) {
    double u = choice.uniform(static_cast<uint64_t>(i));
    size_t k = 0;
    while (k + 1 < parts_.size() && u >= std::exp(log_weights_[k]))
      u -= std::exp(log_weights_[k++]);
    labels.data_ptr<int64_t>()[i] = static_cast<int64_t>(k);
    rows[k].push_back(i);
  }
  for (size_t k = 0; k < parts_.size(); ++k) {
    if (rows[k].empty()) continue;
    const auto count = static_cast<int64_t>(rows[k].size());
    out.index_copy_(0, at::tensor(rows[k], at::kLong),
                    parts_[k].sample(count, stream_of("von_mises_fisher_mixture", key + k)));
  }
  return out;
}

at::Tensor VonMisesFisherMixture::weights() const {
  return at::tensor(log_weights_, at::kDouble).exp();
}

at::Tensor VonMisesFisherMixture::means() const {
  std::vector<at::Tensor> all;
  for (const VonMisesFisher& part : parts_) all.push_back(part.mean);
  return at::stack(all);
}

at::Tensor VonMisesFisherMixture::kappas() const {
  std::vector<double> all;
  for (const VonMisesFisher& part : parts_) all.push_back(part.kappa);
  return at::tensor(all, at::kDouble);
}

data::Model VonMisesFisherMixture::model() const {
  if (parts_.empty()) {
    throw Error(ExitCode::kFailed, "is not fitted", kWhere, "call fit or set_parameters first");
  }
  data::Model m{.schema = "covary.mixture",
                .version = 1,
                .fields = {{"family", "vmf"},
                           {"assignment", options_.assignment},
                           {"normalise", options_.normalise}}};
  const at::Tensor mean = means(), kappa = kappas();
  m.put("log_weights", log_weights_, {components()});
  m.put("means", {mean.data_ptr<double>(), mean.data_ptr<double>() + mean.numel()},
        {components(), columns()});
  m.put("kappas", {kappa.data_ptr<double>(), kappa.data_ptr<double>() + kappa.numel()},
        {components()});
  return m;
}

VonMisesFisherMixture VonMisesFisherMixture::of_model(const data::Model& m) {
  m.text("family", {"vmf"});
  VonMisesFisherMixtureOptions options;
  options.assignment = m.text("assignment", {"soft", "hard", "cosine"});
  if (!m.fields.contains("normalise") || !m.fields["normalise"].is_boolean())
    m.refuse("normalise", "is neither true nor false");
  options.normalise = m.fields["normalise"];
  const int64_t k = m.size("means", 0), d = m.size("means", 1);
  if (k == 0 || d < 2) m.refuse("means", "needs directions of 2 numbers or more");
  options.components = k;
  VonMisesFisherMixture v(options);
  const std::vector<double>&means = m.doubles("means", {k, d}), &kappas = m.doubles("kappas", {k});
  v.log_weights_ = m.doubles("log_weights", {k});
  double total = 0;
  for (const double a : v.log_weights_) total += std::exp(a);
  if (!(std::abs(total - 1) < 1e-6)) m.refuse("log_weights", "the weights do not sum to 1");
  for (int64_t j = 0; j < k; ++j) {
    const double* mean = means.data() + j * d;
    if (!(std::abs(std::sqrt(dot(mean, mean, d)) - 1) < 1e-9))
      m.refuse("means", "mean " + std::to_string(j) + " is not of length 1");
    const double kappa = kappas[static_cast<size_t>(j)];
    if (!(kappa >= 0 && kappa <= 1e12)) m.refuse("kappas", "a value is not in [0, 1e12]");
    at::Tensor row = at::empty({d}, at::kDouble);
    std::copy(mean, mean + d, row.data_ptr<double>());
    v.parts_.push_back({row, kappa});
  }
  return v;
}

VonMisesFisherSelection select_von_mises_fisher(const at::Tensor& x,
                                                const std::vector<int64_t>& components,
                                                const std::string& criterion,
                                                const VonMisesFisherMixtureOptions& options,
                                                const at::Tensor& weights) {
  if (components.empty()) throw Error(ExitCode::kUsage, "names no number", "components");
  const auto value = [&](const Criteria& c) {
    return criterion == "aic" ? c.aic : criterion == "icl" ? c.icl : c.bic;
  };
  VonMisesFisherSelection s;
  for (const int64_t k : components) {
    VonMisesFisherMixtureOptions one = options;
    one.components = k;
    VonMisesFisherMixture m(one);
    m.fit(x, weights);
    s.rows.push_back({k, m.report()});
    if (s.rows.size() > 1 && !(value(m.report().criteria) < value(s.rows[s.best].report.criteria)))
      continue;
    s.best = s.rows.size() - 1;
    s.model = std::move(m);
  }
  return s;
}

std::vector<int64_t> cosine_seeds(const at::Tensor& unit_rows, const at::Tensor& weights, int64_t k,
                                  uint64_t seed) {
  const int64_t n = unit_rows.size(0), d = unit_rows.size(1);
  const double *x = unit_rows.data_ptr<double>(), *w = weights.data_ptr<double>();
  const Random random(seed, stream_of("cosine_seeds"));
  std::vector<double> far(static_cast<size_t>(n), 1.0);
  std::vector<int64_t> seeds;
  for (int64_t j = 0; j < k; ++j) {
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

}  // namespace covary::mixture
