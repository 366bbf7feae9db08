#include "studies/log-bessel/oracle.h"

#include <array>
#include <cmath>
#include <limits>

namespace covary::studies {
namespace {

constexpr long double kNegligible = 52;  // e^-52 of the peak is 3e-23
constexpr long double kPi = 3.14159265358979323846264338327950288L;

Quad sqrt_of(Quad a) {
  const Quad s = std::sqrt(static_cast<long double>(a));
  return (s + a / s) / 2;
}

// log((1 + z) / (1 - z)) by its series.
Quad twice_atanh(Quad z) {
  const Quad z2 = z * z;
  Quad power = z, sum = 0;
  for (int k = 1; k < 200; k += 2) {
    const Quad term = power / k;
    if (sum + term == sum) break;
    sum += term;
    power *= z2;
  }
  return 2 * sum;
}

Quad log_of(Quad a) {
  // log(c / 64), c = 32 .. 64.
  static const std::array<Quad, 65> table = [] {
    std::array<Quad, 65> t{};
    for (int c = 32; c <= 64; ++c)
      t[static_cast<size_t>(c)] = twice_atanh((Quad(c) - 64) / (Quad(c) + 64));
    return t;
  }();
  static const Quad log2 = twice_atanh(Quad(1) / 3);
  int exponent = 0;
  const long double mantissa = std::frexp(static_cast<long double>(a), &exponent);
  // Powers of two of any size, exactly: by halves.
  Quad m = a;
  for (int left = -exponent; left != 0;) {
    const int step = left > 900 ? 900 : left < -900 ? -900 : left;
    m *= Quad(std::ldexp(1.0L, step));
    left -= step;
  }
  const auto c = static_cast<int>(std::lround(mantissa * 64));
  const Quad near = Quad(c) / 64;
  return exponent * log2 + table[static_cast<size_t>(c)] + twice_atanh((m - near) / (m + near));
}

// t - sin t for |t| <= 1.
long double less_sine(long double t) {
  const long double t2 = t * t;
  long double term = t * t2 / 6, sum = 0;
  for (int k = 4; std::fabs(term) > 1e-24L * std::fabs(sum); k += 2) {
    sum += term;
    term *= -t2 / (static_cast<long double>(k) * (k + 1));
  }
  return sum;
}

// sinh t - t for t >= 0.
long double sinh_less(long double t) {
  if (t > 1) return std::sinh(t) - t;
  const long double t2 = t * t;
  long double term = t * t2 / 6, sum = 0;
  for (int k = 4; term > 1e-24L * sum; k += 2) {
    sum += term;
    term *= t2 / (static_cast<long double>(k) * (k + 1));
  }
  return sum;
}

// e^-t - 1 + t for t >= 0.
long double exp_rest(long double t) {
  if (t > 1) return std::exp(-t) - 1 + t;
  long double term = t * t / 2, sum = 0;
  for (int k = 3; std::fabs(term) > 1e-24L * std::fabs(sum); ++k) {
    sum += term;
    term *= -t / k;
  }
  return sum;
}

long double cosh_less_one(long double t) {
  const long double s = std::sinh(t / 2);
  return 2 * s * s;
}

// (1/pi) int_0^pi exp(h (cos t - 1)) cos(v (t - sin t)) dt; what is missing is e^-2h of it.
long double descent_of_i(long double h, long double v) {
  const long double step = 0.4L / std::sqrt(h);
  long double sum = 0.5L;
  for (int j = 1;; ++j) {
    const long double t = step * j, s = std::sin(t / 2), down = 2 * h * s * s;
    if (down > kNegligible) break;
    sum += std::exp(-down) * std::cos(v * less_sine(t));
  }
  return sum * step / kPi;
}

// (1/2) int exp(-h (cosh s - 1) - v (sinh s - s)) ds
long double integral_of_k(long double h, long double v, long double x) {
  const long double step = std::fmin(0.1L, 0.4L / std::sqrt(h));
  const long double difference = x * (x / (h + v));  // h - v
  long double sum = 1;
  for (int j = 1;; ++j) {
    const long double t = step * j, down = h * cosh_less_one(t) + v * sinh_less(t);
    if (down > kNegligible) break;
    sum += std::exp(-down);
  }
  for (int j = 1;; ++j) {
    const long double t = step * j, down = difference * cosh_less_one(t) + v * exp_rest(t);
    if (down > kNegligible) break;
    sum += std::exp(-down);
  }
  return sum * step / 2;
}

// sum_k (x/2)^(2k) v! / (k! (v+k)!)
long double series_of_i(long double v, long double x) {
  const long double q = x * x / 4;
  long double term = 1, sum = 1;
  for (int k = 1;; ++k) {
    term *= q / (k * (v + k));
    sum += term;
    if (term < 1e-22L * sum) break;
  }
  return sum;
}

}  // namespace

ExactLogs exact_logs(double v, double x) {
  const Quad qv = v, qx = x, h = sqrt_of(qv * qv + qx * qx);
  const Quad up = h - qv * log_of((qv + h) / qx);
  const auto hl = static_cast<long double>(h);
  ExactLogs logs;
  logs.k = std::log(integral_of_k(hl, v, x)) - up;
  if (hl >= 100) {
    logs.i = up + std::log(descent_of_i(hl, v));
  } else {
    int sign = 0;
    logs.i = qv * log_of(qx / 2) - Quad(::lgammal_r(static_cast<long double>(v) + 1, &sign)) +
             std::log(series_of_i(v, x));
  }
  return logs;
}

long double exact_ratio(double v, double x) {
  // r_n = x / (2 (n + 1) + x r_(n+1)); far out r falls as x / 2n.
  const auto terms = static_cast<int64_t>(60 + 2 * x);
  long double r = 0;
  for (int64_t n = terms; n >= 0; --n) {
    r = x / (2 * (static_cast<long double>(v) + static_cast<long double>(n) + 1) + x * r);
  }
  return r;
}

double error_of(double got, Quad exact) {
  if (!std::isfinite(got)) return std::numeric_limits<double>::infinity();
  const Quad gap = Quad(got) - exact, size = exact < 0 ? -exact : exact;
  return static_cast<double>((gap < 0 ? -gap : gap) / (size > 1 ? size : Quad(1)));
}

const std::vector<KnownLogs>& mpmath_logs() {
  static const std::vector<KnownLogs> rows = {
#include "studies/log-bessel/mpmath_table.inc"
  };
  return rows;
}

}  // namespace covary::studies
