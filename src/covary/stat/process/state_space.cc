#include "covary/stat/process/state_space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/pairwise/pairwise.h"
#include "covary/stat/process/state_space_filter.h"

namespace covary::stat {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr size_t kBlock = 256;  // gaps whose transitions are formed at a time

double rate_of(const MarkovModel& model) {
  const double order = model.kind == MarkovKind::kMatern12   ? 1
                       : model.kind == MarkovKind::kMatern32 ? 3
                                                             : 5;
  return std::sqrt(order) / model.length;
}

// Runs body(integral constant D) for the number of states of a kind.
template <class F>
auto with_states(MarkovKind kind, F&& body) {
  if (kind == MarkovKind::kMatern12) return body(std::integral_constant<int, 1>());
  if (kind == MarkovKind::kMatern32) return body(std::integral_constant<int, 2>());
  return body(std::integral_constant<int, 3>());
}

// Transitions to the points [begin, begin + count) from those before them.
template <int D>
struct TransitionBlock {
  double x[kBlock];
  Transition<D> step[kBlock];

  void fill(double rate, std::span<const double> t, size_t begin, size_t count, bool derivatives) {
    double e[kBlock] = {};
    for (size_t i = 0; i < count; ++i) {
      const double gap = begin + i == 0 ? kInfinity : t[begin + i] - t[begin + i - 1];
      x[i] = std::min(rate * gap, kFarGap);
      e[i] = 2 * x[i];
    }
    // exp(-x), several at a time.
    compute::radial_profile(compute::Profile::kRbf, 0, e, static_cast<int64_t>(count), e, nullptr,
                            nullptr);
    for (size_t i = 0; i < count; ++i) transition<D>(x[i], e[i], derivatives, &step[i]);
  }
};

// Sum of logarithms through products.
class LogSum {
 public:
  void add(double x) {
    product_ *= x;
    if (!(product_ > 1e-150 && product_ < 1e150)) {
      sum_ += std::log(product_);
      product_ = 1;
    }
  }
  double value() const { return sum_ + std::log(product_); }

 private:
  double product_ = 1, sum_ = 0;
};

template <int D, int N>
struct Number {
  using Type = Dual<N>;
  static void transition(const TransitionBlock<D>& block, size_t i, Type (&a)[D * D],
                         Type (&q)[packed_size(D)]) {
    const Transition<D>& t = block.step[i];
    const double slope = -block.x[i];  // d x / d log length
    for (int k = 0; k < D * D; ++k) {
      a[k] = Type(t.a[k]);
      a[k].d[0] = slope * t.da[k];
    }
    for (int k = 0; k < packed_size(D); ++k) {
      q[k] = Type(t.q[k]);
      q[k].d[0] = slope * t.dq[k];
    }
  }
};
template <int D>
struct Number<D, 0> {
  using Type = double;
  static void transition(const TransitionBlock<D>& block, size_t i, double (&a)[D * D],
                         double (&q)[packed_size(D)]) {
    std::copy_n(block.step[i].a, D * D, a);
    std::copy_n(block.step[i].q, packed_size(D), q);
  }
};

// N derivatives: by log length, log noise and, where points have a noise of their own, log variance
// through the noise shares.
template <int D, int N>
double likelihood(const MarkovModel& model, std::span<const double> t, std::span<const double> y,
                  std::span<const double> extra, MarkovGradient* gradient) {
  using Num = Number<D, N>;
  using T = typename Num::Type;
  const double rate = rate_of(model), share = 1 / model.variance;
  TransitionBlock<D> block;
  FilterState<D, T> state{};
  LogSum determinant;
  double squares = 0, count = 0;
  std::array<double, N> slope{};  // of log determinant + squares / variance
  for (size_t begin = 0; begin < t.size(); begin += kBlock) {
    const size_t size = std::min(kBlock, t.size() - begin);
    block.fill(rate, t, begin, size, N > 0);
    for (size_t i = 0; i < size; ++i) {
      T a[D * D], q[packed_size(D)];
      Num::transition(block, i, a, q);
      state.predict(a, q);
      const double value = y[begin + i];
      if (std::isnan(value)) continue;
      const double own = extra.empty() ? 0 : extra[begin + i];
      T r(share * (model.noise + own));
      if constexpr (N > 1) r.d[1] = share * model.noise;
      if constexpr (N > 2) r.d[2] = -r.v;
      const T s = state.p[0] + r, v = T(value) - state.m[0];
      if (!(value_of(s) > 0)) return -kInfinity;
      const T inverse = reciprocal(s);
      state.update(v, inverse, r);
      determinant.add(value_of(s));
      const T square = v * v * inverse;
      squares += value_of(square);
      count += 1;
      if constexpr (N > 0) {
        for (int k = 0; k < N; ++k) slope[k] += s.d[k] * inverse.v + share * square.d[k];
      }
    }
  }
  if constexpr (N > 0) {
    gradient->length = -0.5 * slope[0];
    gradient->noise = -0.5 * slope[1];
    gradient->variance =
        -0.5 * (count - share * squares) + (N > 2 ? -0.5 * slope[N - 1] : -gradient->noise);
  }
  const double value = -0.5 * (count * std::log(2 * std::numbers::pi * model.variance) +
                               determinant.value() + share * squares);
  return std::isfinite(value) ? value : -kInfinity;
}

template <int D>
double smooth(const MarkovModel& model, std::span<const double> t, std::span<const double> y,
              std::span<const double> extra, std::span<double> mean, std::span<double> variance) {
  const double rate = rate_of(model), share = 1 / model.variance;
  const size_t n = t.size();
  constexpr int kSymmetric = packed_size(D);
  struct Predicted {
    double m[D], p[kSymmetric];
  };
  std::vector<Predicted> predicted(n);
  TransitionBlock<D> block;
  FilterState<D, double> state{};
  LogSum determinant;
  double squares = 0, count = 0;
  const auto noise_of = [&](size_t i) {
    return share * (model.noise + (extra.empty() ? 0 : extra[i]));
  };
  for (size_t begin = 0; begin < n; begin += kBlock) {
    const size_t size = std::min(kBlock, n - begin);
    block.fill(rate, t, begin, size, false);
    for (size_t i = 0; i < size; ++i) {
      state.predict(block.step[i].a, block.step[i].q);
      std::copy_n(state.m, D, predicted[begin + i].m);
      std::copy_n(state.p, kSymmetric, predicted[begin + i].p);
      const double value = y[begin + i];
      if (std::isnan(value)) continue;
      const double r = noise_of(begin + i), s = state.p[0] + r, v = value - state.m[0];
      if (!(s > 0)) return -kInfinity;
      state.update(v, 1 / s, r);
      determinant.add(s);
      squares += v * v / s;
      count += 1;
    }
  }
  // Backwards: what the values from here on say about the state predicted here, as a gradient
  // (lambda) and a curvature (big) of minus their log density.
  double lambda[D] = {}, big[D][D] = {};
  for (size_t end = n; end > 0;) {
    const size_t begin = (end - 1) / kBlock * kBlock, size = end - begin;
    block.fill(rate, t, begin, size, false);
    for (size_t i = size; i-- > 0;) {
      const size_t at = begin + i;
      const Predicted& p = predicted[at];
      double column[D];
      for (int k = 0; k < D; ++k) column[k] = p.p[packed(k, 0)];
      if (!std::isnan(y[at])) {
        const double s = column[0] + noise_of(at), v = y[at] - p.m[0];
        double gain[D], turned[D] = {}, along = 0, twice = 0;
        for (int k = 0; k < D; ++k) gain[k] = column[k] / s;
        for (int k = 0; k < D; ++k) {
          along += gain[k] * lambda[k];
          for (int l = 0; l < D; ++l) turned[k] += big[k][l] * gain[l];
        }
        for (int k = 0; k < D; ++k) twice += gain[k] * turned[k];
        lambda[0] -= v / s + along;
        for (int k = 0; k < D; ++k) {
          big[0][k] -= turned[k];
          big[k][0] -= turned[k];
        }
        big[0][0] += twice + 1 / s;
      }
      double m = p.m[0], c = column[0];
      for (int k = 0; k < D; ++k) {
        m -= column[k] * lambda[k];
        for (int l = 0; l < D; ++l) c -= column[k] * big[k][l] * column[l];
      }
      mean[at] = m;
      variance[at] = std::max(c, 0.0) * model.variance;
      const double* a = block.step[i].a;
      double moved[D] = {}, half[D][D] = {}, whole[D][D] = {};
      for (int k = 0; k < D; ++k) {
        for (int l = 0; l < D; ++l) {
          moved[k] += a[l * D + k] * lambda[l];
          for (int q = 0; q < D; ++q) half[k][l] += big[k][q] * a[q * D + l];
        }
      }
      for (int k = 0; k < D; ++k) {
        for (int l = 0; l < D; ++l) {
          for (int q = 0; q < D; ++q) whole[k][l] += a[q * D + k] * half[q][l];
        }
      }
      std::copy_n(moved, D, lambda);
      std::copy_n(&whole[0][0], D * D, &big[0][0]);
    }
    end = begin;
  }
  return -0.5 * (count * std::log(2 * std::numbers::pi * model.variance) + determinant.value() +
                 share * squares);
}

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

}  // namespace

MarkovKind markov_kind_of(const std::string& name) {
  if (name == "matern12") return MarkovKind::kMatern12;
  if (name == "matern32") return MarkovKind::kMatern32;
  if (name == "matern52") return MarkovKind::kMatern52;
  throw Error(ExitCode::kUsage, "must be matern12, matern32 or matern52, not \"" + name + "\"",
              "kernel");
}

double markov_log_likelihood(const MarkovModel& model, std::span<const double> t,
                             std::span<const double> y, std::span<const double> extra,
                             MarkovGradient* gradient) {
  return with_states(model.kind, [&](auto states) {
    constexpr int D = states;
    if (!gradient) return likelihood<D, 0>(model, t, y, extra, nullptr);
    return extra.empty() ? likelihood<D, 2>(model, t, y, extra, gradient)
                         : likelihood<D, 3>(model, t, y, extra, gradient);
  });
}

double markov_smooth(const MarkovModel& model, std::span<const double> t, std::span<const double> y,
                     std::span<const double> extra, std::span<double> mean,
                     std::span<double> variance) {
  return with_states(
      model.kind, [&](auto states) { return smooth<states>(model, t, y, extra, mean, variance); });
}

MarkovProcess::MarkovProcess(const at::Tensor& t, const at::Tensor& y, const MarkovOptions& options,
                             const at::Tensor& noise) {
  options.check();
  const std::vector<double> times = checked(t, -1, "t", false);
  const int64_t n = static_cast<int64_t>(times.size());
  if (n == 0) throw Error(ExitCode::kData, "has no rows", "t");
  const std::vector<double> values = checked(y, n, "y", true);
  std::vector<double> extra;
  if (noise.defined()) extra = checked(noise, n, "noise", false);
  order_ = time_order(times);
  for (const size_t i : order_) {
    t_.push_back(times[i]);
    y_.push_back(values[i]);
    if (extra.empty()) continue;
    if (extra[i] < 0) {
      throw Error(ExitCode::kData, "a variance is negative at row " + std::to_string(i), "noise");
    }
    extra_.push_back(extra[i]);
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
  const double variance = square > 0 ? square / count : 1;
  const double length = n > 1 ? (t_.back() - t_.front()) / 10 : 1;
  report_.model = {markov_kind_of(options.kernel),
                   options.variance > 0 ? options.variance : variance,
                   options.length > 0 ? options.length : length,
                   options.noise > 0 || !options.fit ? options.noise : 0.1 * variance};
  if (!options.fit && options.noise == 0 && !noise.defined()) report_.model.noise = 0.1 * variance;
  if (options.fit) fit(options);
  if (constant_) {
    // The mean and the parameters in turns, until both are those of the largest likelihood.
    MarkovOptions further = options;
    for (int turn = 0; turn < 10; ++turn) {
      const double before = report_.mean;
      find_mean();
      if (!options.fit || std::abs(report_.mean - before) <= 1e-8 * std::sqrt(variance)) break;
      further.length = report_.model.length;
      fit(further);
    }
  }
  report_.log_likelihood = markov_log_likelihood(report_.model, t_, y_, extra_, nullptr);
  if (!std::isfinite(report_.log_likelihood)) {
    throw Error(ExitCode::kFailed, "the likelihood is not finite: equal times carry no noise",
                "process", "give a noise variance");
  }
}

// The log likelihood of y - c is a parabola in c, with curvature 1' K^-1 1: three points of it, far
// apart, so that little is lost to rounding.
void MarkovProcess::find_mean() {
  double far = 0;
  for (const double v : y_) far = std::isnan(v) ? far : std::max(far, std::abs(v));
  far = 1e3 * (far > 0 ? far : std::sqrt(report_.model.variance));
  std::vector<double> moved = y_;
  const auto value_at = [&](double c) {
    for (size_t i = 0; i < y_.size(); ++i) moved[i] = y_[i] - c;
    return markov_log_likelihood(report_.model, t_, moved, extra_, nullptr);
  };
  const double above = value_at(far), below = value_at(-far), here = value_at(0);
  mean_precision_ = (2 * here - above - below) / (far * far);
  const double step = (above - below) / (2 * far * mean_precision_);
  if (!std::isfinite(step) || !(mean_precision_ > 0)) return;  // the likelihood is refused above
  report_.mean += step;
  for (double& v : y_) v -= step;
}

void MarkovProcess::fit(const MarkovOptions& options) {
  const MarkovModel first = report_.model;
  const auto bounds_of = [](double value, double down, double up) {
    return std::pair(std::log(value * down), std::log(value * up));
  };
  const auto [v0, v1] = bounds_of(first.variance, 1e-8, 1e6);
  const auto [l0, l1] = bounds_of(first.length, 1e-8, 1e4);
  const auto [s0, s1] = bounds_of(first.noise, 1e-9, 1e3);
  const std::vector<double> lower{v0, l0, s0}, upper{v1, l1, s1};
  const auto search = [&](std::span<const double> t, std::span<const double> y,
                          std::span<const double> extra, std::vector<double> start,
                          const numeric::LbfgsOptions& how) {
    return numeric::minimise(
        [&](std::span<const double> logs, std::span<double> gradient) {
          const MarkovModel model{first.kind, std::exp(logs[0]), std::exp(logs[1]),
                                  std::exp(logs[2])};
          MarkovGradient g;
          const double value = markov_log_likelihood(model, t, y, extra, &g);
          gradient[0] = -g.variance;
          gradient[1] = -g.length;
          gradient[2] = -g.noise;
          return -value;
        },
        std::move(start), lower, upper, how);
  };
  // A long series tells its length scale in a stretch of it; several guesses compete there.
  const size_t stretch = std::min<size_t>(t_.size(), 20000);
  const std::span<const double> all_t(t_), all_y(y_), all_extra(extra_);
  std::vector<double> start{std::log(first.variance), std::log(first.length),
                            std::log(first.noise)};
  if (options.length == 0 && stretch > 1) {
    numeric::LbfgsOptions brief = options.search;
    brief.iterations = std::min<int64_t>(brief.iterations, 20);
    double best = kInfinity;
    const std::vector<double> guess = start;
    const double span = t_[stretch - 1] - t_.front();
    for (const double part : {1.0, 0.1, 0.01, 1e-3}) {
      std::vector<double> trial = guess;
      if (span > 0) trial[1] = std::clamp(std::log(span * part), l0, l1);
      const numeric::Optimum o =
          search(all_t.first(stretch), all_y.first(stretch),
                 all_extra.empty() ? all_extra : all_extra.first(stretch), trial, brief);
      report_.evaluations += o.evaluations;
      if (o.value < best) {
        best = o.value;
        start = o.x;
      }
    }
  }
  const numeric::Optimum o = search(all_t, all_y, all_extra, start, options.search);
  report_.model.variance = std::exp(o.x[0]);
  report_.model.length = std::exp(o.x[1]);
  report_.model.noise = std::exp(o.x[2]);
  report_.fitted = true;
  report_.ending = o.ending;
  report_.gradient_norm = o.gradient_norm;
  report_.iterations += o.iterations;
  report_.evaluations += o.evaluations;
  report_.at_bound.clear();
  static constexpr const char* kNames[] = {"variance", "length", "noise"};
  for (const int64_t i : o.at_bound) report_.at_bound.emplace_back(kNames[i]);
}

MarkovPrediction MarkovProcess::predict(const at::Tensor& ts, bool noise) const {
  const std::vector<double> queries = checked(ts, -1, "ts", false);
  std::vector<double> t = t_, y = y_, extra = extra_;
  t.insert(t.end(), queries.begin(), queries.end());
  y.resize(t.size(), std::numeric_limits<double>::quiet_NaN());
  if (!extra.empty()) extra.resize(t.size());
  const std::vector<size_t> order = time_order(t);
  std::vector<double> st, sy, se, mean(t.size()), variance(t.size());
  for (const size_t i : order) {
    st.push_back(t[i]);
    sy.push_back(y[i]);
    if (!extra.empty()) se.push_back(extra[i]);
  }
  markov_smooth(report_.model, st, sy, se, mean, variance);
  if (constant_) add_mean_variance(st, std::move(sy), se, &variance);
  const int64_t s = static_cast<int64_t>(queries.size());
  MarkovPrediction out{at::empty({s}, at::kDouble), at::empty({s}, at::kDouble)};
  for (size_t k = 0; k < order.size(); ++k) {
    if (order[k] < t_.size()) continue;
    const size_t i = order[k] - t_.size();
    out.mean.data_ptr<double>()[i] = report_.mean + mean[k];
    out.variance.data_ptr<double>()[i] = variance[k] + (noise ? report_.model.noise : 0);
  }
  return out;
}

// What not knowing the mean adds: (1 - k' K^-1 1)^2 / (1' K^-1 1) at every point.
void MarkovProcess::add_mean_variance(std::span<const double> t, std::vector<double> y,
                                      std::span<const double> extra,
                                      std::vector<double>* variance) const {
  for (double& v : y) v = std::isnan(v) ? v : 1;
  std::vector<double> ones(y.size()), unused(y.size());
  markov_smooth(report_.model, t, y, extra, ones, unused);
  for (size_t i = 0; i < y.size(); ++i) {
    (*variance)[i] += (1 - ones[i]) * (1 - ones[i]) / mean_precision_;
  }
}

// By the posterior of f, mean m and variance p, and noise s: K^-1 r = (r - m) / s, and the diagonal
// of K^-1 is (s - p) / s^2; the mean takes its share as in the variance of a prediction.
MarkovPrediction MarkovProcess::leave_one_out() const {
  const size_t n = y_.size();
  std::vector<double> mean(n), variance(n), with_mean(n);
  markov_smooth(report_.model, t_, y_, extra_, mean, variance);
  with_mean = variance;
  if (constant_) add_mean_variance(t_, y_, extra_, &with_mean);
  const double missing = std::numeric_limits<double>::quiet_NaN();
  MarkovPrediction out{at::full({static_cast<int64_t>(n)}, missing, at::kDouble),
                       at::full({static_cast<int64_t>(n)}, missing, at::kDouble)};
  for (size_t i = 0; i < n; ++i) {
    if (std::isnan(y_[i])) continue;
    const double noise = report_.model.noise + (extra_.empty() ? 0 : extra_[i]);
    const double precision = (noise - with_mean[i]) / (noise * noise);
    if (!(precision > 0)) {
      throw Error(
          ExitCode::kFailed,
          "row " + std::to_string(order_[i]) + " carries no noise, or nothing else is known",
          "leave one out", "give a noise variance, or more rows");
    }
    const double alpha = (y_[i] - mean[i]) / noise;
    out.mean.data_ptr<double>()[order_[i]] = report_.mean + y_[i] - alpha / precision;
    out.variance.data_ptr<double>()[order_[i]] = 1 / precision;
  }
  return out;
}

}  // namespace covary::stat
