// Solves A x = b for a symmetric positive definite operator by products with it alone, for many
// right-hand sides at once, and learns log |A| on the way.
//
//   std::vector<Solve> report = conjugate_gradient(a, &p, b, count, stops, options, x, &lanczos);
//   report[c].reached;                        // false: x[c] is not as good as was asked for
//   log_quadrature(lanczos[c]);               // e_1' log(T) e_1
//
// Every right-hand side has its own recursion and its own stop; those that are done drop out of the
// products. With a preconditioner P that A dominates (A - P positive semidefinite, as for a partial
// Cholesky factor plus noise) the recursion's rho = r' P^-1 r bounds the error in the norm of A:
//   (x - x*)' A (x - x*) = r' A^-1 r <= r' P^-1 r,
// so that a stop by `energy` is a guarantee, to rounding.
// A cheaper copy of the matrix, its entries in floats say, may stand in for it: `exact` is then the
// matrix itself, and where a right-hand side has a stop by energy its residual is computed anew by
// `exact` when it has fallen by kTrust and when its stop is reached, so that the guarantee is that of
// the exact matrix. A copy that is too coarse for this (rare: its error rivals the smallest
// eigenvalue) is given up, and the products of `exact` are used throughout.
// The tridiagonal of a right-hand side is that of Lanczos for P^-1/2 A P^-1/2 from P^-1/2 b.
// Cost: a product with A and a solution with P a step; 40 count n bytes. Same bits at any number of
// threads.
// Source: Hestenes and Stiefel 1952; Saad 2003, algorithm 9.1 and section 6.7.3 (tridiagonal);
// van der Vorst and Ye 2000 (residuals replaced by true ones);
// Gardner et al. 2018 (determinants of kernel matrices that way).
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "covary/core/linalg/operator.h"

namespace covary::linalg {

// When a right-hand side is done: both hold.
struct Stop {
  double residual = std::numeric_limits<double>::infinity();  // |r| <= residual |b|
  double energy = std::numeric_limits<double>::infinity();    // r' P^-1 r <= energy
};

struct Solve {
  int64_t iterations = 0;
  double residual = 0;   // |r| / |b|; 0 for b = 0
  double energy = 0;     // r' P^-1 r
  bool reached = false;  // its stop
  // x' (b + r) = b' A^-1 b less the square of the error in the norm of A: from below, and closer than
  // b' x, which a copy's products may leave on either side. Of solves that reached their stop.
  double quadratic = 0;
};

// Share of the energy after which a copy's residual is no longer taken at its word.
constexpr double kTrust = 1e-4;

struct Tridiagonal {
  std::vector<double> diagonal, beside;  // beside: one shorter
};

// b, x [count, n]; preconditioner may be null (P = I); stops: one a right-hand side. lanczos: null,
// or gets a tridiagonal a right-hand side, of four steps or more where there are so many. After
// `iterations` steps, or where rounding ends the descent (p' A p not positive), a solve is left
// unreached; x is the best so far. Throws Error(kFailed) when a product is not finite.
std::vector<Solve> conjugate_gradient(const LinearOperator& a, const LinearOperator* preconditioner,
                                      const double* b, int64_t count, std::span<const Stop> stops,
                                      int64_t iterations, double* x,
                                      std::vector<Tridiagonal>* lanczos,
                                      const LinearOperator* exact = nullptr);

// Throws Error(kFailed) that tells residual and steps of the first solve that did not reach its stop.
void require_reached(std::span<const Solve> solves, const std::string& where,
                     const std::string& hint);

// e_1' log(T) e_1: Gauss quadrature of the logarithm. T positive definite; O(steps^2).
double log_quadrature(const Tridiagonal& t);

// log |A| - log |P| by tridiagonals of probes drawn from N(0, P) and scaled to b' P^-1 b = n. With
// B = P^-1/2 A P^-1/2, the traces of B and B^2, where they are known exactly, take away what the
// probes' T_11 and (T^2)_11 explain of their scatter: a regression, of five probes or more.
struct SpectrumTraces {
  double first = 0, second = 0;  // of B and B^2
};
struct StochasticLogDeterminant {
  double value = 0;
  double error = 0;       // standard error over the probes; infinite for one probe
  double quadrature = 0;  // change of the value by the last step of each probe: its bias is less
};
StochasticLogDeterminant stochastic_log_determinant(std::span<const Tridiagonal> probes, int64_t n,
                                                    const SpectrumTraces* traces = nullptr);

}  // namespace covary::linalg
