// Tails of the standard normal that keep their digits however far out: what an expected improvement
// and a probability of feasibility are made of.
//
//   const NormalTail t = normal_tail(z);   // t.expectation = E max(0, z + N) = z P(N < z) + p(z)
//   const LogTail l = log_normal_tail(z);  // its logarithm, and ratios that stay finite
//   const double p = log_normal_cdf(z);    // log P(N < z)
//
// Below z = -3 the Mills ratio is the continued fraction 1 / (t + c), t = -z,
// c = 1 / (t + 2 / (t + 3 / ...)), with which the expectation is p(z) c / (t + c): nothing cancels.
// Relative error below 1e-14 of the values and below 1e-13 of the logarithms, where they are not 0,
// to z = -1e150. Costs: an exp and an erfc, or a continued fraction of at most 60 terms.
// Source: Laplace's continued fraction (Abramowitz and Stegun 26.2.14).
#pragma once

namespace covary::stat {

struct NormalTail {
  double expectation = 0;  // E max(0, z + N)
  double probability = 0;  // P(N < z): its slope
  double density = 0;      // p(z): the slope of that
};
NormalTail normal_tail(double z);

struct LogTail {
  double log_expectation = 0;
  double probability_ratio = 0;  // P(N < z) / expectation: the slope of the logarithm
  double density_ratio = 0;      // p(z) / expectation
};
LogTail log_normal_tail(double z);

// slope may be null: p(z) / P(N < z).
double log_normal_cdf(double z, double* slope = nullptr);

}  // namespace covary::stat
