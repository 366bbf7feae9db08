// The standard normal distribution to the last digits of its tails, and the logarithm of the expected
// improvement.
//
//   log_normal_cdf(-40);                  // -804.608...
//   double slope;
//   log_improvement(-1e5, &slope);        // log(phi(u) + u Phi(u)), and d / du
//
// With phi the density, Phi the distribution function, I_0 = 1 - Phi(t) and I_n(t) = integral over s
// > t of (s - t)^n / n! phi(s): the ratios r_n = I_n / I_(n-1), I_-1 = phi, obey
//   r_(n-1) = 1 / (t + n r_n),
// which, run downwards, loses no digits where phi(u) + u Phi(u) = I_1(-u) cancels. A few nanoseconds
// near 0, up to half a microsecond where the tail begins.
// Source: Gautschi 1961 (recurrence of iterated integrals of the error function); Ament et al. 2023
// (the use).
#pragma once

namespace covary::numeric {

double normal_density(double z);
double normal_cdf(double z);
// log Phi(z), and its slope phi / Phi where that is asked for.
double log_normal_cdf(double z, double* slope = nullptr);
double normal_quantile(double p);  // 0 < p < 1; infinite at the ends, NaN outside
// log(phi(u) + u Phi(u)), and its slope Phi / (phi + u Phi) where that is asked for.
double log_improvement(double u, double* slope = nullptr);

}  // namespace covary::numeric
