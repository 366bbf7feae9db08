#include "covary/stat/mixture/gibbs_mixture.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/stat/mixture/collapsed_mixture.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {
namespace {

CollapsedLaw law_of(const GibbsMixtureOptions& o) {
  return {o.components, o.prior == "process", o.concentration};
}

NormalWishart prior_of(const at::Tensor& x, const GibbsMixtureOptions& o, int64_t& constant) {
  return normal_wishart(column_moments(Rows(x, {})), o.mean_strength, o.degrees, o.prior_share,
                        constant);
}

double log_mean_exp(const std::vector<double>& v) {
  const double top = *std::max_element(v.begin(), v.end());
  double sum = 0;
  for (const double x : v) sum += std::exp(x - top);
  return top + std::log(sum / static_cast<double>(v.size()));
}

// Particles that take all rows, one by one, and are drawn anew (systematically) when their weights
// differ too much. The log of an estimate of p(X) without bias.
double annealed(const CollapsedMixture& model, const GibbsMixtureOptions& o, uint64_t run) {
  const uint64_t seed = static_cast<uint64_t>(o.seed);
  const size_t count = static_cast<size_t>(o.particles);
  std::vector<CollapsedChain> now;
  for (size_t p = 0; p < count; ++p) {
    const uint64_t own = run * static_cast<uint64_t>(o.particles) + p;
    now.emplace_back(model, seed, stream_of("gibbs.evidence", own));
  }
  const Random random(seed, stream_of("gibbs.resample", run));
  std::vector<double> log_weights(count, 0.0);
  std::vector<size_t> ancestors(count);
  double log_evidence = static_cast<double>(model.rows()) * model.log_jacobian();
  for (int64_t row = 0; row < model.rows(); ++row) {
    for (size_t p = 0; p < count; ++p) log_weights[p] += now[p].append();
    if (row + 1 == model.rows()) break;  // nothing is weighed any more
    const double mean = log_mean_exp(log_weights);
    double squares = 0;
    for (const double w : log_weights) squares += std::exp(2 * (w - mean));
    if (squares > 2 * static_cast<double>(count)) {  // fewer than half of them count
      const double start = random.uniform(static_cast<uint64_t>(row));
      double sum = 0;
      size_t from = 0;
      for (size_t p = 0; p < count; ++p) {
        while (from + 1 < count &&
               sum + std::exp(log_weights[from] - mean) <= static_cast<double>(p) + start)
          sum += std::exp(log_weights[from++] - mean);
        ancestors[p] = from;
      }
      // Those that stay keep their place, so that copies are made of others alone.
      std::vector<int64_t> place(count, -1);
      std::vector<size_t> copies;
      for (const size_t a : ancestors) {
        if (place[a] < 0)
          place[a] = static_cast<int64_t>(a);
        else
          copies.push_back(a);
      }
      size_t c = 0;
      for (size_t p = 0; p < count; ++p)
        if (place[p] < 0) now[p].take(now[copies[c++]]);
      std::fill(log_weights.begin(), log_weights.end(), 0.0);
      log_evidence += mean;
    }
    for (CollapsedChain& chain : now)
      for (int64_t s = 0; s < o.sweeps; ++s) chain.sweep();
  }
  return log_evidence + log_mean_exp(log_weights);
}

}  // namespace

GibbsMixture::GibbsMixture(GibbsMixtureOptions options) : options_(std::move(options)) {
  options_.check();
}

GibbsMixture& GibbsMixture::fit(const at::Tensor& x) {
  const at::Tensor rows = checked_rows(x, "data", false);
  GibbsReport report;
  NormalWishart prior = prior_of(rows, options_, report.constant_columns);
  const CollapsedMixture model(rows, prior, law_of(options_));
  CollapsedChain chain(model, static_cast<uint64_t>(options_.seed), stream_of("gibbs.fit"));
  for (int64_t row = 0; row < model.rows(); ++row) {
    chain.append();
    for (int64_t s = 0; s < options_.sweeps; ++s) chain.sweep();
  }
  for (int64_t s = 0; s < options_.burn; ++s) chain.sweep();
  std::vector<std::vector<int32_t>> labels;
  for (int64_t draw = 0; draw < options_.draws; ++draw) {
    for (int64_t s = 0; s < options_.thin; ++s) chain.sweep();
    labels.push_back(chain.labels());
    report.log_joint.push_back(chain.log_prior() + chain.log_likelihood());
    const std::vector<int64_t> counts = chain.row_counts();
    report.occupied.push_back(
        std::count_if(counts.begin(), counts.end(), [](int64_t c) { return c > 0; }));
  }
  x_ = rows.clone();
  prior_ = std::move(prior);
  labels_ = std::move(labels);
  report_ = std::move(report);
  return *this;
}

Evidence GibbsMixture::log_evidence(const at::Tensor& x) const {
  const at::Tensor rows = checked_rows(x, "data", false);
  int64_t constant = 0;
  const NormalWishart prior = prior_of(rows, options_, constant);
  Evidence e;
  e.log_weights.resize(static_cast<size_t>(options_.runs));
  parallel_tasks(options_.runs, [&](int64_t r) {
    const uint64_t seed = static_cast<uint64_t>(options_.seed), run = static_cast<uint64_t>(r);
    const std::vector<int64_t> order =
        Random(seed, stream_of("gibbs.order", run)).permutation(rows.size(0));
    const CollapsedMixture model(rows.index_select(0, at::tensor(order, at::kLong)), prior,
                                 law_of(options_));
    e.log_weights[static_cast<size_t>(r)] = annealed(model, options_, run);
  });
  const double top = *std::max_element(e.log_weights.begin(), e.log_weights.end());
  double sum = 0, squares = 0;
  for (const double w : e.log_weights) {
    sum += std::exp(w - top);
    squares += std::exp(2 * (w - top));
  }
  const double runs = static_cast<double>(options_.runs);
  e.value = top + std::log(sum / runs);
  e.effective = sum * sum / squares;
  // Of one run nothing is known but its value.
  e.standard_error =
      options_.runs == 1
          ? std::numeric_limits<double>::infinity()
          : std::sqrt(std::max(0.0, squares / (sum * sum) - 1 / runs) * runs / (runs - 1));
  return e;
}

void GibbsMixture::need_fit() const {
  if (labels_.empty())
    throw Error(ExitCode::kFailed, "the mixture has no draws", "mixture", "call fit first");
}

at::Tensor GibbsMixture::score_samples(const at::Tensor& x) const {
  need_fit();
  const at::Tensor rows = checked_rows(x, "data", false);
  if (rows.size(1) != x_.size(1))
    throw Error(ExitCode::kData,
                "the data have " + std::to_string(rows.size(1)) + " columns, the mixture " +
                    std::to_string(x_.size(1)),
                "data");
  const CollapsedMixture model(x_, prior_, law_of(options_));
  const std::vector<double> points = model.scaled(rows);
  const size_t m = static_cast<size_t>(rows.size(0));
  CollapsedChain chain(model, static_cast<uint64_t>(options_.seed), stream_of("gibbs.score"));
  // Sums of exponentials by a running largest.
  std::vector<double> top(m, -std::numeric_limits<double>::infinity()), sum(m, 0.0), one(m);
  for (const std::vector<int32_t>& labels : labels_) {
    chain.set_labels(labels);
    chain.log_predictive(points, one);
    for (size_t i = 0; i < m; ++i) {
      if (one[i] > top[i]) {
        sum[i] *= std::exp(top[i] - one[i]);
        top[i] = one[i];
      }
      sum[i] += std::exp(one[i] - top[i]);
    }
  }
  at::Tensor out = at::empty({rows.size(0)}, at::kDouble);
  for (size_t i = 0; i < m; ++i)
    out.data_ptr<double>()[i] =
        top[i] + std::log(sum[i] / static_cast<double>(labels_.size())) + model.log_jacobian();
  return out;
}

double GibbsMixture::score(const at::Tensor& x) const {
  return score_samples(x).mean().item<double>();
}

at::Tensor GibbsMixture::labels() const {
  need_fit();
  const int64_t n = x_.size(0);
  at::Tensor out = at::empty({static_cast<int64_t>(labels_.size()), n}, at::kLong);
  int64_t* p = out.data_ptr<int64_t>();
  for (const auto& labels : labels_) p = std::copy(labels.begin(), labels.end(), p);
  return out;
}

at::Tensor GibbsMixture::co_clustering() const {
  need_fit();
  const int64_t n = x_.size(0);
  at::Tensor out = at::zeros({n, n}, at::kDouble);
  double* p = out.data_ptr<double>();
  parallel_for(n, 16, [&](int64_t begin, int64_t end) {
    for (const std::vector<int32_t>& labels : labels_) {
      for (int64_t i = begin; i < end; ++i) {
        const int32_t own = labels[static_cast<size_t>(i)];
        for (int64_t j = 0; j < n; ++j) p[i * n + j] += labels[static_cast<size_t>(j)] == own;
      }
    }
  });
  return out / static_cast<double>(labels_.size());
}

std::vector<double> GibbsMixture::components_share(double share) const {
  need_fit();
  std::vector<double> out(static_cast<size_t>(options_.components) + 1, 0.0);
  const double least = share * static_cast<double>(x_.size(0));
  std::vector<int64_t> counts(static_cast<size_t>(options_.components));
  for (const std::vector<int32_t>& labels : labels_) {
    std::fill(counts.begin(), counts.end(), 0);
    for (const int32_t c : labels) ++counts[static_cast<size_t>(c)];
    const auto above = std::count_if(counts.begin(), counts.end(),
                                     [&](int64_t c) { return static_cast<double>(c) > least; });
    out[static_cast<size_t>(above)] += 1 / static_cast<double>(labels_.size());
  }
  return out;
}

}  // namespace covary::mixture
