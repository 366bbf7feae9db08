// Priors by name for a kernel's parameters, on the scale of the data that it will meet.
//
//   set_priors(&kernel, "weak", scales_of(data, seed));
//
// With v the mean square of y, R the range of a column, d the number of columns, n that of rows:
//   none        none: the largest marginal likelihood
//   weak        flat where data can tell, walls where they cannot: length scales and periods in
//               [R / max(500, 20 n), 50 R], variances in [v / 1000, 1000 v], noise in [v / 10^6, 10 v], shapes in
//               [0.01, 100] times their first guess; outside, the density falls like that of a normal of the logarithm with
//               sd 1. The noise is no less than the rounding of y explains: if y takes few values
//               (at most n / 2, n >= 20), h^2 / 12 for the smallest step h between them
//   gamma       length scales Gamma(3, 6 / R), variances Gamma(2, 0.15 / v), noise Gamma(1.1, 0.05 / v)
//   dim-scaled  length scales log normal(sqrt 2 + log(d) / 2, sqrt 3) times R, noise log normal(-4, 1)
//               times v, variances as weak: many length scales overfit where the likelihood alone
//               chooses them, and shorter ones the more columns there are
// and, but for none, exponents of a warp log normal(0.25, 0.5), whose mode is 1: nothing warped; weights
// of a network before a kernel normal(0, 1).
// Weak leaves an optimum inside its walls where it is, to the bit; it exists because a likelihood
// alone sends the length scale of a column that says nothing to infinity, the noise of repeated
// rounded values to nothing, and both with few rows anywhere. Priors that a parameter has stay; so do
// fixed and tied parameters.
// Source: gamma and dim-scaled: defaults of BoTorch (Balandat et al. 2020; Hvarfner et al. 2024); warps:
// Snoek et al. 2014;
// h^2 / 12: the variance of a uniform error (Sheppard 1898).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"

namespace covary::stat {

struct DataScales {
  double variance = 1;     // mean square of y
  double least_noise = 0;  // variance of the rounding of y
  double rows = 1;
  std::vector<double> range;  // a column
};

// least_noise: the smallest of the outputs, each of which must be rounded for there to be one.
DataScales scales_of(const GpData& data);
double rounding_variance(std::vector<double> y);

// After start_by_data. Throws Error(kUsage) for another name.
void set_priors(Kernel* kernel, const std::string& preset, const DataScales& scales);

// What a preset leaves flat gets a prior that can be sampled from: variances Gamma(2, 0.15 / v);
// length scales log normal(log(R / 2), 1.5), periods likewise; noise log normal(log v - 4, 2); slopes'
// variances log normal(log(v / R^power), 2); shapes log normal(0, 1.5), offsets log normal(0, 2), orders
// of a Matern log normal(log 1.5, 0.5); locations flat in their bounds, with normal edges a twentieth
// as wide; loadings normal(0, 1).
void set_proper_priors(Kernel* kernel, const DataScales& scales);

}  // namespace covary::stat
