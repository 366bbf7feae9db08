// Sparse Gaussian process regression: m inducing points stand for n data, with a certificate of
// what that costs.
//
//   auto gp = stat::fit_sparse(X, y, {.kernel = "rbf(ard)", .inducing = 200});   // y [n]
//   auto [mean, variance] = gp.predict(Xs);
//   gp.report().gap();          // nats by which the bound can be below the exact likelihood
//
// With Q = K_nm K_mm^-1 K_mn, noise s, and the mean of y subtracted:
//   bound = log N(y; 0, Q + s I) - tr(K - Q) / (2 s)  <=  log p(y)
//         <=  -n/2 log 2 pi - 1/2 log |Q + s I| - 1/2 y' (Q + (s + tr(K - Q)) I)^-1 y = upper.
// Rows with noise of their own (row_noise.h), D_i = s / w_i + v_i, are rows times (s / D_i)^1/2 of the
// same bound.
// Kernel, noise and inducing points are fitted together by L-BFGS with the analytic gradient.
// O(n m^2) a step, 24 n m bytes. Doubles; the same bits at any number of threads.
// Source: Titsias 2009 (bound), Titsias 2014 (upper bound); the choice of inducing points is the
// greedy one of a pivoted Cholesky factorisation (Fine and Scheinberg 2001).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/sparse_options.h"

namespace covary::stat {

struct SparseGradient {
  std::vector<double> kernel;    // by log parameter
  double noise = 0;              // by log noise
  std::vector<double> inducing;  // [m, dims], by coordinate
};

// The bound at given parameters: x [n, dims], y [n], z [m, dims], row by row.
struct SparseBound {
  double value = 0;  // -infinity when K_mm has no factor
  double upper = 0;
  std::vector<double> factor;   // L of K_mm, [m, m]
  std::vector<double> inner;    // L_B of B = I + V D^-1 V', V = L^-1 K_mn
  std::vector<double> weights;  // w = s B^-1 V D^-1 y; the mean at x is v(x).w / s
  double jitter = 0;            // added to the diagonal of K_mm
};
// gradient may be null; variances and weights of the rows [n], or empty.
SparseBound sparse_bound(const Kernel& kernel, double noise, std::span<const double> x,
                         std::span<const double> y, std::span<const double> z,
                         SparseGradient* gradient, std::span<const double> variances = {},
                         std::span<const double> weights = {});

// Rows of x [n, dims], at most m, each the one whose variance given those before is largest; fewer
// when nothing is left to explain.
std::vector<int64_t> greedy_inducing(const Kernel& kernel, std::span<const double> x, int64_t m);

struct SparseReport {
  std::string kernel;
  double noise = 0;  // variance, units of y^2
  double bound = 0;  // of the log marginal likelihood, nats
  double upper = 0;  // likewise
  double gap() const { return upper - bound; }
  int64_t inducing = 0;
  double jitter = 0;  // added to the diagonal of K_mm, units of y^2
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;  // nats per unit of a logarithm or share of a column's range
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;  // parameters that a bound holds back; the noise: "noise"
};

struct SparsePrediction {
  at::Tensor mean, variance;  // [s]
};

class SparseProcess {
 public:
  // X [n,d], y [n] doubles; rows with NaN in y are left out; noise of the rows, or undefined. Errors
  // as in gp_data.h; Error(kUsage) for a kernel with white.
  SparseProcess(const at::Tensor& x, const at::Tensor& y, const SparseOptions& options = {},
                const RowNoise& noise = {});

  // One whose parameters and inducing points [m,d] are known: no fit.
  SparseProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel, double noise,
                const at::Tensor& inducing, const RowNoise& rows = {});

  // noise: of a new value, not of the function. O(m^2) a point.
  SparsePrediction predict(const at::Tensor& points, bool noise = false) const;
  // Of the function at the points, [s,s].
  at::Tensor covariance(const at::Tensor& points) const;
  // What each value is predicted to be from all others, noise included, with parameters and
  // inducing points as they are; NaN where y is missing. O(m^2) a row.
  SparsePrediction leave_one_out() const;
  // The bound with other parameters, inducing points as they are.
  SparseBound bound(const Kernel& kernel, double noise, SparseGradient* gradient) const {
    return sparse_bound(kernel, noise, x_, y_, z_, gradient, variances_, weights_);
  }
  const SparseReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }
  at::Tensor inducing() const;  // [m,d]

 private:
  void take(const at::Tensor& x, const at::Tensor& y, const RowNoise& noise, GpData* data);
  void fit(const GpData& data, const SparseOptions& options);
  void condition();
  double noise_of(size_t i) const;  // of a row with a value, variance
  // L^-1 k and L_B^-1 L^-1 k of points [count, dims], each [count, m].
  void project(const double* x, int64_t count, std::vector<double>* v,
               std::vector<double>* u) const;

  Kernel kernel_;
  double noise_ = 0, mean_ = 0;
  std::vector<double> x_, y_, z_;            // rows with a value; y less its mean
  std::vector<double> variances_, weights_;  // of these, or empty
  std::vector<int64_t> rows_;                // of X
  int64_t n_ = 0;                            // rows of X
  SparseBound bound_;
  SparseReport report_;
};

inline SparseProcess fit_sparse(const at::Tensor& x, const at::Tensor& y,
                                const SparseOptions& options = {}, const RowNoise& noise = {}) {
  return SparseProcess(x, y, options, noise);
}

}  // namespace covary::stat
