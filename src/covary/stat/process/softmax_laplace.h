// Laplace's approximation of one process a class behind the softmax, all of one kernel.
//
//   SoftmaxPosterior q(kernel, x, y, means);       // means [classes]; y: 0 .. classes - 1
//   q.value();                                      // log evidence, nats
//   q.gradient(kernel, by_kernel, by_means);        // exact, by log parameters
//   q.predict(k, prior, count, mean, covariance);   // k [count, n] against the rows
//
// The curvature of a row, W = diag p - p p', couples classes; with E_c = (K + D_c^-1)^-1, D_c the
// diagonal of class c's probabilities, everything is made of n x n matrices:
//   (K + W^-1)^-1 [a, b] = delta_ab E_a - E_a (sum_c E_c)^-1 E_b,
//   log |I + K W| = sum_c log |I + D_c^1/2 K D_c^1/2| + log |sum_c E_c|.
// Newton's method with a line search on the log posterior, which is concave: it always arrives.
// About (C + 1/3) n^3 flops a step, 5 C n^3 for the gradient; 8 (2 C + 4) n^2 bytes.
// value() is -infinity when a factor fails; nothing else may be called then.
// Source: Rasmussen and Williams 2006, algorithms 3.3 and 3.4, section 3.5.1; the gradient is
// derived here, the mode's own movement included.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "covary/stat/process/kernel.h"

namespace covary::stat {

class SoftmaxPosterior {
 public:
  // start: alpha [classes, n] of a mode nearby, or empty.
  SoftmaxPosterior(const Kernel& kernel, std::span<const double> x, std::span<const double> y,
                   std::span<const double> means, std::span<const double> start = {});

  double value() const { return value_; }
  bool converged() const { return converged_; }
  int64_t iterations() const { return iterations_; }
  const std::vector<double>& alpha() const { return alpha_; }  // [classes, n]
  const std::vector<double>& mode() const { return mode_; }    // less the means, [classes, n]

  // by_kernel [parameters], by_means [classes].
  void gradient(const Kernel& kernel, std::span<double> by_kernel, std::span<double> by_means);
  // Covariance of the classes at each row, [n, classes, classes].
  std::vector<double> covariances() const;
  // Mean and covariance of every class without the row's own factor: [n, classes], [n, classes^2].
  void leave_one_out(std::vector<double>* mean, std::vector<double>* covariance) const;
  // k [count, n], prior [count]: mean [count, classes], covariance [count, classes, classes].
  void predict(const double* k, const double* prior, int64_t count, double* mean,
               double* covariance) const;

 private:
  bool factor();  // E and the factor of their sum, at the present mode
  std::vector<double> times_k(std::span<const double> v) const;  // every class
  std::vector<double> times_r(std::span<const double> v) const;  // (K + W^-1)^-1 v
  double* e(int64_t c) { return e_.data() + c * n_ * n_; }
  const double* e(int64_t c) const { return e_.data() + c * n_ * n_; }
  double log_density(const std::vector<double>& g) const;

  int64_t n_ = 0, classes_ = 0, iterations_ = 0;
  bool converged_ = false;
  double value_ = 0, log_determinant_ = 0;
  std::vector<double> x_, y_, means_;
  std::vector<double> k_, e_, sum_;  // [n, n], [classes, n, n], factor of sum_c E_c
  std::vector<double> alpha_, mode_, p_;
};

}  // namespace covary::stat
