#include "covary/stat/process/radial.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "covary/core/compute/bessel/bessel.h"

namespace covary::stat {
namespace {

constexpr int64_t kBlock = 2048;   // of compute/bessel
constexpr double kFar = 1e5;       // argument from which on the function is 0
constexpr double kSteepest = 340;  // logarithm at which a slope is cut: its square is still finite

double digamma(double x) {
  double s = 0;
  for (; x < 10; ++x) s -= 1 / x;
  const double u = 1 / (x * x);
  return s + std::log(x) - 0.5 / x -
         u * (1.0 / 12 - u * (1.0 / 120 - u * (1.0 / 252 - u * (1.0 / 240 - u / 132))));
}

// log(2^(1-nu) / Gamma(nu))
double log_constant(double nu) { return (1 - nu) * std::numbers::ln2 - std::lgamma(nu); }

// Below it the function differs from 1 by less than a rounding.
double least_argument(double nu) { return std::exp(-39 / (2 * std::min(nu, 1.0))); }

double whole_power(double base, int64_t exponent) {
  double p = 1;
  for (int64_t i = 0; i < exponent; ++i) p *= base;
  return p;
}

// Wendland's function with j of the source; 1 at r = 0.
double wendland(int64_t smoothness, int64_t j, double r) {
  if (r >= 1) return 0;
  const double k = static_cast<double>(j), t = 1 - r;
  switch (smoothness) {
    case 0:
      return whole_power(t, j);
    case 1:
      return whole_power(t, j + 1) * ((k + 1) * r + 1);
    case 2:
      return whole_power(t, j + 2) * (((k + 1) * (k + 3) * r + 3 * (k + 2)) * r + 3) / 3;
    default:
      return whole_power(t, j + 3) *
             ((((k + 1) * (k + 3) * (k + 5) * r + 6 * k * k + 36 * k + 45) * r + 15 * (k + 3)) * r +
              15) /
             15;
  }
}

// d phi_s / dq = -fall(s, j) phi_(s-1), with the same j, for s >= 1.
double fall(int64_t smoothness, int64_t j) {
  const double k = static_cast<double>(j);
  switch (smoothness) {
    case 1:
      return (k + 1) * (k + 2) / 2;
    case 2:
      return (k + 3) * (k + 4) / 6;
    default:
      return (k + 5) * (k + 6) / 10;
  }
}

int64_t wendland_exponent(int64_t smoothness, int64_t dims) { return dims / 2 + smoothness + 1; }

// d phi_s / dq.
double wendland_slope(int64_t smoothness, int64_t j, double r) {
  if (r >= 1) return 0;
  if (smoothness > 0) return -fall(smoothness, j) * wendland(smoothness - 1, j, r);
  return r > 0 ? -static_cast<double>(j) * whole_power(1 - r, j - 1) / (2 * r) : 0;
}

}  // namespace

void matern_profile(double nu, const double* q, int64_t count, double* value, double* slope,
                    double* order_slope) {
  using compute::BesselKind;
  const double constant = log_constant(nu), least = least_argument(nu), psi = digamma(nu);
  const double below = std::abs(nu - 1);  // K is even in its order
  const double at_zero = nu > 1 ? -0.5 * nu / (nu - 1) : 0;
  double order[kBlock], z[kBlock], log_k[kBlock], dv[kBlock], dz[kBlock], log_below[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t some = std::min(kBlock, count - begin);
    for (int64_t i = 0; i < some; ++i) {
      z[i] = std::clamp(std::sqrt(2 * nu * q[begin + i]), least, kFar);
      order[i] = nu;
    }
    const bool by_order = order_slope != nullptr;
    compute::log_bessel<double>(
        {.kind = BesselKind::kK}, {some, order, z},
        {.value = log_k, .dv = by_order ? dv : nullptr, .dx = by_order ? dz : nullptr});
    if (slope) {
      std::fill_n(order, some, below);
      compute::log_bessel<double>({.kind = BesselKind::kK}, {some, order, z}, {.value = log_below});
    }
    for (int64_t i = 0; i < some; ++i) {
      const bool near = z[i] <= least;
      const double l = std::log(z[i]);
      const double k = near ? 1 : std::exp(constant + nu * l + log_k[i]);
      value[begin + i] = k;
      if (slope) {
        slope[begin + i] =
            near ? at_zero
                 : -nu * std::exp(std::min(constant + (nu - 1) * l + log_below[i], kSteepest));
      }
      if (by_order) {
        const double rise = l - std::numbers::ln2 - psi + 0.5 + dv[i] + z[i] / (2 * nu) * dz[i];
        order_slope[begin + i] = near || k == 0 ? 0 : k * rise;
      }
    }
  }
}

void wendland_profile(int64_t smoothness, int64_t dims, const double* q, int64_t count,
                      double* value, double* slope) {
  const int64_t j = wendland_exponent(smoothness, dims);
  for (int64_t i = 0; i < count; ++i) {
    const double r = std::sqrt(q[i]);
    value[i] = wendland(smoothness, j, r);
    if (slope) slope[i] = wendland_slope(smoothness, j, r);
  }
}

RadialJet radial_jet(const RadialFunction& f, double q) {
  switch (f.kind) {
    case RadialKind::kRbf: {
      const double k = std::exp(-0.5 * q);
      return {k, -0.5 * k, 0.25 * k};
    }
    case RadialKind::kRationalQuadratic: {
      const double base = 1 + q / (2 * f.shape), k = std::pow(base, -f.shape);
      return {k, -0.5 * k / base, 0.25 * (1 + 1 / f.shape) * k / (base * base)};
    }
    case RadialKind::kWendland: {
      const int64_t j = wendland_exponent(f.smoothness, f.dims);
      const double r = std::sqrt(q);
      RadialJet jet{wendland(f.smoothness, j, r), wendland_slope(f.smoothness, j, r), 0};
      if (f.smoothness > 0) {
        jet.curvature = -fall(f.smoothness, j) * wendland_slope(f.smoothness - 1, j, r);
      }
      return jet;
    }
    case RadialKind::kMatern:
      break;
  }
  // d / dz of z^nu K_nu is -z^nu K_(nu-1), twice; dz / dq = nu / z.
  const double nu = f.shape, z = std::min(std::sqrt(2 * nu * q), kFar), constant = log_constant(nu);
  if (z <= least_argument(nu)) {
    RadialJet jet;
    if (nu > 1) jet.slope = -0.5 * nu / (nu - 1);
    if (nu > 2) jet.curvature = 0.25 * nu * nu / ((nu - 1) * (nu - 2));
    return jet;
  }
  const double l = std::log(z);
  const auto part = [&](double down) {
    return std::exp(
        std::min(constant + (nu - down) * l +
                     compute::log_bessel({.kind = compute::BesselKind::kK}, std::abs(nu - down), z),
                 kSteepest));
  };
  return {part(0), -nu * part(1), nu * nu * part(2)};
}

}  // namespace covary::stat
