#include "covary/stat/process/state_space.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

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
                  std::span<const double> extra, std::span<const double> weights,
                  MarkovGradient* gradient) {
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
      const double common = weights.empty() ? model.noise : model.noise / weights[begin + i];
      T r(share * (common + own));
      if constexpr (N > 1) r.d[1] = share * common;
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
              std::span<const double> extra, std::span<const double> weights,
              std::span<double> mean, std::span<double> variance) {
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
    return share * ((weights.empty() ? model.noise : model.noise / weights[i]) +
                    (extra.empty() ? 0 : extra[i]));
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
                             MarkovGradient* gradient, std::span<const double> weights) {
  return with_states(model.kind, [&](auto states) {
    constexpr int D = states;
    if (!gradient) return likelihood<D, 0>(model, t, y, extra, weights, nullptr);
    return extra.empty() ? likelihood<D, 2>(model, t, y, extra, weights, gradient)
                         : likelihood<D, 3>(model, t, y, extra, weights, gradient);
  });
}

double markov_smooth(const MarkovModel& model, std::span<const double> t, std::span<const double> y,
                     std::span<const double> extra, std::span<double> mean,
                     std::span<double> variance, std::span<const double> weights) {
  return with_states(model.kind, [&](auto states) {
    return smooth<states>(model, t, y, extra, weights, mean, variance);
  });
}

}  // namespace covary::stat
