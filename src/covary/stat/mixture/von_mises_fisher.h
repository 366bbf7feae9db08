// The von Mises-Fisher distribution: the Gaussian of directions, on the unit sphere in d dimensions.
//
//   const VonMisesFisherFit fit = fit_von_mises_fisher(features, {}, {.normalise = true});   // [N,d]
//   fit.model.mean, fit.model.kappa, fit.kappa_error, fit.log_likelihood
//   at::Tensor new_rows = fit.model.sample(1000, seed);                                       // [1000,d]
//
//   log density(x) = (d/2-1) log kappa - d/2 log(2 pi) - log(I_(d/2-1)(kappa) e^-kappa) + kappa (mean . x - 1)
//
// kappa >= 0 is the concentration; 0 is the uniform distribution. The scaled Bessel function keeps every term finite in
// any dimension; densities carry a few units in the last place of their largest term. Tensors are double, on the CPU.
// Sources: Mardia and Jupp 2000; Banerjee et al. 2005 (start); Sra 2012 (Newton steps); Amos 1974 (bounds of the
// ratio); Wood 1994 (sampler).
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

namespace covary::mixture {

// The mean resultant length A_d(kappa) = I_(d/2)(kappa) / I_(d/2-1)(kappa), in [0, 1). d >= 2, kappa >= 0.
double resultant_length(int64_t d, double kappa);

// Its derivative in kappa: the Fisher information of kappa in one observation.
double resultant_slope(int64_t d, double kappa);

// The kappa with A_d(kappa) = length, to 1e-14 of itself but for what the rounding of length leaves open (about
// 2 kappa / d times that, when kappa is large). Newton's method between the bounds that Amos' inequalities give. length in
// [0, 1]: 0 gives 0, 1 gives infinity. Throws Error(kData) for other lengths and d < 2. steps: how many were taken.
double concentration(int64_t d, double length, int* steps = nullptr);

// log density of x with mean . x = 1, which the rest of the density only lowers: log C_d(kappa) + kappa.
double log_peak_density(int64_t d, double kappa);

struct VonMisesFisher {
  at::Tensor mean;  // [d], of length 1
  double kappa = 0;

  int64_t dimension() const { return mean.size(0); }
  at::Tensor log_density(const at::Tensor& rows) const;  // [N,d] unit rows -> [N]
  // [n,d]; row i depends on (seed, i) alone. Wood's rejection for the part along the mean, a uniform direction
  // across, and the reflection that takes the first axis to the mean.
  at::Tensor sample(int64_t n, uint64_t seed) const;
};

struct VonMisesFisherOptions {
  bool normalise = false;  // scale rows to length 1 first; otherwise they must have it within 1e-6
};

struct VonMisesFisherFit {
  VonMisesFisher model;
  double length = 0;          // |sum w x| / sum w
  double log_likelihood = 0;  // sum w log density
  double kappa_error = 0;     // asymptotic standard error of kappa: (sum w A')^(-1/2)
  int newton_steps = 0;
};

// Maximum likelihood. rows [N,d] float or double; weights [N] >= 0, undefined = 1. Throws Error(kData) when rows are no
// unit vectors or not finite, one is zero, all weights are zero, or all rows are the same (kappa would be
// infinite). When the rows cancel (length 0) kappa is 0 and the mean is the first axis.
VonMisesFisherFit fit_von_mises_fisher(const at::Tensor& rows, const at::Tensor& weights = {},
                                       const VonMisesFisherOptions& options = {});

// Items a thread should have at least, of a loop whose items cost `operations`: below, waking it costs more than it does.
int64_t loop_grain(int64_t operations);

// x . mean of rows [N,D] and means [K,D], contiguous doubles: [N,K], by BLAS in blocks of fixed size.
at::Tensor cosines(const at::Tensor& rows, const at::Tensor& means);

// Rows as contiguous doubles of length 1, checked (or scaled) as above.
at::Tensor unit_rows(const at::Tensor& rows, bool normalise);
// Weights as contiguous doubles, checked; ones when undefined.
at::Tensor row_weights(const at::Tensor& weights, int64_t n);

}  // namespace covary::mixture
