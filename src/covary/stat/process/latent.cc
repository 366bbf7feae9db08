#include "covary/stat/process/latent.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/variational_sites.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int64_t kRowsAtOnce = 512;

SiteResult infer(const std::string& method, const LatentModel& model, const LatentData& data,
                 SiteState* state, LatentGradient* gradient) {
  if (method == "ep") return expectation_propagation(model, data, state, gradient);
  if (method == "vi") return variational_sites(model, data, state, gradient);
  return laplace(model, data, state, gradient);
}

void refuse_white(const Kernel& kernel) {
  if (!kernel.has(ParameterRole::kNoise)) return;
  throw Error(ExitCode::kUsage, "has white: the likelihood has the noise here", "kernel",
              "leave white out");
}

}  // namespace

LatentProcess::LatentProcess(const at::Tensor& x, const at::Tensor& y, const LatentOptions& options,
                             const at::Tensor& weights)
    : method_(options.method) {
  options.check();
  LatentProblem p = latent_problem(x, y, options.kernel, options.likelihood, options.mean,
                                   static_cast<uint64_t>(options.seed), weights);
  refuse_white(p.kernel);
  const double bytes = 16.0 * static_cast<double>(p.count()) * static_cast<double>(p.count());
  if (bytes > static_cast<double>(options.memory_limit)) {
    throw Error(ExitCode::kFailed,
                "two matrices of " + std::to_string(p.count()) + " rows take " +
                    std::to_string(static_cast<int64_t>(bytes / 1e6)) +
                    " MB, more than the limit of " +
                    std::to_string(options.memory_limit / 1000000) + " MB",
                "process", "write --method svgp, or raise the limit");
  }
  if (options.fit) fit(&p, options);
  model_ = p;
  n_ = p.n;
  rows_ = std::move(p.rows);
  x_ = std::move(p.x);
  y_ = std::move(p.y);
  weights_ = std::move(p.weights);
  condition();
}

LatentProcess::LatentProcess(const at::Tensor& x, const at::Tensor& y, LatentModel model,
                             const std::string& method, const at::Tensor& weights)
    : method_(method), model_(std::move(model)) {
  const GpData data = GpData::from(x, y, {}, Mean::kZero);
  if (data.outputs != 1 || model_.kernel.dims() != data.dims) {
    throw Error(ExitCode::kUsage, "needs one output, and a kernel for the columns of X",
                "latent process");
  }
  refuse_white(model_.kernel);
  n_ = data.n;
  rows_ = data.groups[0].rows;
  x_ = data.groups[0].x;
  y_ = data.groups[0].y;
  weights_ = checked_weights(weights, n_, rows_);
  model_.likelihood.check(y_);
  condition();
}

void LatentProcess::condition() {
  SiteResult r = infer(method_, model_, {x_, y_, weights_}, &sites_, nullptr);
  if (!std::isfinite(r.value)) {
    throw Error(ExitCode::kFailed,
                "the evidence is not finite: a value is infinitely unlikely under these parameters",
                "process", "check the values, or state parameters in the kernel's text");
  }
  report_.log_likelihood = r.value;
  report_.converged = r.converged;
  posterior_.emplace(std::move(r.posterior));
  posterior_->invert();
  cavity_ = cavity_of(*posterior_, sites_);
  posterior_->set(sites_.precision, sites_.shift);  // the factor again
}

void LatentProcess::fit(LatentProblem* problem, const LatentOptions& options) {
  LatentProblem& p = *problem;
  Vector lower, upper;
  p.bounds(&lower, &upper);
  const Vector first = p.pack();
  if (first.empty()) return;
  const auto search = [&](const Vector& x, const Vector& y, const Vector& weights,
                          const Vector& start, const numeric::LbfgsOptions& how) {
    LatentProblem trial = p;
    SiteState state;
    LatentGradient g;
    return numeric::minimise(
        [&](std::span<const double> packed, std::span<double> gradient) {
          trial.unpack(packed);
          const SiteResult r = infer(method_, trial, {x, y, weights}, &state, &g);
          if (!std::isfinite(r.value)) {
            state = {};
            return kInfinity;
          }
          const double prior = trial.log_prior(&g);
          const Vector own = trial.pack_gradient(g);
          for (size_t i = 0; i < own.size(); ++i) gradient[i] = -own[i];
          return -(r.value + prior);
        },
        start, lower, upper, how);
  };
  // The first guess by the data, then longer and shorter scales, then others at random.
  Vector start = first;
  const std::vector<const KernelParameter*> free = p.kernel.free_parameters();
  if (options.starts > 1) {
    const auto seed = static_cast<uint64_t>(options.seed);
    const int64_t n = p.count(), some = std::min(n, options.sample);
    Vector x, y, w;
    const std::vector<int64_t> order = Random(seed, stream_of("latent.sample")).permutation(n);
    for (int64_t i = 0; i < some; ++i) {
      const int64_t row = order[static_cast<size_t>(i)];
      x.insert(x.end(), p.x.begin() + row * p.dims, p.x.begin() + (row + 1) * p.dims);
      y.push_back(p.y[static_cast<size_t>(row)]);
      if (!p.weights.empty()) w.push_back(p.weights[static_cast<size_t>(row)]);
    }
    numeric::LbfgsOptions brief = options.search;
    brief.iterations = std::min<int64_t>(brief.iterations, 20);
    const Random random(seed, stream_of("latent.starts"));
    double best = kInfinity;
    for (int64_t s = 0; s < options.starts; ++s) {
      Vector trial = first;
      for (size_t i = 0; i < free.size(); ++i) {
        const ParameterRole role = free[i]->role;
        const bool scale = role == ParameterRole::kLengthscale || role == ParameterRole::kPeriod;
        const double shift = s == 0   ? 0
                             : s == 1 ? (scale ? 1.0 : 0)
                             : s == 2 ? (scale ? -1.5 : 0)
                                      : 1.5 * random.normal(static_cast<uint64_t>(s) * 10007 + i);
        trial[i] = std::clamp(trial[i] + shift, lower[i], upper[i]);
      }
      const numeric::Optimum o = search(x, y, w, trial, brief);
      report_.evaluations += o.evaluations;
      if (o.value < best) {
        best = o.value;
        start = o.x;
      }
    }
  }
  const numeric::Optimum o = search(p.x, p.y, p.weights, start, options.search);
  if (o.value == kInfinity) return;  // conditioning says what is wrong
  p.unpack(o.x);
  report_.fitted = true;
  report_.ending = o.ending;
  report_.gradient_norm = o.gradient_norm;
  report_.iterations = o.iterations;
  report_.evaluations += o.evaluations;
  std::vector<std::string> names;
  for (const KernelParameter* k : free) names.push_back(k->name);
  for (const LikelihoodParameter& l : p.likelihood.parameters()) {
    if (!l.fixed) names.push_back(l.name);
  }
  names.emplace_back("mean");
  for (const int64_t index : o.at_bound)
    report_.at_bound.push_back(names[static_cast<size_t>(index)]);
}

double LatentProcess::log_likelihood(const LatentModel& model, LatentGradient* gradient) const {
  SiteState state = sites_;
  return infer(method_, model, {x_, y_, weights_}, &state, gradient).value;
}

LatentPrediction LatentProcess::predict(const at::Tensor& points) const {
  const int64_t d = model_.kernel.dims(), n = posterior_->size();
  const at::Tensor xs = checked_points(points, d, "points");
  const int64_t s = xs.size(0);
  LatentPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  for (int64_t begin = 0; begin < s; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, s - begin);
    const double* x = xs.const_data_ptr<double>() + begin * d;
    Vector k(static_cast<size_t>(count * n)), explained(static_cast<size_t>(count));
    model_.kernel.cross(x, count, x_.data(), n, k.data(), n);
    double *mean = out.mean.data_ptr<double>() + begin,
           *variance = out.variance.data_ptr<double>() + begin;
    for (int64_t i = 0; i < count; ++i) {
      mean[i] = model_.mean;
      for (int64_t j = 0; j < n; ++j)
        mean[i] += k[static_cast<size_t>(i * n + j)] * posterior_->alpha()[static_cast<size_t>(j)];
    }
    model_.kernel.diagonal(x, count, false, variance);
    posterior_->explain(k.data(), count, explained.data());
    for (int64_t i = 0; i < count; ++i)
      variance[i] = std::max(variance[i] - explained[static_cast<size_t>(i)], 0.0);
  }
  return out;
}

at::Tensor LatentProcess::covariance(const at::Tensor& points) const {
  const at::Tensor xs = checked_points(points, model_.kernel.dims(), "points");
  const int64_t s = xs.size(0), n = posterior_->size();
  const double* x = xs.const_data_ptr<double>();
  Vector k(static_cast<size_t>(s * n));
  model_.kernel.cross(x, s, x_.data(), n, k.data(), n);
  at::Tensor c = at::empty({s, s}, at::kDouble), explained = at::empty({s, s}, at::kDouble);
  model_.kernel.cross(x, s, x, s, c.data_ptr<double>(), s);
  posterior_->explain_pairs(k.data(), s, explained.data_ptr<double>());
  return c - explained;
}

LatentPrediction LatentProcess::leave_one_out() const {
  const double missing = std::numeric_limits<double>::quiet_NaN();
  LatentPrediction out{at::full({n_}, missing, at::kDouble), at::full({n_}, missing, at::kDouble)};
  for (size_t i = 0; i < rows_.size(); ++i) {
    out.mean.data_ptr<double>()[rows_[i]] = model_.mean + cavity_.mean[i];
    out.variance.data_ptr<double>()[rows_[i]] = cavity_.variance[i];
  }
  return out;
}

}  // namespace covary::stat
