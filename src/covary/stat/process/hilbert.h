// Gaussian process regression in up to three dimensions by a fixed basis: the eigenfunctions of the
// Laplacian on a box around the data, with the kernel's spectral density as their prior variances.
//
//   HilbertProcess gp(X, y, {.kernel = "matern52(ard)"});       // X [n,d], d <= 3, y [n]
//   auto [mean, variance] = gp.predict(Xs, /*noise=*/true);
//   gp.report().kernel_error;                                   // how far its covariance is off
//
//   f(x) = sum_j w_j phi_j(x),  w_j ~ N(0, S(sqrt(lambda_j))),
//   phi_j(x) = prod_k L_k^-1/2 sin(pi j_k (x_k - c_k + L_k) / (2 L_k)),
//   lambda_j = sum_k (pi j_k / (2 L_k))^2.
// The products of the basis with itself are made once: a step of the fit costs O(M^3), whatever the
// number of rows, M the number of functions; O(n M^2) once; O(M^2) a predicted variance. An
// approximation, and it says of what quality: kernel_error compares its covariances with the
// kernel's. Short length scales need more functions, long ones a wider box.
// Kernels: rbf, matern12, matern32 or matern52 over all columns, times a const, plus white.
// Source: Solin and Sarkka 2020 (the method); Riutort-Mayol et al. 2023 (boxes and numbers).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/core/numeric/optimise/lbfgs.h"
#include "covary/stat/process/hilbert_options.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/row_noise.h"

namespace covary::stat {

// A stationary kernel whose spectral density is known, read off a Kernel of the form said above.
// Throws Error(kUsage) for any other.
struct SpectralForm {
  double order = 0;             // nu of Matern; infinity: rbf
  std::vector<double> lengths;  // a column
  double variance = 1, noise = 0;
  static SpectralForm of(const Kernel& kernel);
  // log S at frequency w [dims], radians per unit of x; slopes [dims] by log length, or null.
  double log_density(const double* w, double* slopes) const;
};

struct HilbertReport {
  std::string kernel;  // with the fitted values
  double log_likelihood = 0;
  double mean = 0;          // units of y
  int64_t functions = 0;    // M
  double boundary = 0;      // half width of the box, in half ranges of the data
  double kernel_error = 0;  // largest over pairs of rows by chance, of the kernel's variance
  bool fitted = false;
  numeric::Ending ending = numeric::Ending::kConverged;
  double gradient_norm = 0;
  int64_t iterations = 0, evaluations = 0;
  std::vector<std::string> at_bound;
};

struct HilbertPrediction {
  at::Tensor mean, variance;  // [s]
};

// What the likelihood needs of the data; W: weights of the rows (row_noise.h), which divide the
// noise.
struct HilbertBasis {
  int64_t dims = 0, rows = 0;
  std::vector<double> centre, half;  // of the box, a column
  std::vector<int64_t> numbers;      // j of each function, [M, dims]
  std::vector<double> gram;          // Phi' W Phi, [M, M]
  std::vector<double> on_y, on_one;  // Phi' W y, Phi' W 1
  double yy = 0, y1 = 0, ones = 0;   // y'W y, y'W 1, 1'W 1
  double log_weights = 0;            // sum of the logarithms of W
  int64_t functions() const { return static_cast<int64_t>(on_y.size()); }
  // phi at points [count, dims]: [count, M].
  std::vector<double> at(const double* points, int64_t count) const;
};

struct HilbertSolution {
  std::vector<double> root;     // S^1/2, [M]
  std::vector<double> factor;   // of S^1/2 Phi'Phi S^1/2 + s I, [M, M]
  std::vector<double> weights;  // mean at x: phi(x)' weights, plus the const
  std::vector<double> one;      // factor^-1 S^1/2 Phi' 1
  double mean = 0, precision_of_mean = 0;
};

// Log marginal likelihood; -infinity where there is no factor. gradient: by log parameters of the
// kernel, or empty; constant: const mean by generalised least squares; solution may be null.
double hilbert_log_likelihood(const HilbertBasis& basis, const Kernel& kernel, bool constant,
                              std::span<double> gradient, HilbertSolution* solution);

class HilbertProcess {
 public:
  // y [n], NaN = missing; rows: weights alone, or undefined. Errors as in gp_data.h; Error(kUsage)
  // for more than three columns, a kernel of another form, or variances of rows.
  HilbertProcess(const at::Tensor& x, const at::Tensor& y, const HilbertOptions& options = {},
                 const RowNoise& rows = {});

  // Points outside of the box, where the basis has no meaning, are an Error(kData).
  HilbertPrediction predict(const at::Tensor& points, bool noise = false) const;
  // What each value is predicted to be from all others, noise included; NaN where y is missing.
  HilbertPrediction leave_one_out() const;
  // Of these values with other parameters; gradient by all of the kernel. -infinity where there is
  // none.
  double log_likelihood(const Kernel& kernel, std::vector<double>* gradient) const {
    return hilbert_log_likelihood(basis_, kernel, constant_, *gradient, nullptr);
  }
  const HilbertReport& report() const { return report_; }
  const Kernel& kernel() const { return kernel_; }

 private:
  HilbertBasis box(double boundary) const;  // without products
  void fill_basis(double boundary);
  void fit();
  void condition();
  double kernel_error(const HilbertBasis& basis) const;

  HilbertOptions options_;
  Kernel kernel_;
  bool constant_ = true;
  double centre_ = 0;            // taken off y
  at::Tensor x_, y_;             // known rows
  std::vector<double> weights_;  // of these, or empty
  std::vector<int64_t> rows_;
  int64_t n_ = 0;  // rows of X
  HilbertBasis basis_;
  HilbertSolution solution_;
  HilbertReport report_;
};

}  // namespace covary::stat
