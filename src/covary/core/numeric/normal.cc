#include "covary/core/numeric/normal.h"

#include <cmath>
#include <limits>
#include <numbers>

namespace covary::numeric {
namespace {

constexpr double kLogRootTwoPi = 0.91893853320467274178;
constexpr double kTail = 1.5;  // from here on the ratios are used

// r_0 and r_1 at t >= kTail.
struct Ratios {
  double r0, r1;
};
Ratios tail_ratios(double t) {
  // Enough terms for the last digit: their error falls like exp(-2 t sqrt(2 n)).
  const int terms = 20 + static_cast<int>(360 / (t * t));
  double r = 1 / (t + std::sqrt(static_cast<double>(terms)));
  for (int n = terms; n > 1; --n) r = 1 / (t + n * r);
  return {1 / (t + r), r};
}

double log_density(double z) { return -0.5 * z * z - kLogRootTwoPi; }

}  // namespace

double normal_density(double z) { return std::exp(log_density(z)); }

double normal_cdf(double z) { return 0.5 * std::erfc(-z / std::numbers::sqrt2); }

double log_normal_cdf(double z, double* slope) {
  if (z < -kTail) {
    const Ratios r = tail_ratios(-z);
    if (slope) *slope = 1 / r.r0;
    return log_density(z) + std::log(r.r0);
  }
  const double p = normal_cdf(z);
  if (slope) *slope = normal_density(z) / p;
  return z > 0 ? std::log1p(-normal_cdf(-z)) : std::log(p);
}

double normal_quantile(double p) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (!(p >= 0 && p <= 1)) return std::numeric_limits<double>::quiet_NaN();
  if (p > 0.5) return -normal_quantile(1 - p);
  if (p == 0) return -kInfinity;
  // Abramowitz and Stegun 26.2.23, to 4.5e-4; then Newton's method on log Phi, which is concave and
  // nearly a parabola.
  const double target = std::log(p), t = std::sqrt(-2 * target);
  double z = ((0.010328 * t + 0.802853) * t + 2.515517) /
                 (((0.001308 * t + 0.189269) * t + 1.432788) * t + 1) -
             t;
  for (int i = 0; i < 3; ++i) {
    double slope;
    const double value = log_normal_cdf(z, &slope);
    z -= (value - target) / slope;
  }
  return z;
}

double log_improvement(double u, double* slope) {
  if (u < -kTail) {
    const Ratios r = tail_ratios(-u);
    if (slope) *slope = 1 / r.r1;
    return log_density(u) + std::log(r.r0) + std::log(r.r1);
  }
  const double cdf = normal_cdf(u), value = normal_density(u) + u * cdf;
  if (slope) *slope = cdf / value;
  return std::log(value);
}

}  // namespace covary::numeric
