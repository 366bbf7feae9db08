// What every inference for a function behind a likelihood starts from: checked rows, a kernel and a
// likelihood with first values and bounds, and the mean of the function.
//
//   LatentProblem p = latent_problem(X, y, "matern52(ard)", "poisson", "const", seed);
//   p.x  p.y  p.rows;            // rows with a value
//   p.kernel  p.likelihood  p.mean;
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/process/gp_data.h"
#include "covary/stat/process/kernel.h"
#include "covary/stat/process/likelihood.h"

namespace covary::stat {

// The parameters of a model y ~ likelihood(f), f ~ process(mean, kernel).
struct LatentModel {
  Kernel kernel;
  Likelihood likelihood;
  double mean = 0;  // of the function
};

// Derivatives by the logarithms of all parameters of kernel and likelihood, and by the mean.
struct LatentGradient {
  std::vector<double> kernel, likelihood;
  double mean = 0;
};

struct LatentPrediction {
  at::Tensor mean, variance;  // of the function, [s]
};

struct LatentProblem : LatentModel {
  int64_t n = 0, dims = 0;      // rows of X, with those whose y is missing; columns
  std::vector<int64_t> rows;    // with a value, ascending
  std::vector<double> x, y;     // of these: [rows, dims], [rows]
  std::vector<double> weights;  // of these; empty: 1 each
  bool free_mean = true;        // else it stays 0
  double unit = 1;              // of the function: its standard deviation to start from
  std::vector<double> spread;   // standard deviation of each column, never 0
  int64_t count() const { return static_cast<int64_t>(rows.size()); }

  // The parameters that a fit moves, kernel, likelihood, mean (in units), with their bounds.
  std::vector<double> pack() const;
  void unpack(std::span<const double> packed);
  void bounds(std::vector<double>* lower, std::vector<double>* upper) const;
  std::vector<double> pack_gradient(const LatentGradient& gradient) const;
  double log_prior(LatentGradient* gradient) const;  // adds to it
};

// X [n,d], y [n] doubles, NaN in y = missing; mean "zero" or "const". A kernel without const or
// linear part is multiplied by one. Errors as in gp_data.h and likelihood.h.
LatentProblem latent_problem(const at::Tensor& x, const at::Tensor& y, const std::string& kernel,
                             const std::string& likelihood, const std::string& mean, uint64_t seed,
                             const at::Tensor& weights = {});
// A kernel of a function of standard deviation `unit`, with first values and bounds by the data,
// whose group's y is overwritten. One without const or linear part is multiplied by const.
Kernel latent_kernel(GpData* data, const std::string& kernel, double unit, uint64_t seed);
// weights [n] of X's rows, doubles, picked for `rows`; undefined: empty. Throws Error(kData) for one
// that is negative or not finite, or when all are 0.
std::vector<double> checked_weights(const at::Tensor& weights, int64_t n,
                                    const std::vector<int64_t>& rows);

}  // namespace covary::stat
