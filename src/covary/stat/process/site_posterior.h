// A Gaussian over the function at n rows that is the prior times one factor a row: what Laplace's
// approximation, expectation propagation and variational inference all arrive at.
//
//   SitePosterior q(model, x);                  // K once
//   q.set(precision, shift);                    // sites exp(-w_i g_i^2 / 2 + b_i g_i), g = f - mean
//   q.mean()[i];  q.variance()[i];              // marginals of g
//   q.contract(model.kernel, x, terms, g);      // sum of weights times dK by log parameters
//
// With W = diag(w) >= 0 and B = I + W^1/2 K W^1/2 = L L':
//   R = (K + W^-1)^-1 = W^1/2 B^-1 W^1/2,   alpha = K^-1 E g = b - R K b,
//   Cov = (K^-1 + W)^-1 = K - K R K,        Cov_ii = (1 - [B^-1]_ii) / w_i.
// B is as well conditioned as the sites are weak; K itself is never inverted. Sites with w_i < 0,
// which widen (outliers under a likelihood that is not log-concave), are few: with D = -w of them,
// C the columns of the covariance without them and M = K^-1 C,
//   Cov := Cov + C T^-1 C',   R := R - M T^-1 M',   |B| := |B| |D T|,   T = D^-1 - C at their rows.
// n^3 / 3 flops a factor, 2 n^3 / 3 more for marginals; 16 n^2 bytes.
// Source: Rasmussen and Williams 2006, sections 3.4.3 and 3.6.3.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/linalg/cholesky.h"
#include "covary/stat/process/latent_problem.h"

namespace covary::stat {

// Data of an inference: x [n, dims], y [n], weights [n] of the rows' log densities or empty; they
// outlive what is made of them.
struct LatentData {
  std::span<const double> x, y, weights = {};
  double weight(size_t i) const { return weights.empty() ? 1 : weights[i]; }
  int64_t count() const { return static_cast<int64_t>(y.size()); }
};

class SitePosterior {
 public:
  SitePosterior(const Kernel& kernel, std::span<const double> x, int64_t n);
  int64_t size() const { return n_; }

  // Factors B and solves for alpha and mean. False when B has no factor: a precision that is not
  // finite, or so far below 0 that there is no covariance.
  bool set(std::span<const double> precision, std::span<const double> shift);
  // B^-1 and with it the marginal variances; the factor goes.
  void invert();

  // After set().
  const std::vector<double>& alpha() const { return alpha_; }
  const std::vector<double>& mean() const { return mean_; }  // K alpha
  const std::vector<double>& precision() const { return precision_; }
  double log_determinant() const { return log_determinant_; }  // of B
  std::vector<double> times_k(std::span<const double> v) const;
  double prior(int64_t i) const;  // K_ii
  // explained [count] = k_i' R k_i for rows k [count, n], which are overwritten.
  void explain(double* k, int64_t count, double* explained) const;
  void explain_pairs(double* k, int64_t count, double* explained) const;  // k R k', [count, count]

  // After invert().
  const std::vector<double>& variance() const { return variance_; }
  double trace() const { return trace_; }                        // of K^-1 Cov
  std::vector<double> times_r(std::span<const double> v) const;  // R v

  // gradient [parameters] = sum_ij W_ij dK_ij / dlog(parameter) with
  //   W = 1/2 (alpha alpha' - R + u alpha' + alpha u');    u empty: none.
  void contract(const Kernel& kernel, std::span<const double> x, std::span<const double> u,
                std::span<double> gradient) const;

 private:
  // Rows k in place of k W^1/2 L^-T; returns k times the rows of M, [count, wide].
  std::vector<double> project(double* k, int64_t count) const;
  bool take_wide();
  void add_wide(std::span<const double> v, double sign, std::vector<double>* out) const;

  int64_t n_ = 0, stride_ = 0;
  at::Tensor k_, b_;  // rows of stride_
  linalg::Matrix k_matrix_, b_matrix_;
  bool inverted_ = false;
  double log_determinant_ = 0, trace_ = 0;
  std::vector<double> precision_, root_, alpha_, mean_, variance_;
  std::vector<int64_t> wide_;            // sites with w < 0
  std::vector<double> wide_c_, wide_m_;  // C and M through the inverse factor of T, [wide, n]
};

}  // namespace covary::stat
