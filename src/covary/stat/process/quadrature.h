// Nodes and weights of Gaussian quadrature, computed once.
//
//   for (const auto& [x, w] : hermite20()) e += w * f(m + std::sqrt(v) * x);   // E f, f ~ N(m, v)
//   for (const auto& [x, w] : legendre8()) s += w * f(c + h * x);              // over [-1, 1]
#pragma once

#include <array>

namespace covary::stat {

struct QuadratureNode {
  double x, weight;
};

// For a standard normal: weights add up to 1; exact for polynomials of degree 39.
const std::array<QuadratureNode, 20>& hermite20();
// Over [-1, 1]: weights add up to 2; exact for polynomials of degree 15.
const std::array<QuadratureNode, 8>& legendre8();

}  // namespace covary::stat
