// What kernel densities are good for: modes, regression, laws of one column given others, and a
// density whose bias its own score has lowered.
//
//   const Modes m = modes_of(kde, x);                    // m.points [k,d], m.labels [n]
//   KernelRegression r({.bandwidth = "0.3"});  r.fit(x, y);  r.predict(q);        // E[y | q], [m]
//   ConditionalDensity p({.bandwidth = "silverman"});  p.fit(x, y);  p.log_density(q, v);   // p(v | q)
//   const KernelDensity sharp = sharpened(kde);          // bias of order h^4 instead of h^2
#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "covary/stat/mixture/kde.h"

namespace covary::mixture {

struct Modes {
  at::Tensor points;   // [k,d], the most dense first
  at::Tensor density;  // [k], log p there
  at::Tensor labels;   // [n] int64, the mode that each start climbs to
  int64_t steps = 0;   // of the slowest start
};
// Mean shift (Comaniciu and Meer 2002) with the gaussian kernel: x <- x + h^2 grad log p(x), which never
// lowers p; starts [n,d]. Ends that come within a tenth of a width of each other are one mode. Starts
// stop when they move less than tolerance widths, or after `steps`. Cost: all pairs a step.
// Error(kUsage) for other kernels.
Modes modes_of(const KernelDensity& kde, const at::Tensor& starts, double tolerance = 1e-6,
               int64_t steps = 1000);

// Nadaraya 1964, Watson 1964: sum_i w_i K_i(q) y_i / sum_i w_i K_i(q), with any kernel, rule and engine
// of kernel densities; with rtol both sums are within it. NaN-free: where no point's kernel reaches, the
// nearest row's y answers.
class KernelRegression {
 public:
  explicit KernelRegression(KernelDensityOptions options = {});
  KernelRegression& fit(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weights = {});
  at::Tensor predict(const at::Tensor& q) const;  // [m]
  const KernelDensity& density() const { return all_; }

 private:
  KernelDensity all_, valued_;  // the second's weights are w (y - least)
  at::Tensor y_;
  double least_ = 0, log_mass_ = 0;  // log of sum w (y - least) / sum w; -inf for constant y
};

// p(v | q) = p(q, v) / p(q): a joint density of [x, y] and the marginal of x by the same widths.
class ConditionalDensity {
 public:
  explicit ConditionalDensity(KernelDensityOptions options = {});
  ConditionalDensity& fit(const at::Tensor& x, const at::Tensor& y, const at::Tensor& weights = {});
  // [m]; q [m,d], values [m,r]. -inf where p(q, v) is 0, Error(kData) where p(q) is 0.
  at::Tensor log_density(const at::Tensor& q, const at::Tensor& values) const;

 private:
  KernelDensityOptions options_;
  KernelDensity joint_, given_;
};

// Points moved by h^2 / 2 grad log p, then the same kernel and widths: the leading term of the bias,
// h^2 / 2 p'', is taken off (the score-debiased estimate; Samiuddin and El-Sayyad 1990 in one dimension).
// Gaussian kernels. Cost: all pairs once.
KernelDensity sharpened(const KernelDensity& kde);

}  // namespace covary::mixture
