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
  std::vector<double> inner;    // L_B of B = I + V V' / s, V = L^-1 K_mn
  std::vector<double> weights;  // w = B^-1 V y; the mean at x is v(x).w / s
  double jitter = 0;            // added to the diagonal of K_mm
};
// gradient may be null.
SparseBound sparse_bound(const Kernel& kernel, double noise, std::span<const double> x,
                         std::span<const double> y, std::span<const double> z,
                         SparseGradient* gradient);

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
};

struct SparsePrediction {
  at::Tensor mean, variance;  // [s]
};

class SparseProcess {
 public:
  // X [n,d], y [n] doubles; rows with NaN in y are left out. Errors as in gp_data.h; Error(kUsage)
  // for a kernel with white.
  SparseProcess(const at::Tensor& x, const at::Tensor& y, const SparseOptions& options = {});

  // One whose parameters and inducing points [m,d] are known: no fit.
  SparseProcess(const at::Tensor& x, const at::Tensor& y, Kernel kernel, double noise,
                const at::Tensor& inducing);

  // noise: of a new value, not of the function. O(m^2) a point.
  SparsePrediction predict(const at::Tensor& points, bool noise = false) const;
  // Of the function at the points, [s,s].
  at::Tensor covariance(const at::Tensor& points) const;
  // What each value is predicted to be from all others, noise included, with parameters and
  // inducing points as they are; NaN where y is missing. O(m^2) a row.
  SparsePrediction leave_one_out() const;
  const SparseReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }
  at::Tensor inducing() const;  // [m,d]

 private:
  void take(const at::Tensor& x, const at::Tensor& y, GpData* data);
  void fit(const GpData& data, const SparseOptions& options);
  void condition();
  // L^-1 k and L_B^-1 L^-1 k of points [count, dims], each [count, m].
  void project(const double* x, int64_t count, std::vector<double>* v,
               std::vector<double>* u) const;

  Kernel kernel_;
  double noise_ = 0, mean_ = 0;
  std::vector<double> x_, y_, z_;  // rows with a value; y less its mean
  std::vector<int64_t> rows_;      // of X
  int64_t n_ = 0;                  // rows of X
  SparseBound bound_;
  SparseReport report_;
};

inline SparseProcess fit_sparse(const at::Tensor& x, const at::Tensor& y,
                                const SparseOptions& options = {}) {
  return SparseProcess(x, y, options);
}

}  // namespace covary::stat
