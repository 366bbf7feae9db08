// One evaluation of the stochastic variational bound, with every gradient, and the natural-gradient
// step of its distribution; what variational.h repeats. In float or double.
//
//   VariationalStep<float> step(model, z);             // q(v) = N(0, I)
//   BoundParts b = step.evaluate(model, z, x, y, scale, &gradient);
//   double bound = scale * b.expected - b.divergence;  // estimate of the bound by these rows
//   step.follow(0.1);                                  // q moves; model and z are the caller's
//
// With u = L v + mean the function at the inducing points z, K_mm = L L', q(v) = N(m, S):
//   a = L^-1 k(z, x),   f(x) ~ N(mean + a'm, k(x,x) - a'a + a'S a),
//   bound = scale sum_i E log p(y_i | f(x_i)) - KL(q(v) | N(0, I)).
// With u_i and d_i the derivatives of the scaled expectations by mean and variance, A = [a_i]:
//   dA = m u' + 2 (S - I) A D,   dK_mn = L^-T dA,   G = A D A',
//   dK_mm = -1/2 L^-T sym(lower(m (A u)' + 2 (S - I) G)) L^-1,
//   natural step of rate r:  S^-1 := (1 - r) S^-1 + r (I - 2 G),
//                            S^-1 m := (1 - r) S^-1 m + r (A u - 2 G m).
// Flops of a step, n rows, m points: 4.25 n m^2 + 2.5 m^3 or so, all in BLAS products (triangular
// ones by blocks), and 60 (d + 10) n m for the kernel. Bytes: 4 or 8 times (4 n m + 9 m^2).
// Source: Hensman, Matthews and Ghahramani 2015 (bound); Salimbeni, Eleftheriadis and Hensman 2018
// (natural gradients); Murray 2016 (derivative of a Cholesky factor).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "covary/stat/process/kernel_tape.h"
#include "covary/stat/process/latent_problem.h"

namespace covary::stat {

struct VariationalGradient : LatentGradient {
  std::vector<double> inducing;  // [m, dims]
};

struct BoundParts {
  double expected = 0;    // sum over the rows, not scaled; -infinity when K_mm has no factor
  double divergence = 0;  // of q from its prior, nats
};

// q(v) as natural parameters.
struct VariationalState {
  std::vector<double> precision;  // S^-1, [m, m]
  std::vector<double> shift;      // S^-1 m, [m]
};

template <class Real>
class VariationalStep {
 public:
  // relative_jitter, of the mean diagonal of K_mm; < 0: the least of a ladder that serves.
  explicit VariationalStep(int64_t m, double relative_jitter = -1);

  // x [n, dims], y [n] without NaN, weights [n] of the rows' expectations or empty. gradient null:
  // the value alone. K_mm is factored anew.
  BoundParts evaluate(const LatentModel& model, std::span<const double> z,
                      std::span<const double> x, std::span<const double> y, double scale,
                      VariationalGradient* gradient, std::span<const double> weights = {});
  // The bound of all rows, `rows_at_once` at a time, with what follow() needs and no other gradient.
  BoundParts pass(const LatentModel& model, std::span<const double> z, std::span<const double> x,
                  std::span<const double> y, int64_t rows_at_once,
                  std::span<const double> weights = {});
  // The natural-gradient step at the last evaluation that had a gradient. A rate that would leave
  // S^-1 without a factor (a likelihood that is not log-concave) is halved until it does not;
  // false: it never did, and q stayed.
  bool follow(double rate);

  // Mean and variance of the function at points [n, dims], after factor().
  void predict(const LatentModel& model, std::span<const double> z, const double* x, int64_t n,
               double* mean, double* variance) const;
  // Between points, [n, n].
  void covariance(const LatentModel& model, std::span<const double> z, const double* x, int64_t n,
                  double* out) const;
  bool factor(const LatentModel& model, std::span<const double> z);  // false: K_mm has none

  VariationalState state() const;
  void set_state(const VariationalState& state);  // Error(kFailed) without a factor
  double relative_jitter() const { return relative_jitter_; }

 private:
  double divergence() const;
  double forward(const LatentModel& model, const KernelTape& tape, std::span<const double> x,
                 std::span<const double> y, std::span<const double> weights, double scale,
                 bool backward);
  bool take_precision();  // S^-1 from work_; false, and nothing changed, when it has no factor

  int64_t m_;
  double asked_jitter_, relative_jitter_ = 0, log_determinant_ = 0;
  std::vector<Real> inverse_;            // L^-1, [m, m], zeros above
  std::vector<Real> precision_, shift_;  // S^-1, S^-1 m
  std::vector<Real> s_, mean_;           // S, m
  std::vector<Real> g_, au_;             // G, A u of the last evaluation
  std::vector<Real> a_, sa_, ad_;        // [m, n] each: A, S A, A D
  std::vector<Real> u_, work_, work2_, work3_;
  std::vector<double> prior_, value_, by_variance_, by_parameters_;  // of the rows
};

}  // namespace covary::stat
