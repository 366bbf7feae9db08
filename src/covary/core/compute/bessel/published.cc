#include "covary/core/compute/bessel/published.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <limits>

#include "covary/core/compute/bessel/bessel_tables.h"

namespace covary::compute {
namespace {

namespace tables = bessel_tables;

constexpr double kLog2 = 0.693147180559945309;

double log_gamma(double a) {
  int sign;
  return ::lgamma_r(a, &sign);
}

// log of the sum of Hankel's expansion; the sign is -1 for I.
double hankel(double v, double x, int terms, double sign) {
  double term = 1, sum = 1;
  for (int k = 1; k <= terms; ++k) {
    const double odd = 2.0 * k - 1;
    term *= sign * (4 * v * v - odd * odd) / (8 * k * x);
    sum += term;
  }
  return std::log(std::fabs(sum));
}

// log of sum_(k=0..terms) y^k u_k(t) / t^k; y = t / v for I, -t / v for K.
double debye(double t, double y, int terms) {
  double sum = 0;
  for (int k = terms; k >= 0; --k) {
    double u = 0;
    for (int j = k; j >= 0; --j) u = u * t * t + tables::kDebye[k][j];
    sum = sum * y + u;
  }
  return std::log(std::fabs(sum));
}

double large_argument(const BesselOptions& options, double v, double x, int terms) {
  const double drop = options.scaled ? 0 : x;
  if (options.kind == BesselKind::kI) {
    return drop - 0.5 * (tables::kLog2Pi + std::log(x)) + hankel(v, x, terms, -1);
  }
  return 0.5 * (tables::kLogHalfPi - std::log(x)) - drop + hankel(v, x, terms, 1);
}

double large_order(const BesselOptions& options, double v, double x, int terms) {
  const double z = x / v, r = std::sqrt(1 + z * z), t = 1 / r;
  const double eta = options.scaled ? 1 / (r + z) - std::asinh(1 / z) : r + std::log(z / (1 + r));
  const double slow = -0.25 * std::log1p(z * z);
  if (options.kind == BesselKind::kI) {
    return -0.5 * (tables::kLog2Pi + std::log(v)) + v * eta + slow + debye(t, t / v, terms);
  }
  return 0.5 * (tables::kLogHalfPi - std::log(v)) - v * eta + slow + debye(t, -t / v, terms);
}

double series_i(double v, double x) {
  constexpr int kTerms = 41;
  double l[kTerms];
  l[0] = -log_gamma(v + 1);
  for (int k = 1; k < kTerms; ++k) l[k] = l[k - 1] - std::log(k * (k + v) / (0.25 * x * x));
  const double top = *std::max_element(l, l + kTerms);
  double sum = 0;
  for (const double a : l) sum += std::exp(a - top);
  return v * std::log(0.5 * x) + top + std::log(sum);
}

// log K e^x
double rothwell_k(double v, double x) {
  constexpr int kIntervals = 600;
  constexpr double kNone = -std::numeric_limits<double>::infinity();
  const double n = 8, beta = 2 * n / (2 * v + 1);
  double logs[2 * (kIntervals + 1)];
  for (int i = 0; i <= kIntervals; ++i) {
    const double u = static_cast<double>(i) / kIntervals;
    const double weight = std::log(i == 0 || i == kIntervals ? 1.0 : i % 2 ? 4.0 : 2.0);
    const double p = std::pow(u, beta);
    logs[2 * i] = u == 0 ? kNone
                         : weight + std::log(beta) - p + (v - 0.5) * std::log(2 * x + p) +
                               (n - 1) * std::log(u);
    logs[2 * i + 1] =
        u == 0 ? kNone
               : weight - 1 / u - (2 * v + 1) * std::log(u) + (v - 0.5) * std::log(2 * x * u + 1);
  }
  const double top = *std::max_element(std::begin(logs), std::end(logs));
  double sum = 0;
  for (const double a : logs) sum += std::exp(a - top);
  const double integral = top + std::log(sum / (3.0 * kIntervals));
  return 0.5 * (tables::kLogHalfPi + kLog2) - log_gamma(v + 0.5) - v * std::log(2 * x) + integral;
}

}  // namespace

PublishedRegion published_region(double v, double x, const PublishedOptions& published) {
  const double log_v = v == 0 ? -1000 : std::log(v), log_x = std::log(x);
  const bool few = !published.guarded || v * v < 0.002 * x;
  const bool many = !published.guarded || v * v < 2 * x;
  if ((x > 1400 && v < 3.05) || (0.6229 * log_x - 3.2318 > log_v && v > 3.1 && few)) {
    return PublishedRegion::kMu3;
  }
  if ((x > 30 && v < 15.3919) || (0.5113 * log_x + 0.7939 > log_v && x > 59.6925 && many)) {
    return PublishedRegion::kMu20;
  }
  if ((x > 274.2377 && v > 0.3) || v > 163.6993) return PublishedRegion::kU4;
  if ((x > 84.4153 && v > 0.46) || v > 56.9971) return PublishedRegion::kU6;
  if ((x > 35.9074 && v > 0.6) || v > 20.1534) return PublishedRegion::kU9;
  if ((x > 19.6931 && v > 0.7) || v > 12.6964) return PublishedRegion::kU13;
  return PublishedRegion::kFallback;
}

double log_bessel_published(const BesselOptions& options, double v, double x,
                            const PublishedOptions& published) {
  if (!(v >= 0 && x > 0)) return std::numeric_limits<double>::quiet_NaN();
  switch (published_region(v, x, published)) {
    case PublishedRegion::kMu3:
      return large_argument(options, v, x, 3);
    case PublishedRegion::kMu20:
      return large_argument(options, v, x, 20);
    case PublishedRegion::kU4:
      return large_order(options, v, x, 4);
    case PublishedRegion::kU6:
      return large_order(options, v, x, 6);
    case PublishedRegion::kU9:
      return large_order(options, v, x, 9);
    case PublishedRegion::kU13:
      return large_order(options, v, x, 13);
    case PublishedRegion::kFallback:
      break;
  }
  if (options.kind == BesselKind::kI) return series_i(v, x) - (options.scaled ? x : 0);
  return rothwell_k(v, x) - (options.scaled ? 0 : x);
}

}  // namespace covary::compute
