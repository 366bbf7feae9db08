#include "covary/stat/process/likelihood.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <random>

#include "covary/core/base/random.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/quadrature.h"

namespace covary::stat {
namespace {

using Kind = LikelihoodKind;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
const double kLogTwoPi = std::log(2 * std::numbers::pi);

double sigmoid(double f) {
  return f >= 0 ? 1 / (1 + std::exp(-f)) : std::exp(f) / (1 + std::exp(f));
}
double log_sigmoid(double f) {
  return f >= 0 ? -std::log1p(std::exp(-f)) : f - std::log1p(std::exp(f));
}

// log Phi(z), N = phi(z) / Phi(z) and z + N without cancellation. In the lower tail N is -z plus a
// continued fraction (Laplace's for Mills' ratio).
struct NormalTail {
  double log_cdf, hazard, sum;
};
NormalTail normal_tail(double z) {
  const double log_density = -0.5 * (z * z + kLogTwoPi);
  if (z > -6) {
    const double cdf = 0.5 * std::erfc(-z / std::numbers::sqrt2);
    const double hazard = std::exp(log_density) / cdf;
    return {z > 6 ? std::log1p(-0.5 * std::erfc(z / std::numbers::sqrt2)) : std::log(cdf), hazard,
            z + hazard};
  }
  double sum = 0;
  for (int k = 60; k >= 1; --k) sum = k / (sum - z);
  const double hazard = sum - z;
  return {std::isinf(log_density) ? -kInfinity : log_density - std::log(hazard), hazard, sum};
}

double digamma(double x) {
  double shift = 0;
  while (x < 10) shift -= 1 / x++;
  const double r = 1 / (x * x);
  return shift + std::log(x) - 0.5 / x -
         r * (1.0 / 12 - r * (1.0 / 120 - r * (1.0 / 252 - r * (1.0 / 240 - r * (1.0 / 132)))));
}

}  // namespace

Likelihood::WeightTerm Likelihood::weight_term(double weight) const {
  if (kind_ != Kind::kGaussian || weight == 1 || !(weight > 0)) return {};
  return {0.5 * ((weight - 1) * (kLogTwoPi + std::log(value(0))) + std::log(weight)),
          0.5 * (weight - 1)};
}

LogDensity Likelihood::log_density(double y, double f) const {
  switch (kind_) {
    case Kind::kGaussian: {
      const double v = value(0), r = y - f;
      return {-0.5 * (kLogTwoPi + std::log(v) + r * r / v), r / v, -1 / v, 0};
    }
    case Kind::kStudentT: {
      const double n = value(0), a = n * value(1) * value(1), r = y - f, u = r * r, q = a + u;
      return {std::lgamma(0.5 * (n + 1)) - std::lgamma(0.5 * n) -
                  0.5 * std::log(std::numbers::pi * a) - 0.5 * (n + 1) * std::log1p(u / a),
              (n + 1) * r / q, (n + 1) * (u - a) / q / q,
              (n + 1) * 2 * r * (u - 3 * a) / q / q / q};
    }
    case Kind::kBernoulliLogit: {
      const double p = sigmoid(f), w = sigmoid(f) * sigmoid(-f);
      return {log_sigmoid(y > 0 ? f : -f), y > 0 ? sigmoid(-f) : -p, -w, -w * (1 - 2 * p)};
    }
    case Kind::kBernoulliProbit: {
      const double sign = y > 0 ? 1 : -1;
      const NormalTail t = normal_tail(sign * f);
      const double w = t.hazard * t.sum;
      return {t.log_cdf, sign * t.hazard, -w,
              sign * t.hazard * (t.sum * t.sum - 1 + t.hazard * t.sum)};
    }
    case Kind::kPoisson: {
      const double rate = std::exp(f);
      return {y * f - rate - std::lgamma(y + 1), y - rate, -rate, -rate};
    }
    case Kind::kNegativeBinomial: {
      const double r = value(0), x = f - std::log(r), p = sigmoid(x), q = sigmoid(-x),
                   w = (y + r) * p * q;
      return {std::lgamma(y + r) - std::lgamma(r) - std::lgamma(y + 1) + r * log_sigmoid(-x) +
                  y * log_sigmoid(x),
              y * q - r * p, -w, -w * (q - p)};
    }
  }
  return {};
}

Curvature Likelihood::curvature(double y, double f) const {
  if (kind_ == Kind::kStudentT) {
    const double n = value(0), s = value(1);
    return {(n + 1) / (n + 3) / s / s, 0};
  }
  const LogDensity p = log_density(y, f);
  return {-p.d2, -p.d3};
}

void Likelihood::parameter_slopes(double y, double f, ParameterSlope* out) const {
  switch (kind_) {
    case Kind::kGaussian: {
      const double v = value(0), r = y - f;
      out[0] = {0.5 * (r * r / v - 1), -r / v, -1 / v};
      return;
    }
    case Kind::kStudentT: {
      const double n = value(0), s = value(1), a = n * s * s, r = y - f, u = r * r, q = a + u,
                   w = (n + 1) / (n + 3) / s / s;
      out[0] = {0.5 * n * (digamma(0.5 * (n + 1)) - digamma(0.5 * n) - std::log1p(u / a)) - 0.5 +
                    0.5 * (n + 1) * u / q,
                n * r / q - (n + 1) * r * a / q / q, w * n * (1 / (n + 1) - 1 / (n + 3))};
      out[1] = {(n + 1) * u / q - 1, -2 * (n + 1) * r * a / q / q, -2 * w};
      return;
    }
    case Kind::kNegativeBinomial: {
      const double r = value(0), x = f - std::log(r), p = sigmoid(x), q = sigmoid(-x);
      out[0] = {r * (digamma(y + r) - digamma(r) + log_sigmoid(-x)) + r * p - y * q,
                -r * p + (y + r) * p * q, r * p * q - (y + r) * p * q * (q - p)};
      return;
    }
    default:
      return;
  }
}

ExpectedDensity Likelihood::expected(double y, double mean, double variance,
                                     std::span<double> by_parameters) const {
  if (kind_ == Kind::kGaussian) {
    const double v = value(0), r = y - mean, square = r * r + variance;
    if (!by_parameters.empty()) by_parameters[0] = 0.5 * (square / v - 1);
    return {-0.5 * (kLogTwoPi + std::log(v) + square / v), r / v, -0.5 / v};
  }
  if (kind_ == Kind::kPoisson) {
    const double rate = std::exp(mean + 0.5 * variance);
    return {y * mean - rate - std::lgamma(y + 1), y - rate, -0.5 * rate};
  }
  const double sd = std::sqrt(std::max(variance, 0.0));
  ExpectedDensity e;
  std::fill(by_parameters.begin(), by_parameters.end(), 0.0);
  std::array<ParameterSlope, kMostParameters> slopes;
  for (const QuadratureNode& node : hermite20()) {
    const double f = mean + sd * node.x;
    const LogDensity p = log_density(y, f);
    e.value += node.weight * p.value;
    e.by_mean += node.weight * p.d1;
    // E d1 x / (2 sd) is the derivative of this very sum; without spread its limit is E d2 / 2.
    e.by_variance += node.weight * 0.5 * (sd > 1e-6 ? p.d1 * node.x / sd : p.d2);
    if (by_parameters.empty()) continue;
    parameter_slopes(y, f, slopes.data());
    for (size_t k = 0; k < by_parameters.size(); ++k)
      by_parameters[k] += node.weight * slopes[k].value;
  }
  return e;
}

// Visits nodes of p(y | f) N(f; mean, variance): visit(f, log of the product less its peak, weight
// of the node), after visit.peak has been set. Panels are as wide as the sharper of the two near
// its centre, and widen away from it.
template <class F>
void Likelihood::over_tilted(double y, double mean, double variance, F&& visit) const {
  const double sd = std::sqrt(variance);
  double centre = 0, width = 2;
  if (kind_ == Kind::kStudentT) {
    centre = y;
    width = value(1);
  } else if (counts()) {
    centre = std::log(std::max(y, 0.5));
    width = std::min(2.0, 1 / std::sqrt(-log_density(std::max(y, 1.0), centre).d2));
  }
  const auto log_product = [&](double f) {
    return log_density(y, f).value - 0.5 * (f - mean) * (f - mean) / variance;
  };
  double low, high, mode = mean, spread = sd;
  if (log_concave()) {
    // Newton's method between bounds that close in. The mode is no further from the mean than
    // where the likelihood alone would pull it.
    double from = mean, to = mean;
    const double slope = log_density(y, mean).d1;
    double step = sd;
    for (int k = 0; k < 200; ++k, step *= 2) {
      double& end = slope > 0 ? to : from;
      end = mean + (slope > 0 ? step : -step);
      const double d = log_density(y, end).d1 - (end - mean) / variance;
      if (slope > 0 ? d <= 0 : d >= 0) break;
    }
    mode = std::clamp(mean, from, to);
    for (int k = 0; k < 100; ++k) {
      const LogDensity p = log_density(y, mode);
      const double d = p.d1 - (mode - mean) / variance, c = -p.d2 + 1 / variance;
      (d > 0 ? from : to) = mode;
      double next = mode + d / c;
      // Far up an exponential Newton's steps are short: halves of the bracket are not.
      if (k % 3 == 2 || !(next > from && next < to)) next = 0.5 * (from + to);
      const double moved = std::abs(next - mode);
      mode = next;
      if (k % 3 != 2 && moved < 1e-3 / std::sqrt(c)) break;
    }
    spread = 1 / std::sqrt(-log_density(y, mode).d2 + 1 / variance);
    low = mode - 9 * sd;
    high = mode + 9 * sd;
  } else {
    low = std::min(mean, y) - 9 * sd;
    high = std::max(mean, y) + 9 * sd;
    if (log_product(y) > log_product(mean)) mode = y;
  }
  std::vector<double> edges{low, high};
  const auto edge = [&](double f) {
    if (f > low && f < high) edges.push_back(f);
  };
  const auto panels = [&](double at, double size) {
    edge(at);
    double reach = 0, part = size;
    for (int k = 0; k < 60 && reach < high - low; ++k) {
      reach += part;
      edge(at - reach);
      edge(at + reach);
      part = k < 3 ? part : std::min(1.8 * part, std::max(sd, size));
    }
  };
  panels(centre, width);
  panels(mode, spread);
  if (!log_concave()) panels(mean, sd);
  std::sort(edges.begin(), edges.end());
  const double peak = log_product(mode);
  visit.peak = peak;
  for (size_t i = 0; i + 1 < edges.size(); ++i) {
    const double half = 0.5 * (edges[i + 1] - edges[i]), middle = edges[i] + half;
    if (!(half > 1e-14 * (1 + std::abs(middle)))) continue;
    for (const QuadratureNode& node : legendre8()) {
      const double f = middle + half * node.x, log_value = log_product(f) - peak;
      if (log_value > -45) visit(f, std::exp(log_value) * half * node.weight);
    }
  }
}

TiltedMoments Likelihood::tilted(double y, double mean, double variance,
                                 std::span<double> by_parameters) const {
  if (!(variance > 0)) {
    std::array<ParameterSlope, kMostParameters> slopes;
    parameter_slopes(y, mean, slopes.data());
    for (size_t k = 0; k < by_parameters.size(); ++k) by_parameters[k] = slopes[k].value;
    return {log_density(y, mean).value, mean, 0};
  }
  if (kind_ == Kind::kGaussian) {
    const double v = value(0), total = v + variance, r = y - mean, gain = variance / total;
    if (!by_parameters.empty()) by_parameters[0] = 0.5 * v * (r * r / total - 1) / total;
    return {-0.5 * (kLogTwoPi + std::log(total) + r * r / total), mean + gain * r, gain * v};
  }
  if (kind_ == Kind::kBernoulliProbit) {
    const double sign = y > 0 ? 1 : -1, scale = std::sqrt(1 + variance);
    const NormalTail t = normal_tail(sign * mean / scale);
    return {t.log_cdf, mean + sign * variance * t.hazard / scale,
            variance - variance * variance * t.hazard * t.sum / (1 + variance)};
  }
  struct Sums {
    const Likelihood* self;
    double y, origin;
    size_t parameters;
    double peak = 0, mass = 0, first = 0, second = 0;
    std::array<double, kMostParameters> slopes{};
    void operator()(double f, double weight) {
      const double d = f - origin;
      mass += weight;
      first += weight * d;
      second += weight * d * d;
      if (parameters == 0) return;
      std::array<ParameterSlope, kMostParameters> s;
      self->parameter_slopes(y, f, s.data());
      for (size_t k = 0; k < parameters; ++k) slopes[k] += weight * s[k].value;
    }
  } sums{.self = this, .y = y, .origin = mean, .parameters = by_parameters.size()};
  over_tilted(y, mean, variance, sums);
  const double shift = sums.first / sums.mass;
  for (size_t k = 0; k < by_parameters.size(); ++k) by_parameters[k] = sums.slopes[k] / sums.mass;
  return {sums.peak + std::log(sums.mass) - 0.5 * (kLogTwoPi + std::log(variance)), mean + shift,
          std::max(sums.second / sums.mass - shift * shift, 0.0)};
}

double Likelihood::mean_at(double f) const {
  switch (kind_) {
    case Kind::kBernoulliLogit:
      return sigmoid(f);
    case Kind::kBernoulliProbit:
      return 0.5 * std::erfc(-f / std::numbers::sqrt2);
    case Kind::kPoisson:
    case Kind::kNegativeBinomial:
      return std::exp(f);
    default:
      return f;
  }
}

double Likelihood::mean_variance(double mean, double variance) const {
  if (counts()) return std::exp(2 * mean + variance) * std::expm1(variance);
  if (!binary()) return variance;
  const double sd = std::sqrt(std::max(variance, 0.0));
  double first = 0, second = 0;
  for (const QuadratureNode& node : hermite20()) first += node.weight * mean_at(mean + sd * node.x);
  for (const QuadratureNode& node : hermite20()) {
    const double d = mean_at(mean + sd * node.x) - first;
    second += node.weight * d * d;
  }
  return second;
}

std::pair<double, double> Likelihood::predict(double mean, double variance) const {
  switch (kind_) {
    case Kind::kGaussian:
      return {mean, variance + value(0)};
    case Kind::kStudentT: {
      // Infinite up to two degrees of freedom, where it tells nothing.
      const double n = value(0), s = value(1);
      return {mean, n > 2 ? variance + s * s * n / (n - 2) : kInfinity};
    }
    case Kind::kBernoulliLogit:
    case Kind::kBernoulliProbit: {
      const double p = std::clamp(std::exp(tilted(1, mean, variance, {}).log_z), 0.0, 1.0);
      return {p, p * (1 - p)};
    }
    case Kind::kPoisson:
    case Kind::kNegativeBinomial: {
      const double rate = std::exp(mean + 0.5 * variance);
      const double own = kind_ == Kind::kPoisson ? 0 : std::exp(2 * (mean + variance)) / value(0);
      return {rate, rate + own + mean_variance(mean, variance)};
    }
  }
  return {mean, variance};
}

double Likelihood::quantile(double p, double mean, double variance) const {
  const double sd = std::sqrt(std::max(variance, 0.0));
  if (binary() || counts()) return mean_at(mean + sd * numeric::normal_quantile(p));
  if (kind_ == Kind::kGaussian)
    return mean + std::sqrt(variance + value(0)) * numeric::normal_quantile(p);
  // Student's t is a normal whose precision is gamma distributed: the distribution function is a
  // mean over the logarithm x of that precision, by the trapezoidal rule.
  const double n = value(0), s = value(1);
  if (p > 0.5) return 2 * mean - quantile(1 - p, mean, variance);
  std::vector<std::pair<double, double>> parts;  // weight, standard deviation
  const double low = -80 / n - 1, high = std::log(1 + 80 / n + std::sqrt(160 / n));
  const double step = std::min(0.25 * std::sqrt(2 / n), (high - low) / 100);
  double total = 0;
  for (double x = low; x < high; x += step) {
    const double weight = std::exp(0.5 * n * (x + 1 - std::exp(x)));
    parts.emplace_back(weight, std::sqrt(variance + s * s * std::exp(-x)));
    total += weight;
  }
  const auto below = [&](double t) {
    double sum = 0;
    for (const auto& [weight, width] : parts)
      sum += weight * 0.5 * std::erfc(-t / width / std::numbers::sqrt2);
    return sum / total;
  };
  double from = -(sd + s), to = 0;
  while (below(from) > p && from > -1e280) from *= 2;
  for (int k = 0; k < 200 && to - from > 1e-14 * std::abs(from); ++k) {
    const double middle = 0.5 * (from + to);
    (below(middle) < p ? from : to) = middle;
  }
  return mean + 0.5 * (from + to);
}

double Likelihood::sample(double f, uint64_t seed, uint64_t element) const {
  const Random random(seed, stream_of("likelihood.sample"));
  const auto words = random.words(element);
  std::mt19937_64 engine((static_cast<uint64_t>(words[0]) << 32) | words[1]);
  const auto poisson = [&](double rate) {
    return rate > 0 ? static_cast<double>(
                          std::poisson_distribution<int64_t>(std::min(rate, 1e15))(engine))
                    : 0.0;
  };
  switch (kind_) {
    case Kind::kGaussian:
      return f + std::sqrt(value(0)) * random.normal(element);
    case Kind::kStudentT:
      return f + value(1) * std::student_t_distribution<double>(value(0))(engine);
    case Kind::kBernoulliLogit:
    case Kind::kBernoulliProbit:
      return random.uniform(element) < mean_at(f) ? 1 : 0;
    case Kind::kPoisson:
      return poisson(std::exp(f));
    case Kind::kNegativeBinomial:
      return poisson(std::exp(f) * std::gamma_distribution<double>(value(0), 1 / value(0))(engine));
  }
  return f;
}

}  // namespace covary::stat
