// Improvements over an incumbent, batch by batch and draw by draw, as smooth logarithms whose slopes never vanish:
// what Monte Carlo acquisition functions are made of.
//
//   fat_log_positive(x, count, 1e-6, l, slope);           // l ~ log max(x, 0)
//   double v = fat_log_mean_max(l, q, draws, 1e-2, w);    // ~ log mean over draws of max over q of exp(l); w = dv / dl
//
// With u = x / tau:
//   fat_log_positive  log(tau (log(1 + exp(u)) + 0.1 / (1 + u^2)))
//   fat_log_step      log of a step from 0 to 1: 2/3 / (1 + (u - m)^2) below 0, 1 - 2/3 / (1 + (u + m)^2) above it,
//                     m = 1 / sqrt(3): 1/2 at 0, with one slope from both sides
//   fat_log_mean_max  log mean over draws of exp(M + tau log(sum_j p((M - l_j) / tau))), M = max_j l_j,
//                     p(t) = 2 / (2 + 2 t + t^2)
// Far below 0 they fall like logarithms of powers, not like u: gradients there still point uphill.
//
// Arrays are [count], or [q, draws] with draws contiguous. Sums run over draws in order of lanes: results depend on the
// instruction set only. About 3 ns an entry for the first, 2 for the last (AVX-512); memory is read once or twice.
// Source: Ament, Daulton, Eriksson, Balandat and Bakshy 2023, "Unexpected improvements to expected improvement for
// Bayesian optimization", appendix A.
#pragma once

#include <cstdint>

namespace covary::compute {

// value and slope = d value / d x; value may be x itself.
void fat_log_positive_reference(const double* x, int64_t count, double tau, double* value,
                                double* slope);
void fat_log_positive(const double* x, int64_t count, double tau, double* value, double* slope);

void fat_log_step_reference(const double* x, int64_t count, double tau, double* value,
                            double* slope);
void fat_log_step(const double* x, int64_t count, double tau, double* value, double* slope);

// weights [q, draws] = slope of the result by l; they add up to 1. l must be finite.
double fat_log_mean_max_reference(const double* l, int64_t q, int64_t draws, double tau,
                                  double* weights);
double fat_log_mean_max(const double* l, int64_t q, int64_t draws, double tau, double* weights);

}  // namespace covary::compute
