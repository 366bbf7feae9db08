// Radial profiles that compute/pairwise does not hold: the Matern function of any order, and
// polynomials of compact support. As functions of q = squared scaled distance, with their slopes.
//
//   matern_profile(1.2, q, 4096, value, slope, nullptr);     // order nu = 1.2
//   wendland_profile(2, 3, q, 4096, value, slope);           // C^4, positive definite up to R^3
//   RadialJet j = radial_jet({RadialKind::kMatern, 1.2}, 0.3);  // with d2 k / dq2
//
// Matern: 2^(1-nu) / Gamma(nu) z^nu K_nu(z), z = sqrt(2 nu q), through compute/bessel; nu in
// [0.01, 100]. At nu = 1/2, 3/2, 5/2 it is the closed form to 1e-12. Slopes that are infinite at
// distance 0 are 0 there, as in pairwise.h: they only meet factors that vanish.
// Wendland: (1 - r)^e times a polynomial, 0 from r = 1 on, 2 `smoothness` times differentiable.
// Cost: about 300 flops a Matern value, twice that with slopes, four times with the one by nu; no
// allocation beyond a block on the stack.
// Source: Rasmussen and Williams 2006, eq. 4.14 and 4.21; Wendland 2005, section 9.4.
#pragma once

#include <cstdint>

#include "covary/core/compute/pairwise/pairwise.h"

namespace covary::stat {

// slope = d value / dq, order_slope = d value / d nu; either may be null. value may be q itself.
void matern_profile(double nu, const double* q, int64_t count, double* value, double* slope,
                    double* order_slope);

// smoothness 0..3, dims >= 1: of the space in which the function stays positive definite.
void wendland_profile(int64_t smoothness, int64_t dims, const double* q, int64_t count,
                      double* value, double* slope);

// Any of the profiles at one place: f(q), f'(q), f''(q). Where a derivative is infinite at q = 0 it
// is 0.
enum class RadialKind { kRbf, kMatern, kRationalQuadratic, kWendland };
struct RadialFunction {
  RadialKind kind = RadialKind::kRbf;
  double shape = 0;  // nu, alpha
  int64_t smoothness = 0, dims = 1;
};
struct RadialJet {
  double value = 1, slope = 0, curvature = 0;
};
RadialJet radial_jet(const RadialFunction& function, double q);

}  // namespace covary::stat
