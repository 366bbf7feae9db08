#include "covary/stat/process/quadrature.h"

#include <cmath>
#include <numbers>

namespace covary::stat {
namespace {

// Newton's method on the orthonormal polynomials, one root after the other, each found ones divided
// out (Maehly).
template <size_t N, class F>
std::array<QuadratureNode, N> nodes(double first, F&& polynomial) {
  std::array<QuadratureNode, N> out{};
  for (size_t i = 0; i < N; ++i) {
    double x = i == 0 ? first : out[i - 1].x - 0.02;
    double p = 0, slope = 0;
    for (int turn = 0; turn < 200; ++turn) {
      polynomial(x, &p, &slope);
      double others = 0;
      for (size_t k = 0; k < i; ++k) others += 1 / (x - out[k].x);
      const double step = p / (slope - p * others);
      x -= step;
      if (std::abs(step) < 1e-15 * (1 + std::abs(x))) break;
    }
    polynomial(x, &p, &slope);
    x -= p / slope;
    polynomial(x, &p, &slope);
    out[i] = {x, slope};
  }
  return out;
}

}  // namespace

const std::array<QuadratureNode, 20>& hermite20() {
  static const std::array<QuadratureNode, 20> kNodes = [] {
    constexpr int n = 20;
    // h_k = He_k / sqrt(k!); h_n' = sqrt(n) h_(n-1), weight = 1 / (n h_(n-1)^2).
    auto found = nodes<n>(8, [](double x, double* p, double* slope) {
      double before = 0, now = 1;
      for (int k = 0; k < n; ++k) {
        const double next = (x * now - std::sqrt(static_cast<double>(k)) * before) /
                            std::sqrt(static_cast<double>(k + 1));
        before = now;
        now = next;
      }
      *p = now;
      *slope = std::sqrt(static_cast<double>(n)) * before;
    });
    for (QuadratureNode& q : found) q.weight = 1 / (q.weight * q.weight);
    return found;
  }();
  return kNodes;
}

const std::array<QuadratureNode, 8>& legendre8() {
  static const std::array<QuadratureNode, 8> kNodes = [] {
    constexpr int n = 8;
    auto found = nodes<n>(1, [](double x, double* p, double* slope) {
      double before = 0, now = 1;
      for (int k = 0; k < n; ++k) {
        const double next = ((2 * k + 1) * x * now - k * before) / (k + 1);
        before = now;
        now = next;
      }
      *p = now;
      *slope = std::abs(x) == 1 ? 0.5 * n * (n + 1) : n * (before - x * now) / (1 - x * x);
    });
    for (QuadratureNode& q : found) q.weight = 2 / ((1 - q.x * q.x) * q.weight * q.weight);
    return found;
  }();
  return kNodes;
}

}  // namespace covary::stat
