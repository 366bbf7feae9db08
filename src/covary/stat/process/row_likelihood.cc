#include "covary/stat/process/row_likelihood.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <limits>
#include <numbers>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"
#include "covary/core/numeric/sobol.h"
#include "covary/stat/process/likelihood.h"
#include "covary/stat/process/quadrature.h"

namespace covary::stat {
namespace {

constexpr double kLogTwoPi = 1.8378770664093454836;

std::string_view family_of(std::string_view text) {
  const std::string_view head = text.substr(0, text.find('('));
  const size_t begin = head.find_first_not_of(" \t"), end = head.find_last_not_of(" \t");
  return begin == std::string_view::npos ? "" : head.substr(begin, end - begin + 1);
}

// Lower factor of a small positive semidefinite matrix; columns without a pivot are 0.
std::vector<double> root_of(std::span<const double> a, size_t n) {
  std::vector<double> l(n * n);
  double largest = 0;
  for (size_t i = 0; i < n; ++i) largest = std::max(largest, a[i * n + i]);
  for (size_t j = 0; j < n; ++j) {
    double pivot = a[j * n + j];
    for (size_t k = 0; k < j; ++k) pivot -= l[j * n + k] * l[j * n + k];
    if (!(pivot > 1e-14 * largest)) continue;
    l[j * n + j] = std::sqrt(pivot);
    for (size_t i = j + 1; i < n; ++i) {
      double sum = a[i * n + j];
      for (size_t k = 0; k < j; ++k) sum -= l[i * n + k] * l[j * n + k];
      l[i * n + j] = sum / l[j * n + j];
    }
  }
  return l;
}

double log_normal(double y, double mean, double variance) {
  return -0.5 * (kLogTwoPi + std::log(variance) + (y - mean) * (y - mean) / variance);
}

}  // namespace

bool RowLikelihood::knows(std::string_view text) {
  const std::string_view family = family_of(text);
  return family == "softmax" || family == "heteroscedastic";
}

std::string RowLikelihood::noise_kernel(std::string_view text) {
  const size_t open = text.find('(');
  if (open == std::string_view::npos) return "";
  const size_t close = text.rfind(')');
  if (close == std::string_view::npos || close < open)
    throw Error(ExitCode::kUsage, "has an open parenthesis", "likelihood " + std::string(text),
                "close it");
  return std::string(text.substr(open + 1, close - open - 1));
}

RowLikelihood RowLikelihood::parse(std::string_view text, int64_t classes) {
  const std::string_view family = family_of(text);
  const std::string where = "likelihood " + std::string(text);
  if (!knows(text))
    throw Error(ExitCode::kUsage, "sees one function a row, or is not known", where,
                "those of several are heteroscedastic and softmax");
  RowLikelihood l;
  if (family == "softmax") {
    if (text.find('(') != std::string_view::npos)
      throw Error(ExitCode::kUsage, "has no arguments", where, "write softmax");
    if (classes < 2)
      throw Error(ExitCode::kData,
                  "needs two classes at least, the values have " + std::to_string(classes), where,
                  "look at the column of the labels");
    l.classes_ = classes;
  }
  return l;
}

void RowLikelihood::check(std::span<const double> y) const {
  if (!softmax()) return;
  for (size_t i = 0; i < y.size(); ++i) {
    if (std::isnan(y[i])) continue;
    if (y[i] >= 0 && y[i] < static_cast<double>(classes_) && y[i] == std::floor(y[i])) continue;
    char seen[40];
    std::snprintf(seen, sizeof seen, "%.6g", y[i]);
    throw Error(ExitCode::kData, std::string(seen) + " is no class: they are 0, 1, 2, ...",
                "y, row " + std::to_string(i), "number the classes from 0");
  }
}

std::vector<double> RowLikelihood::start_means(std::span<const double> y) const {
  double count = 0, sum = 0, squares = 0, largest = 0;
  for (const double v : y) {
    if (std::isnan(v)) continue;
    count += 1;
    sum += v;
    largest = std::max(largest, std::abs(v));
  }
  if (!softmax()) {
    const double mean = count > 0 ? sum / count : 0;
    for (const double v : y) squares += std::isnan(v) ? 0 : (v - mean) * (v - mean);
    // Equal values: what is left after their mean is rounding.
    const double least = largest > 0 ? std::max(largest * largest * 1e-16, 1e-280) : 1;
    return {mean, std::log(0.2 * std::max(count > 0 ? squares / count : 1, least))};
  }
  // The logarithms of the shares, about their mean.
  std::vector<double> m(static_cast<size_t>(classes_), 0.5);
  for (const double v : y) {
    if (!std::isnan(v)) m[static_cast<size_t>(v)] += 1;
  }
  double middle = 0;
  for (double& v : m) {
    v = std::log(v);
    middle += v / static_cast<double>(classes_);
  }
  for (double& v : m) v -= middle;
  return m;
}

void RowLikelihood::probabilities(std::span<const double> f, std::span<double> p) {
  const double top = *std::max_element(f.begin(), f.end());
  double sum = 0;
  for (size_t c = 0; c < f.size(); ++c) sum += p[c] = std::exp(f[c] - top);
  for (double& v : p) v /= sum;
}

double RowLikelihood::log_density(double y, std::span<const double> f) const {
  if (!softmax()) return -0.5 * (kLogTwoPi + f[1] + (y - f[0]) * (y - f[0]) * std::exp(-f[1]));
  const double top = *std::max_element(f.begin(), f.end());
  double sum = 0;
  for (const double v : f) sum += std::exp(v - top);
  return f[static_cast<size_t>(y)] - top - std::log(sum);
}

void RowLikelihood::slopes(double y, std::span<const double> f, std::span<double> d1) const {
  if (!softmax()) {
    const double precision = std::exp(-f[1]), r = y - f[0];
    d1[0] = r * precision;
    d1[1] = 0.5 * (r * r * precision - 1);
    return;
  }
  probabilities(f, d1);
  for (double& v : d1) v = -v;
  d1[static_cast<size_t>(y)] += 1;
}

double RowLikelihood::expected(double y, std::span<const double> mean,
                               std::span<const double> variance, std::span<double> by_mean,
                               std::span<double> by_variance) const {
  const double s = std::exp(0.5 * variance[1] - mean[1]), r = y - mean[0],
               q = s * (r * r + variance[0]);
  by_mean[0] = r * s;
  by_mean[1] = 0.5 * (q - 1);
  by_variance[0] = -0.5 * s;
  by_variance[1] = -0.25 * q;
  return -0.5 * (kLogTwoPi + mean[1] + q);
}

double RowLikelihood::predictive_log_density(double y, std::span<const double> mean,
                                             std::span<const double> variance) {
  double top = -std::numeric_limits<double>::infinity(), sum = 0;
  std::array<double, 20> logs{};
  const double sd = std::sqrt(std::max(variance[1], 0.0));
  size_t k = 0;
  for (const QuadratureNode& node : hermite20()) {
    logs[k] = std::log(node.weight) +
              log_normal(y, mean[0], variance[0] + std::exp(mean[1] + sd * node.x));
    top = std::max(top, logs[k++]);
  }
  for (const double l : logs) sum += std::exp(l - top);
  return top + std::log(sum);
}

double RowLikelihood::predictive_quantile(double p, std::span<const double> mean,
                                          std::span<const double> variance) {
  if (p > 0.5) return 2 * mean[0] - predictive_quantile(1 - p, mean, variance);
  const double sd = std::sqrt(std::max(variance[1], 0.0));
  std::array<std::pair<double, double>, 20> parts;  // weight, width
  double widest = 0;
  size_t k = 0;
  for (const QuadratureNode& node : hermite20()) {
    parts[k] = {node.weight, std::sqrt(variance[0] + std::exp(mean[1] + sd * node.x))};
    widest = std::max(widest, parts[k++].second);
  }
  const auto below = [&](double t) {
    double sum = 0;
    for (const auto& [weight, width] : parts)
      sum += weight * 0.5 * std::erfc(-t / width / std::numbers::sqrt2);
    return sum;
  };
  double from = widest * numeric::normal_quantile(p), to = 0;
  for (int turn = 0; turn < 200 && to - from > 1e-14 * std::abs(from); ++turn) {
    const double middle = 0.5 * (from + to);
    (below(middle) < p ? from : to) = middle;
  }
  return mean[0] + 0.5 * (from + to);
}

double RowLikelihood::noise_sd(double mean, double variance) {
  return std::exp(0.5 * mean + 0.125 * variance);
}

double RowLikelihood::noise_quantile(double p, double mean, double variance) {
  return std::exp(0.5 * (mean + std::sqrt(std::max(variance, 0.0)) * numeric::normal_quantile(p)));
}

double RowLikelihood::value_variance(std::span<const double> mean,
                                     std::span<const double> variance) {
  return variance[0] + std::exp(mean[1] + 0.5 * variance[1]);
}

void RowLikelihood::predictive_probabilities(std::span<const double> mean,
                                             std::span<const double> covariance,
                                             std::span<double> p, std::span<double> sd) {
  const size_t n = mean.size();
  if (n == 2) {  // the difference is all that counts
    static const Likelihood kLogit = Likelihood::parse("bernoulli-logit");
    const double m = mean[1] - mean[0],
                 v = std::max(covariance[0] + covariance[3] - covariance[1] - covariance[2],
                              1e-300);
    p[1] = kLogit.predict(m, v).first;
    p[0] = 1 - p[1];
    sd[0] = sd[1] = std::sqrt(kLogit.mean_variance(m, v));
    return;
  }
  constexpr int64_t kPairs = 512;
  const std::vector<double> root = root_of(covariance, n);
  const numeric::Sobol sobol(static_cast<int64_t>(n), 1);
  const std::vector<double> z = sobol.normals(kPairs);
  std::vector<double> f(n), one(n), squares(n, 0.0);
  std::fill(p.begin(), p.end(), 0.0);
  for (size_t k = 0; k < static_cast<size_t>(2 * kPairs); ++k) {
    const double sign = k % 2 ? -1 : 1;
    const double* at = z.data() + k / 2 * n;
    for (size_t i = 0; i < n; ++i) {
      f[i] = mean[i];
      for (size_t j = 0; j <= i; ++j) f[i] += sign * root[i * n + j] * at[j];
    }
    probabilities(f, one);
    for (size_t i = 0; i < n; ++i) {
      p[i] += one[i] / (2.0 * kPairs);
      squares[i] += one[i] * one[i] / (2.0 * kPairs);
    }
  }
  for (size_t i = 0; i < n; ++i) sd[i] = std::sqrt(std::max(squares[i] - p[i] * p[i], 0.0));
}

}  // namespace covary::stat
