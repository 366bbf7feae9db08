// Markov processes from data: starts, fit, mean, predictions.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/stat/process/kernel_search.h"
#include "covary/stat/process/markov_filter.h"
#include "covary/stat/process/priors.h"
#include "covary/stat/process/state_space.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Ascending order; equal times keep theirs.
std::vector<size_t> time_order(const std::vector<double>& t) {
  std::vector<size_t> order(t.size());
  std::iota(order.begin(), order.end(), size_t{0});
  if (!std::is_sorted(t.begin(), t.end())) {
    std::sort(order.begin(), order.end(),
              [&](size_t a, size_t b) { return t[a] < t[b] || (t[a] == t[b] && a < b); });
  }
  return order;
}

std::vector<double> checked(const at::Tensor& v, int64_t n, const std::string& what,
                            bool may_be_missing) {
  if (!v.defined() || v.dim() != 1 || v.scalar_type() != at::kDouble || !v.device().is_cpu() ||
      (n >= 0 && v.size(0) != n)) {
    throw Error(ExitCode::kUsage,
                "must be a vector of doubles on the CPU" +
                    (n >= 0 ? ", " + std::to_string(n) + " long" : std::string()),
                what);
  }
  const at::Tensor c = v.detach().contiguous();
  std::vector<double> out(c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel());
  for (size_t i = 0; i < out.size(); ++i) {
    if (std::isfinite(out[i]) && std::abs(out[i]) < 1e150) continue;
    if (may_be_missing && std::isnan(out[i])) continue;
    throw Error(ExitCode::kData,
                std::string(std::isnan(out[i])   ? "NaN"
                            : std::isinf(out[i]) ? "infinity"
                                                 : "a value whose square overflows") +
                    " at row " + std::to_string(i),
                what);
  }
  return out;
}

std::string digits(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.17g", v);
  return text;
}

bool plain(const std::string& name) {
  return name == "matern12" || name == "matern32" || name == "matern52";
}

std::string text_of(const MarkovOptions& o, bool noise_given) {
  if (!plain(o.kernel)) return completed_kernel(o.kernel, noise_given, 1);
  const auto leaf = [](const std::string& name, double v) {
    return v > 0 ? name + "(" + digits(v) + ")" : name;
  };
  // Noise of points stands alone where nothing is fitted and none beside it is stated.
  const bool white = o.fit || o.noise > 0 || !noise_given;
  return leaf("const", o.variance) + "*" + leaf(o.kernel, o.length) +
         (white ? " + " + leaf("white", o.noise) : "");
}

// The places of a single Matern's parameters; white -1 where there is none.
struct Places {
  int64_t variance = -1, length = -1, white = -1;
};
std::optional<MarkovModel> model_of(const Kernel& kernel, Places* places) {
  const std::string name = kernel.single_matern();
  if (name.empty()) return {};
  MarkovModel m{markov_kind_of(name), 1, 1, 0};
  for (size_t i = 0; i < kernel.parameters().size(); ++i) {
    const KernelParameter& p = kernel.parameters()[i];
    const auto at = static_cast<int64_t>(i);
    if (p.role == ParameterRole::kVariance) {
      places->variance = at;
      m.variance = p.value;
    } else if (p.role == ParameterRole::kNoise) {
      places->white = at;
      m.noise = p.value;
    } else {
      places->length = at;
      m.length = p.value;
    }
  }
  return m;
}

}  // namespace

MarkovProcess::Series MarkovProcess::Series::first(size_t count) const {
  const auto some = [count](std::span<const double> v) { return v.empty() ? v : v.first(count); };
  return {some(t), some(y), some(extra), some(weights)};
}

double MarkovProcess::evaluate(const Kernel& kernel, const Series& s,
                               std::vector<double>* gradient) const {
  Places at;
  const std::optional<MarkovModel> model = model_of(kernel, &at);
  if (!model) {
    MarkovForm form(kernel, harmonics_);
    return filter_log_likelihood(form, s.t, s.y, s.extra, gradient, s.weights);
  }
  if (!gradient) return markov_log_likelihood(*model, s.t, s.y, s.extra, nullptr, s.weights);
  MarkovGradient g;
  const double value = markov_log_likelihood(*model, s.t, s.y, s.extra, &g, s.weights);
  gradient->assign(kernel.parameters().size(), 0.0);
  if (at.variance >= 0) (*gradient)[static_cast<size_t>(at.variance)] = g.variance;
  if (at.white >= 0) (*gradient)[static_cast<size_t>(at.white)] = g.noise;
  (*gradient)[static_cast<size_t>(at.length)] = g.length;
  return value;
}

void MarkovProcess::smooth(const Series& s, std::span<double> mean,
                           std::span<double> variance) const {
  Places at;
  if (const std::optional<MarkovModel> model = model_of(kernel_, &at)) {
    markov_smooth(*model, s.t, s.y, s.extra, mean, variance, s.weights);
  } else {
    filter_smooth(MarkovForm(kernel_, harmonics_), s.t, s.y, s.extra, mean, variance, s.weights);
  }
}

MarkovProcess::MarkovProcess(const at::Tensor& t, const at::Tensor& y, const MarkovOptions& options,
                             const RowNoise& noise) {
  options.check();
  kernel_ = Kernel::parse(text_of(options, noise.stands_alone()), 1);
  begin(t, y, options, noise);
}

MarkovProcess::MarkovProcess(const at::Tensor& t, const at::Tensor& y, Kernel kernel,
                             const MarkovOptions& options, const RowNoise& noise) {
  options.check();
  kernel_ = std::move(kernel);
  begin(t, y, options, noise);
}

void MarkovProcess::begin(const at::Tensor& t, const at::Tensor& y, const MarkovOptions& options,
                          const RowNoise& noise) {
  harmonics_ = options.harmonics;
  const std::string obstacle = MarkovForm::obstacle(kernel_, harmonics_);
  if (!obstacle.empty()) throw Error(ExitCode::kUsage, obstacle, "kernel in time");
  const std::vector<double> times = checked(t, -1, "t", false);
  const int64_t n = static_cast<int64_t>(times.size());
  if (n == 0) throw Error(ExitCode::kData, "has no rows", "t");
  noise.check(n);
  std::vector<double> values = checked(y, n, "y", true);
  std::vector<double> extra, weights;
  if (noise.variances.defined()) extra = checked(noise.variances, n, "noise", false);
  if (noise.weights.defined()) {
    weights = checked(noise.weights, n, "weights", false);
    if (!kernel_.has(ParameterRole::kNoise))
      throw Error(ExitCode::kUsage, "has no white, whose variance the weights of the rows divide",
                  "kernel", "add + white");
  }
  order_ = time_order(times);
  for (const size_t i : order_) {
    t_.push_back(times[i]);
    if (!weights.empty() && weights[i] == 0) values[i] = std::numeric_limits<double>::quiet_NaN();
    y_.push_back(values[i]);
    if (!extra.empty()) extra_.push_back(extra[i]);
    if (!weights.empty()) weights_.push_back(weights[i]);
  }
  if (n > 1 && t_.front() == t_.back()) {
    throw Error(ExitCode::kData, "all times are equal", "t");
  }
  double count = 0;
  for (const double v : y_) count += !std::isnan(v);
  if (count == 0) throw Error(ExitCode::kData, "holds no value", "y");
  constant_ = options.mean == "const";
  if (constant_) {
    for (const double v : y_) report_.mean += std::isnan(v) ? 0 : v / count;
    for (double& v : y_) v -= report_.mean;
  }
  double square = 0;
  for (const double v : y_) square += std::isnan(v) ? 0 : v * v;
  // Equal values: what is left after their mean is rounding.
  double largest = 0;
  for (const double v : values) largest = std::isnan(v) ? largest : std::max(largest, std::abs(v));
  const double least = largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1;
  const double variance = std::max(square / count, least);
  start(options, variance);
  if (options.fit) fit(options, true);
  finish(options, variance);
}

// First values by the data, and how far from there a fit may go.
void MarkovProcess::start(const MarkovOptions& options, double variance) {
  const double span = t_.back() > t_.front() ? t_.back() - t_.front() : 10;
  for (KernelParameter& p : kernel_.parameters()) {
    if (p.fixed) continue;
    double value = 1, down = 1e-3, up = 1e4;
    if (p.role == ParameterRole::kVariance) {
      value = variance;
      down = 1e-8;
      up = 1e6;
    } else if (p.role == ParameterRole::kNoise) {
      value = 0.1 * variance;
      down = 1e-9;
      up = 1e3;
    } else if (p.role == ParameterRole::kLengthscale || p.role == ParameterRole::kPeriod) {
      value = span / 10;
      down = 1e-8;
    }
    value *= p.start;
    if (!p.given) p.value = value;
    if (p.lower == 0) p.lower = p.value * down;
    if (p.upper == kInfinity) p.upper = p.value * up;
    p.value = std::clamp(p.value, p.lower, p.upper);
  }
  for (KernelParameter& p : kernel_.parameters()) {
    if (p.tied_to >= 0) p.value = kernel_.parameters()[static_cast<size_t>(p.tied_to)].value;
  }
  if (options.fit) {
    set_priors(&kernel_, options.priors,
               {variance, rounding_variance(y_), static_cast<double>(t_.size()), {span}});
  }
}

void MarkovProcess::finish(const MarkovOptions& options, double variance) {
  if (constant_) {
    // The mean and the parameters in turns, until both are those of the largest likelihood.
    for (int turn = 0; turn < 10; ++turn) {
      const double before = report_.mean;
      find_mean();
      if (!options.fit || std::abs(report_.mean - before) <= 1e-8 * std::sqrt(variance)) break;
      fit(options, false);
    }
  }
  Places at;
  report_.kernel = kernel_.text();
  report_.parameters = kernel_.parameters();
  report_.model = model_of(kernel_, &at);
  const MarkovForm form(kernel_, harmonics_);
  report_.states = form.states();
  report_.truncated = form.truncated();
  report_.noise = form.noise();
  report_.log_likelihood = evaluate(kernel_, series(), nullptr);
  if (constant_ && std::isfinite(report_.log_likelihood) && !(mean_precision_ > 0)) {
    throw Error(ExitCode::kFailed, "the mean cannot be told from the function", "process",
                "use the mean zero, or scale y");
  }
  if (!std::isfinite(report_.log_likelihood)) {
    throw Error(ExitCode::kFailed, "the likelihood is not finite: equal times carry no noise",
                "process", "give a noise variance");
  }
}

// The log likelihood of y - c is a parabola in c, with curvature 1' K^-1 1: three points of it, far
// apart, so that little is lost to rounding.
std::pair<double, double> MarkovProcess::mean_step(const Kernel& kernel) const {
  double variance = 0;
  const double zero = 0;
  kernel.diagonal(&zero, 1, true, &variance);
  double far = std::sqrt(variance);
  for (const double v : y_) far = std::isnan(v) ? far : std::max(far, std::abs(v));
  far *= 1e3;
  std::vector<double> moved = y_;
  const auto value_at = [&](double c) {
    for (size_t i = 0; i < y_.size(); ++i) moved[i] = y_[i] - c;
    return evaluate(kernel, {t_, moved, extra_, weights_}, nullptr);
  };
  const double above = value_at(far), below = value_at(-far), here = value_at(0);
  const double precision = (2 * here - above - below) / (far * far);
  return {(above - below) / (2 * far * precision), precision};
}

void MarkovProcess::find_mean() {
  const auto [step, precision] = mean_step(kernel_);
  mean_precision_ = precision;
  if (!std::isfinite(step) || !(precision > 0)) return;  // the likelihood is refused above
  report_.mean += step;
  for (double& v : y_) v -= step;
}

double MarkovProcess::log_likelihood(const Kernel& kernel, std::vector<double>* gradient) const {
  if (!constant_) return evaluate(kernel, series(), gradient);
  const auto [step, precision] = mean_step(kernel);
  if (!std::isfinite(step) || !(precision > 0)) return -kInfinity;
  std::vector<double> y = y_;
  for (double& v : y) v -= step;
  return evaluate(kernel, {t_, y, extra_, weights_}, gradient);
}

void MarkovProcess::fit(const MarkovOptions& options, bool compete) {
  std::vector<double> lower, upper;
  kernel_.bounds(&lower, &upper);
  std::vector<double> start = kernel_.pack();
  if (start.empty()) return;
  const auto search = [&](const Series& s, std::vector<double> from,
                          const numeric::LbfgsOptions& how) {
    return search_kernel(
        kernel_,
        [&](const Kernel& kernel, std::vector<double>* gradient) {
          return evaluate(kernel, s, gradient);
        },
        std::move(from), how);
  };
  // Length scales and periods that nobody stated: several guesses compete, on a stretch that tells
  // them if the series is long.
  std::vector<bool> open;
  for (const KernelParameter* p : kernel_.free_parameters()) {
    open.push_back(!p->given &&
                   (p->role == ParameterRole::kLengthscale || p->role == ParameterRole::kPeriod));
  }
  const auto unknown = std::count(open.begin(), open.end(), true);
  const size_t stretch = std::min<size_t>(t_.size(), 20000);
  if (compete && unknown > 0 && stretch > 1) {
    numeric::LbfgsOptions brief = options.search;
    brief.iterations = std::min<int64_t>(brief.iterations, 20);
    const Random random(0, stream_of("process.markov"));
    double best = kInfinity;
    const std::vector<double> guess = start;
    const double share = (t_[stretch - 1] - t_.front()) / (t_.back() - t_.front());
    const int turns = unknown > 1 ? 8 : 4;
    for (int turn = 0; turn < turns; ++turn) {
      std::vector<double> trial = guess;
      for (size_t i = 0; i < trial.size(); ++i) {
        if (!open[i]) continue;
        // The guess is a tenth of the span.
        double shift = std::log(10) * (1 - turn);
        if (turn >= 4) shift = 3 * random.normal(static_cast<uint64_t>(turn) * 1000 + i) - 1;
        if (share > 0) shift += std::log(share);
        trial[i] = std::clamp(trial[i] + shift, lower[i], upper[i]);
      }
      const numeric::Optimum o = search(series().first(stretch), trial, brief);
      report_.evaluations += o.evaluations;
      if (o.value < best) {
        best = o.value;
        start = o.x;
      }
    }
  }
  const numeric::Optimum o = search(series(), start, options.search);
  kernel_.unpack(o.x);
  record(o, kernel_, &report_);
}

MarkovPrediction MarkovProcess::predict(const at::Tensor& ts, bool noise) const {
  const std::vector<double> queries = checked(ts, -1, "ts", false);
  std::vector<double> t = t_, y = y_, extra = extra_, weights = weights_;
  t.insert(t.end(), queries.begin(), queries.end());
  y.resize(t.size(), std::numeric_limits<double>::quiet_NaN());
  if (!extra.empty()) extra.resize(t.size());
  if (!weights.empty()) weights.resize(t.size(), 1.0);
  const std::vector<size_t> order = time_order(t);
  std::vector<double> st, sy, se, sw, mean(t.size()), variance(t.size());
  for (const size_t i : order) {
    st.push_back(t[i]);
    sy.push_back(y[i]);
    if (!extra.empty()) se.push_back(extra[i]);
    if (!weights.empty()) sw.push_back(weights[i]);
  }
  const Series all{st, sy, se, sw};
  smooth(all, mean, variance);
  if (constant_) add_mean_variance(all, &variance);
  const int64_t s = static_cast<int64_t>(queries.size());
  MarkovPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  for (size_t k = 0; k < order.size(); ++k) {
    if (order[k] < t_.size()) continue;
    const size_t i = order[k] - t_.size();
    out.mean.data_ptr<double>()[i] = report_.mean + mean[k];
    out.variance.data_ptr<double>()[i] = variance[k] + (noise ? report_.noise : 0);
  }
  return out;
}

// What not knowing the mean adds: (1 - k' K^-1 1)^2 / (1' K^-1 1) at every point.
void MarkovProcess::add_mean_variance(const Series& s, std::vector<double>* variance) const {
  std::vector<double> y(s.y.begin(), s.y.end());
  for (double& v : y) v = std::isnan(v) ? v : 1;
  std::vector<double> ones(y.size()), unused(y.size());
  smooth({s.t, y, s.extra, s.weights}, ones, unused);
  for (size_t i = 0; i < y.size(); ++i) {
    (*variance)[i] += (1 - ones[i]) * (1 - ones[i]) / mean_precision_;
  }
}

// By the posterior of f, mean m and variance p, and noise s: K^-1 r = (r - m) / s, and the diagonal
// of K^-1 is (s - p) / s^2; the mean takes its share as in the variance of a prediction.
MarkovPrediction MarkovProcess::leave_one_out() const {
  const size_t n = y_.size();
  std::vector<double> mean(n), variance(n), with_mean(n);
  smooth(series(), mean, variance);
  with_mean = variance;
  if (constant_) add_mean_variance(series(), &with_mean);
  const double missing = std::numeric_limits<double>::quiet_NaN();
  MarkovPrediction out{at::full({static_cast<int64_t>(n)}, missing, at::kDouble),
                       at::full({static_cast<int64_t>(n)}, missing, at::kDouble)};
  for (size_t i = 0; i < n; ++i) {
    if (std::isnan(y_[i])) continue;
    const double own = noise(i), precision = (own - with_mean[i]) / (own * own);
    if (!(precision > 0)) {
      throw Error(
          ExitCode::kFailed,
          "row " + std::to_string(order_[i]) + " carries no noise, or nothing else is known",
          "leave one out", "give a noise variance, or more rows");
    }
    const double alpha = (y_[i] - mean[i]) / own;
    out.mean.data_ptr<double>()[order_[i]] = report_.mean + y_[i] - alpha / precision;
    out.variance.data_ptr<double>()[order_[i]] = 1 / precision;
  }
  return out;
}

}  // namespace covary::stat
