#include "covary/stat/process/row_process.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/draws.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/latent_problem.h"
#include "covary/stat/process/markov_form.h"
#include "covary/stat/process/priors.h"
#include "covary/stat/process/site_posterior.h"

namespace covary::stat {
namespace {

using Vector = std::vector<double>;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr int64_t kJointRows = 15000;  // rows and points of dense draws

void refuse_white(const Kernel& kernel) {
  if (!kernel.has(ParameterRole::kNoise)) return;
  throw Error(ExitCode::kUsage, "has white: the likelihood has the noise here", "kernel",
              "leave white out");
}

// A tensor [s] of a function of each row's means and covariance.
template <class F>
at::Tensor by_row(const RowPrediction& f, F&& of) {
  const int64_t s = f.mean.size(0), latents = f.mean.size(1);
  const auto width = static_cast<size_t>(latents);
  at::Tensor out = at::empty({s}, at::kDouble);
  Vector variance(width);
  for (int64_t i = 0; i < s; ++i) {
    const std::span<const double> mean{f.mean.const_data_ptr<double>() + i * latents, width};
    const std::span<const double> covariance{
        f.covariance.const_data_ptr<double>() + i * latents * latents, width * width};
    for (size_t k = 0; k < width; ++k) variance[k] = covariance[k * width + k];
    out.data_ptr<double>()[i] =
        std::isnan(mean[0]) ? kNan : of(i, mean, std::span<const double>(variance), covariance);
  }
  return out;
}

}  // namespace

RowProcess::RowProcess(const at::Tensor& x, const at::Tensor& y, const RowProcessOptions& o)
    : mean_(o.mean) {
  o.check();
  GpData data = GpData::from(x, y, {}, Mean::kZero);
  if (data.outputs != 1) throw Error(ExitCode::kUsage, "must hold one output", "y");
  const Vector known = data.groups[0].y;
  int64_t classes = 0;
  if (o.likelihood.find("softmax") != std::string::npos) {
    const double most = *std::max_element(known.begin(), known.end());
    if (most >= 1000)
      throw Error(ExitCode::kData, "has more than 1000 classes", "y",
                  "number the classes from 0; for numbers leave --likelihood out");
    classes = static_cast<int64_t>(std::max(most, 0.0)) + 1;
  }
  likelihood_ = RowLikelihood::parse(o.likelihood, classes);
  likelihood_.check({data.y.const_data_ptr<double>(), static_cast<size_t>(data.n)});
  means_ = likelihood_.start_means(known);
  free_means_ = o.mean == "const";
  const auto seed = static_cast<uint64_t>(o.seed);
  if (likelihood_.softmax()) {
    if (!free_means_) std::fill(means_.begin(), means_.end(), 0.0);
    units_.assign(means_.size(), 1.0);
    kernels_.push_back(latent_kernel(&data, o.kernel, 2, seed));
  } else {
    noise_kernel_ = RowLikelihood::noise_kernel(o.likelihood);
    const double spread = std::exp(0.5 * means_[1]) * std::sqrt(5.0);
    if (!free_means_) means_[0] = 0;
    units_ = {spread, 1};
    kernels_.push_back(latent_kernel(&data, o.kernel, spread, seed));
    kernels_.push_back(
        latent_kernel(&data, noise_kernel_.empty() ? o.kernel : noise_kernel_, 1, seed));
  }
  for (const Kernel& kernel : kernels_) refuse_white(kernel);
  for (size_t k = 0; o.fit && k < kernels_.size(); ++k) {
    DataScales scales = scales_of(data);
    scales.variance = likelihood_.softmax() ? 4 : units_[k] * units_[k];
    scales.least_noise = 0;
    set_priors(&kernels_[k], o.priors, scales);
  }
  take(x, y);
  choose(o.method);
  const double taken = bytes(report_.method, static_cast<int64_t>(y_.size()), classes);
  if (taken > static_cast<double>(o.memory_limit))
    throw Error(ExitCode::kFailed,
                "matrices of " + std::to_string(y_.size()) + " rows take " +
                    std::to_string(static_cast<int64_t>(taken / 1e6)) +
                    " MB, more than the limit of " + std::to_string(o.memory_limit / 1000000) +
                    " MB",
                "process", "take fewer rows, or raise the limit");
  if (o.fit) fit(o);
  condition();
}

RowReport RowProcess::plan(int64_t columns, const RowProcessOptions& o, int64_t classes) {
  const RowLikelihood likelihood = RowLikelihood::parse(o.likelihood, classes);
  const std::string of_noise =
      likelihood.softmax() ? "" : RowLikelihood::noise_kernel(o.likelihood);
  std::vector<Kernel> kernels{Kernel::parse(o.kernel, columns)};
  kernels.push_back(of_noise.empty() ? kernels[0] : Kernel::parse(of_noise, columns));
  return choice(likelihood, kernels, o.method);
}

double RowProcess::bytes(const std::string& method, int64_t rows, int64_t classes) {
  const auto n = static_cast<double>(rows);
  if (method == "state-space") return 8 * 60 * n;
  return 8 * (classes > 0 ? 2 * static_cast<double>(classes) + 4 : 4) * n * n;
}

void RowProcess::take(const at::Tensor& x, const at::Tensor& y) {
  const GpData data = GpData::from(x, y, {}, Mean::kZero);
  all_x_ = x.contiguous();
  all_y_ = y.contiguous();
  const GpGroup& group = data.groups[0];
  const auto d = static_cast<size_t>(data.dims);
  std::vector<size_t> order(group.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (d == 1)  // the filter goes in time
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return group.x[a] < group.x[b]; });
  rows_.clear();
  x_.clear();
  y_.clear();
  for (const size_t i : order) {
    rows_.push_back(group.rows[i]);
    y_.push_back(group.y[i]);
    x_.insert(x_.end(), group.x.begin() + static_cast<int64_t>(i * d),
              group.x.begin() + static_cast<int64_t>((i + 1) * d));
  }
  states_.clear();
}

RowReport RowProcess::choice(const RowLikelihood& likelihood, const std::vector<Kernel>& kernels,
                             const std::string& method) {
  RowReport report;
  report.method = method;
  report.why = "asked for";
  const std::string name(likelihood.name());
  if (likelihood.softmax()) {
    if (method == "auto") {
      report.method = "laplace";
      report.why = std::to_string(likelihood.latents()) + " classes";
    }
    if (report.method != "laplace")
      throw Error(ExitCode::kUsage, "does not know " + name, "--method " + method,
                  "write --method laplace, or leave the option out");
    return report;
  }
  std::string against;
  if (kernels[0].dims() != 1) {
    against = "there are " + std::to_string(kernels[0].dims()) + " columns, it knows one";
  } else {
    for (const Kernel& kernel : kernels) {
      const std::string obstacle = MarkovForm::obstacle(kernel);
      if (!obstacle.empty() && against.empty()) against = "the kernel " + obstacle;
    }
  }
  const bool cut = against.empty() &&
                   (MarkovForm::approximates(kernels[0]) || MarkovForm::approximates(kernels[1]));
  if (method == "auto") {
    report.method = against.empty() && !cut ? "state-space" : "vi";
    report.why = report.method == "vi"
                     ? (cut ? "a periodic kernel, which state-space cuts" : against)
                     : "one column and Markov kernels: the same bound as vi, in linear time";
    if (report.method == "vi" && !cut) report.why = "no state-space form: " + report.why;
  }
  if (report.method == "state-space" && !against.empty())
    throw Error(ExitCode::kUsage, "cannot serve: " + against, "--method state-space",
                "leave --method out, or write --method vi");
  if (report.method != "state-space" && report.method != "vi")
    throw Error(ExitCode::kUsage, "does not know " + name, "--method " + method,
                "write --method vi or state-space, or leave the option out");
  return report;
}

void RowProcess::choose(const std::string& method) {
  const RowReport chosen = choice(likelihood_, kernels_, method);
  report_.method = chosen.method;
  report_.why = chosen.why;
}

Vector RowProcess::packed() const {
  Vector all;
  for (const Kernel& kernel : kernels_) {
    const Vector own = kernel.pack();
    all.insert(all.end(), own.begin(), own.end());
  }
  for (size_t k = 0; k < means_.size(); ++k) {
    if (free_means_ || (k == 1 && !likelihood_.softmax())) all.push_back(means_[k] / units_[k]);
  }
  return all;
}

void RowProcess::unpack(std::span<const double> packed) {
  size_t at = 0;
  for (Kernel& kernel : kernels_) {
    const size_t own = kernel.pack().size();
    kernel.unpack(packed.subspan(at, own));
    at += own;
  }
  for (size_t k = 0; k < means_.size(); ++k) {
    if (free_means_ || (k == 1 && !likelihood_.softmax())) means_[k] = packed[at++] * units_[k];
  }
}

void RowProcess::bounds(Vector* lower, Vector* upper) const {
  for (const Kernel& kernel : kernels_) {
    Vector low, high;
    kernel.bounds(&low, &high);
    lower->insert(lower->end(), low.begin(), low.end());
    upper->insert(upper->end(), high.begin(), high.end());
  }
  for (size_t k = 0; k < means_.size(); ++k) {
    if (!free_means_ && !(k == 1 && !likelihood_.softmax())) continue;
    // Far outside no value is likely; a log variance moves by the logarithms of others.
    const double reach = k == 1 && !likelihood_.softmax() ? 30 : 1e3;
    lower->push_back(means_[k] / units_[k] - reach);
    upper->push_back(means_[k] / units_[k] + reach);
  }
}

double RowProcess::evaluate(std::vector<SiteState>* states, Vector* alpha, Vector* gradient) const {
  RowGradient g;
  double value = 0;
  if (likelihood_.softmax()) {
    SoftmaxPosterior q(kernels_[0], x_, y_, means_, *alpha);
    value = q.value();
    *alpha = q.alpha();
    if (gradient && std::isfinite(value)) {
      g.kernels.assign(1, Vector(kernels_[0].parameters().size()));
      g.means.resize(means_.size());
      q.gradient(kernels_[0], g.kernels[0], g.means);
    }
  } else {
    value = row_variational(report_.method, kernels_, means_, likelihood_, x_, y_, states,
                            gradient ? &g : nullptr)
                .value;
  }
  if (!std::isfinite(value)) {
    states->clear();
    alpha->clear();
    return -kInfinity;
  }
  if (gradient) gradient->clear();
  for (size_t k = 0; k < kernels_.size(); ++k) {
    value +=
        kernels_[k].log_prior(gradient ? std::span<double>(g.kernels[k]) : std::span<double>());
    if (!gradient) continue;
    const Vector own = kernels_[k].pack_gradient(g.kernels[k]);
    gradient->insert(gradient->end(), own.begin(), own.end());
  }
  for (size_t k = 0; gradient && k < means_.size(); ++k) {
    if (free_means_ || (k == 1 && !likelihood_.softmax()))
      gradient->push_back(g.means[k] * units_[k]);
  }
  return value;
}

double RowProcess::evidence(std::span<const double> packed, Vector* gradient) const {
  RowProcess trial = *this;
  trial.unpack(packed);
  std::vector<SiteState> states = states_;
  Vector alpha;
  return trial.evaluate(&states, &alpha, gradient);
}

void RowProcess::fit(const RowProcessOptions& options) {
  Vector lower, upper;
  bounds(&lower, &upper);
  const Vector first = packed();
  if (first.empty()) return;
  RowProcess trial = *this;
  std::vector<SiteState> states;
  Vector alpha, slope;
  const auto value_at = [&](std::span<const double> at, std::span<double> gradient) {
    trial.unpack(at);
    const double value = trial.evaluate(&states, &alpha, gradient.empty() ? nullptr : &slope);
    if (!std::isfinite(value)) return kInfinity;
    for (size_t i = 0; i < gradient.size(); ++i) gradient[i] = -slope[i];
    return -value;
  };
  // The first guess by the data, and longer and shorter scales: a few steps from each.
  Vector start = first;
  double best = kInfinity;
  numeric::LbfgsOptions brief = options.search;
  brief.iterations = std::min<int64_t>(brief.iterations, 8);
  for (int64_t s = 0; s < std::min<int64_t>(options.starts, 3) && options.starts > 1; ++s) {
    Vector guess = first;
    size_t at = 0;
    for (const Kernel& kernel : kernels_) {
      for (const KernelParameter* p : kernel.free_parameters()) {
        const bool scale =
            p->role == ParameterRole::kLengthscale || p->role == ParameterRole::kPeriod;
        if (scale) guess[at] += s == 0 ? 0 : s == 1 ? 1.0 : -1.5;
        guess[at] = std::clamp(guess[at], lower[at], upper[at]);
        ++at;
      }
    }
    states.clear();
    alpha.clear();
    const numeric::Optimum o = numeric::minimise(value_at, guess, lower, upper, brief);
    report_.evaluations += o.evaluations;
    if (o.value < best) {
      best = o.value;
      start = o.x;
    }
  }
  states.clear();
  alpha.clear();
  const numeric::Optimum o = numeric::minimise(value_at, start, lower, upper, options.search);
  if (o.value == kInfinity) return;  // conditioning says what is wrong
  unpack(o.x);
  report_.fitted = true;
  report_.ending = numeric::name_of(o.ending);
  report_.gradient_norm = o.gradient_norm;
  report_.iterations = o.iterations;
  report_.evaluations += o.evaluations;
  std::vector<std::string> names;
  for (size_t k = 0; k < kernels_.size(); ++k) {
    for (const KernelParameter* p : kernels_[k].free_parameters())
      names.push_back((k == 1 ? "noise." : "") + p->name);
  }
  for (const int64_t index : o.at_bound) {
    if (static_cast<size_t>(index) < names.size())
      report_.at_bound.push_back(names[static_cast<size_t>(index)]);
  }
}

void RowProcess::condition() {
  double value = 0;
  if (likelihood_.softmax()) {
    auto q = std::make_shared<SoftmaxPosterior>(kernels_[0], x_, y_, means_);
    value = q->value();
    report_.converged = q->converged();
    softmax_ = q;
  } else {
    auto q = std::make_shared<RowVariational>(
        row_variational(report_.method, kernels_, means_, likelihood_, x_, y_, &states_, nullptr));
    value = q->value;
    report_.converged = q->converged;
    if (std::isfinite(value)) {
      for (auto& process : q->processes) process->finish();
    }
    variational_ = q;
  }
  if (!std::isfinite(value))
    throw Error(ExitCode::kFailed,
                "the evidence is not finite: a value is infinitely unlikely under these parameters",
                "process", "check the values, or state parameters in the kernel's text");
  report_.log_likelihood = value;
}

RowPrediction RowProcess::predict(const at::Tensor& points) const {
  const int64_t d = all_x_.size(1), latents = likelihood_.latents();
  const at::Tensor xs = checked_points(points, d, "points");
  const int64_t s = xs.size(0);
  RowPrediction out{at::zeros({s, latents}, at::kDouble),
                    at::zeros({s, latents, latents}, at::kDouble)};
  const double* x = xs.const_data_ptr<double>();
  double *mean = out.mean.data_ptr<double>(), *covariance = out.covariance.data_ptr<double>();
  if (!likelihood_.softmax()) {
    Vector m(static_cast<size_t>(s)), v(static_cast<size_t>(s));
    for (int64_t k = 0; k < latents; ++k) {
      variational_->processes[static_cast<size_t>(k)]->predict(x, s, m.data(), v.data());
      for (int64_t i = 0; i < s; ++i) {
        mean[i * latents + k] = means_[static_cast<size_t>(k)] + m[static_cast<size_t>(i)];
        covariance[(i * latents + k) * latents + k] = v[static_cast<size_t>(i)];
      }
    }
    return out;
  }
  constexpr int64_t kRowsAtOnce = 256;
  const auto n = static_cast<int64_t>(y_.size());
  for (int64_t begin = 0; begin < s; begin += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, s - begin);
    Vector k(static_cast<size_t>(count * n)), prior(static_cast<size_t>(count));
    kernels_[0].cross(x + begin * d, count, x_.data(), n, k.data(), n);
    kernels_[0].diagonal(x + begin * d, count, false, prior.data());
    softmax_->predict(k.data(), prior.data(), count, mean + begin * latents,
                      covariance + begin * latents * latents);
  }
  return out;
}

RowPrediction RowProcess::leave_one_out() const {
  const int64_t n = all_x_.size(0), latents = likelihood_.latents();
  RowPrediction out{at::full({n, latents}, kNan, at::kDouble),
                    at::zeros({n, latents, latents}, at::kDouble)};
  double *mean = out.mean.data_ptr<double>(), *covariance = out.covariance.data_ptr<double>();
  Vector m, c;
  if (likelihood_.softmax()) softmax_->leave_one_out(&m, &c);
  for (size_t i = 0; i < rows_.size(); ++i) {
    const int64_t row = rows_[i];
    if (likelihood_.softmax()) {
      std::copy_n(m.data() + static_cast<int64_t>(i) * latents, latents, mean + row * latents);
      std::copy_n(c.data() + static_cast<int64_t>(i) * latents * latents, latents * latents,
                  covariance + row * latents * latents);
      continue;
    }
    for (int64_t k = 0; k < latents; ++k) {
      const auto at = static_cast<size_t>(k);
      const SiteProcess& q = *variational_->processes[at];
      const double v = q.variance()[i], w = states_[at].precision[i], b = states_[at].shift[i];
      double prior = 0;
      kernels_[at].diagonal(x_.data() + static_cast<int64_t>(i) * all_x_.size(1), 1, false, &prior);
      const double rest = std::max(1 / std::max(v, 1e-300) - w, 0.0);
      const double wider = std::clamp(1 / rest, v, std::max(prior, v));
      mean[row * latents + k] = means_[at] + wider * (q.mean()[i] / std::max(v, 1e-300) - b);
      covariance[(row * latents + k) * latents + k] = wider;
    }
  }
  return out;
}

at::Tensor RowProcess::log_densities(const RowPrediction& f, const at::Tensor& y) const {
  const at::Tensor values = y.contiguous();
  const double* v = values.const_data_ptr<double>();
  likelihood_.check({v, static_cast<size_t>(values.numel())});
  Vector p(static_cast<size_t>(likelihood_.latents())), sd(p.size());
  return by_row(f, [&](int64_t i, auto mean, auto variance, auto covariance) {
    if (std::isnan(v[i])) return kNan;
    if (!likelihood_.softmax()) return RowLikelihood::predictive_log_density(v[i], mean, variance);
    RowLikelihood::predictive_probabilities(mean, covariance, p, sd);
    return std::log(std::max(p[static_cast<size_t>(v[i])], 1e-300));
  });
}

at::Tensor RowProcess::value_variance(const RowPrediction& f) const {
  return by_row(f, [](int64_t, auto mean, auto variance, auto) {
    return RowLikelihood::value_variance(mean, variance);
  });
}

at::Tensor RowProcess::quantile(const RowPrediction& f, double p) const {
  return by_row(f, [p](int64_t, auto mean, auto variance, auto) {
    return RowLikelihood::predictive_quantile(p, mean, variance);
  });
}

at::Tensor RowProcess::noise_sd(const RowPrediction& f) const {
  return by_row(f, [](int64_t, auto mean, auto variance, auto) {
    return RowLikelihood::noise_sd(mean[1], variance[1]);
  });
}

at::Tensor RowProcess::noise_quantile(const RowPrediction& f, double p) const {
  return by_row(f, [p](int64_t, auto mean, auto variance, auto) {
    return RowLikelihood::noise_quantile(p, mean[1], variance[1]);
  });
}

std::pair<at::Tensor, at::Tensor> RowProcess::probabilities(const RowPrediction& f) const {
  at::Tensor p = at::full_like(f.mean, kNan), sd = at::full_like(f.mean, kNan);
  const auto width = static_cast<size_t>(likelihood_.latents());
  by_row(f, [&](int64_t i, auto mean, auto, auto covariance) {
    const auto at = i * static_cast<int64_t>(width);
    RowLikelihood::predictive_probabilities(mean, covariance, {p.data_ptr<double>() + at, width},
                                            {sd.data_ptr<double>() + at, width});
    return 0.0;
  });
  return {p, sd};
}

at::Tensor RowProcess::sample(const at::Tensor& points, int64_t count, uint64_t seed) const {
  if (likelihood_.softmax())
    throw Error(ExitCode::kUsage, "draws of several classes' functions are not in this version",
                "sample", "predict gives the probabilities and how well they are known");
  if (count < 0) throw Error(ExitCode::kUsage, "must not be negative", "samples");
  const at::Tensor xs = checked_points(points, all_x_.size(1), "points");
  const auto n = static_cast<int64_t>(y_.size());
  const int64_t s = xs.size(0);
  if (n + s > kJointRows)
    throw Error(ExitCode::kFailed,
                "joint draws of more than " + std::to_string(kJointRows) +
                    " rows and points are not in this version",
                "sample", "draw at fewer points, or from a model of fewer rows");
  SitePosterior q(kernels_[0], x_, n);
  q.set(states_[0].precision, states_[0].shift);
  const double* x = xs.const_data_ptr<double>();
  Vector k(static_cast<size_t>(s * n));
  kernels_[0].cross(x, s, x_.data(), n, k.data(), n);
  at::Tensor c = at::empty({s, s}, at::kDouble), explained = at::empty({s, s}, at::kDouble);
  kernels_[0].cross(x, s, x, s, c.data_ptr<double>(), s);
  q.explain_pairs(k.data(), s, explained.data_ptr<double>());
  return gaussian_draws(predict(points).mean.select(1, 0).contiguous(), c - explained, count, seed,
                        0);
}

void RowProcess::update(const at::Tensor& x, const at::Tensor& y, bool refit) {
  const at::Tensor rows = checked_points(x, all_x_.size(1), "X");
  if (y.dim() != 1 || y.size(0) != rows.size(0))
    throw Error(ExitCode::kUsage, "needs a value a row", "update");
  likelihood_.check({y.contiguous().const_data_ptr<double>(), static_cast<size_t>(y.size(0))});
  take(at::cat({all_x_, rows}), at::cat({all_y_, y}));
  report_.why = "as the model was";
  if (refit) {
    RowProcessOptions o;
    o.starts = 1;
    report_.at_bound.clear();
    report_.evaluations = 0;
    fit(o);
  }
  condition();
}

}  // namespace covary::stat
