// For tests: everything a kernel computes, against a plain formula and central differences.
#pragma once

#include <cmath>
#include <functional>
#include <vector>

#include <gtest/gtest.h>

#include "covary/core/base/random.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

using Vector = std::vector<double>;
using Point = const double*;
// The plain formula: k(x, x', whether both are one row).
using Formula = std::function<double(Point, Point, bool)>;

inline Vector normals(int64_t n, uint64_t seed) {
  const Random random(seed, 99);
  Vector x(static_cast<size_t>(n));
  for (size_t i = 0; i < x.size(); ++i) x[i] = random.normal(i);
  return x;
}

inline double moved_parameter(const KernelParameter& p, double value, double step) {
  return p.real ? value + step : value * std::exp(step);
}

// Values, diagonal and cross values against the formula; contracted gradients against central
// differences of sum W.K; derivatives in x likewise, but for
// functions of whole numbers. x [n,d], y [m,d].
inline void expect_sound(Kernel kernel, const Formula& formula, const Vector& x, const Vector& y,
                         uint64_t seed, bool inputs = true) {
  const int64_t d = kernel.dims(), n = static_cast<int64_t>(x.size()) / d,
                m = static_cast<int64_t>(y.size()) / d;
  Vector values(static_cast<size_t>(n * n)), diagonal(static_cast<size_t>(n));
  kernel.matrix(x.data(), n, values.data(), n);
  kernel.diagonal(x.data(), n, true, diagonal.data());
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_NEAR(diagonal[i], values[i * n + i], 1e-12 * (1 + std::abs(diagonal[i])));
    for (int64_t j = 0; j < n; ++j) {
      const double expected = formula(&x[i * d], &x[j * d], i == j);
      ASSERT_NEAR(values[i * n + j], expected, 1e-12 * (1 + std::abs(expected))) << i << "," << j;
      ASSERT_EQ(values[i * n + j], values[j * n + i]);
    }
  }
  Vector cross(static_cast<size_t>(m * n));
  kernel.cross(y.data(), m, x.data(), n, cross.data(), n);
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < n; ++j) {
      const double expected = formula(&y[i * d], &x[j * d], false);
      ASSERT_NEAR(cross[i * n + j], expected, 1e-12 * (1 + std::abs(expected)));
    }
  }

  Vector w = normals(n * n, 9000 + seed);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) w[i * n + j] = w[j * n + i];
  }
  Vector gradient(kernel.parameters().size());
  const auto weights = [&](const compute::PairBlock& t, double* out) {
    for (int64_t i = 0; i < t.rows; ++i) {
      for (int64_t j = 0; j < t.columns; ++j) {
        out[i * t.columns + j] = w[(t.row + i) * n + t.column + j];
      }
    }
  };
  kernel.contract(x.data(), n, weights, gradient);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double h = 1e-5, value = kernel.parameters()[p].value;
    double difference = 0, scale = 1;
    for (const double sign : {-1.0, 1.0}) {
      kernel.parameters()[p].value = moved_parameter(kernel.parameters()[p], value, sign * h);
      kernel.matrix(x.data(), n, values.data(), n);
      for (size_t i = 0; i < values.size(); ++i) {
        difference += sign * w[i] * values[i] / (2 * h);
        scale += std::abs(w[i] * values[i]) / 2;
      }
    }
    kernel.parameters()[p].value = value;
    ASSERT_NEAR(gradient[p], difference, 1e-6 * scale) << kernel.parameters()[p].name;
  }

  const Vector v = normals(m * n, 7000 + seed);
  Vector over_cross(gradient.size()), over_diagonal(gradient.size());
  kernel.contract_cross(y.data(), m, x.data(), n, v.data(), n, over_cross);
  kernel.contract_diagonal(x.data(), n, v.data(), over_diagonal);
  for (size_t p = 0; p < gradient.size(); ++p) {
    const double h = 1e-5, value = kernel.parameters()[p].value;
    double difference = 0, along = 0, scale = 1;
    for (const double sign : {-1.0, 1.0}) {
      kernel.parameters()[p].value = moved_parameter(kernel.parameters()[p], value, sign * h);
      kernel.cross(y.data(), m, x.data(), n, cross.data(), n);
      kernel.diagonal(x.data(), n, false, diagonal.data());
      for (int64_t i = 0; i < m * n; ++i) {
        difference += sign * v[i] * cross[i] / (2 * h);
        scale += std::abs(v[i] * cross[i]) / 2;
      }
      for (int64_t i = 0; i < n; ++i) {
        along += sign * v[i] * diagonal[i] / (2 * h);
        scale += std::abs(v[i] * diagonal[i]) / 2;
      }
    }
    kernel.parameters()[p].value = value;
    ASSERT_NEAR(over_cross[p], difference, 1e-6 * scale) << kernel.parameters()[p].name;
    ASSERT_NEAR(over_diagonal[p], along, 1e-6 * scale) << kernel.parameters()[p].name;
  }
  if (!inputs) return;
  Vector input(static_cast<size_t>(m * d));
  kernel.contract_inputs(y.data(), m, x.data(), n, v.data(), input.data());
  for (int64_t i = 0; i < m * d; ++i) {
    const double h = 1e-5;
    double difference = 0, scale = 1;
    for (const double sign : {-1.0, 1.0}) {
      Vector moved = y;
      moved[i] += sign * h;
      kernel.cross(moved.data(), m, x.data(), n, cross.data(), n);
      for (int64_t k = 0; k < m * n; ++k) {
        difference += sign * v[k] * cross[k] / (2 * h);
        scale += std::abs(v[k] * cross[k]) / 2;
      }
    }
    ASSERT_NEAR(input[i], difference, 1e-6 * scale) << i;
  }
}

}  // namespace covary::stat
