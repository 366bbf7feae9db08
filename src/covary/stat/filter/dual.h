// Forward-mode numbers: a value and its derivative along one direction. A function written over a
// number type T then gives its Jacobian, column by column, exact to rounding.
//
//   const auto polar = [](const auto* x, int64_t, auto* y) {
//     y[0] = sqrt(x[0] * x[0] + x[1] * x[1]);
//     y[1] = atan2(x[1], x[0]);
//   };
//   model.h = function_of(polar);  model.h_jacobian = jacobian_of(polar, 2);   // nonlinear.h
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

namespace covary::filter {

struct Dual {
  double value = 0, slope = 0;
  Dual() = default;
  Dual(double v, double s = 0)  // NOLINT(google-explicit-constructor): constants in formulas
      : value(v), slope(s) {}
};

inline Dual operator+(Dual a, Dual b) { return {a.value + b.value, a.slope + b.slope}; }
inline Dual operator-(Dual a, Dual b) { return {a.value - b.value, a.slope - b.slope}; }
inline Dual operator-(Dual a) { return {-a.value, -a.slope}; }
inline Dual operator*(Dual a, Dual b) {
  return {a.value * b.value, a.slope * b.value + a.value * b.slope};
}
inline Dual operator/(Dual a, Dual b) {
  const double q = a.value / b.value;
  return {q, (a.slope - q * b.slope) / b.value};
}
inline bool operator<(Dual a, Dual b) { return a.value < b.value; }
inline bool operator>(Dual a, Dual b) { return a.value > b.value; }
inline Dual sqrt(Dual a) {
  const double r = std::sqrt(a.value);
  return {r, a.slope / (2 * r)};
}
inline Dual exp(Dual a) {
  const double e = std::exp(a.value);
  return {e, a.slope * e};
}
inline Dual log(Dual a) { return {std::log(a.value), a.slope / a.value}; }
inline Dual sin(Dual a) { return {std::sin(a.value), a.slope * std::cos(a.value)}; }
inline Dual cos(Dual a) { return {std::cos(a.value), -a.slope * std::sin(a.value)}; }
inline Dual tanh(Dual a) {
  const double t = std::tanh(a.value);
  return {t, a.slope * (1 - t * t)};
}
inline Dual atan2(Dual y, Dual x) {
  return {std::atan2(y.value, x.value),
          (y.slope * x.value - x.slope * y.value) / (x.value * x.value + y.value * y.value)};
}

// F: void(const T* x, int64_t step, T* out) for T = double and Dual.
template <class F>
auto function_of(F f) {
  return [f](std::span<const double> x, int64_t step, std::span<double> out) {
    f(x.data(), step, out.data());
  };
}

// The Jacobian [outputs, inputs], row-major.
template <class F>
auto jacobian_of(F f, int64_t outputs) {
  return [f, outputs](std::span<const double> x, int64_t step, std::span<double> out) {
    const size_t n = x.size(), m = static_cast<size_t>(outputs);
    std::vector<Dual> point(x.begin(), x.end()), image(m);
    for (size_t j = 0; j < n; ++j) {
      point[j].slope = 1;
      f(point.data(), step, image.data());
      point[j].slope = 0;
      for (size_t i = 0; i < m; ++i) out[i * n + j] = image[i].slope;
    }
  };
}

}  // namespace covary::filter
