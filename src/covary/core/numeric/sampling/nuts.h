// Draws from a density that is known up to a factor, by its logarithm and gradient: the No-U-Turn
// sampler.
//
//   const LogDensity normal = [](std::span<const double> x, std::span<double> slope) {
//     slope[0] = -x[0];
//     return -0.5 * x[0] * x[0];
//   };
//   NutsSample s = sample_nuts(normal, {{-1.0}, {0.0}, {1.0}}, {.draws = 1000});  // three chains
//   s.values(0);                       // [chains * draws] of coordinate 0, chain by chain
//   chain_quality(s.values(0), 3);     // whether they tell anything: see chain_quality.h
//
// Every coordinate runs over all reals. A positive parameter t is sampled by u = log t, and the
// logarithm of the density of u is that of t plus u: the Jacobian is the caller's duty.
// A step: a momentum is drawn, the path of a particle is doubled forwards or backwards in time by
// leapfrog steps until it turns back on itself, and one of its points is taken by its weight. During
// the warm-up the step size is set for a mean acceptance by dual averaging, and the metric is the
// (co)variance of the draws so far, in windows that double.
// A value or gradient that is NaN or infinite is density 0 there: never an error, but at a start.
// Where the energy is off by more than options.divergence the path ends and the step counts as
// divergent: after the warm-up such steps say that a part of the density was not explored.
//
// Cost beside the density: O(dims) a leapfrog step, O(dims^2) with a dense metric. No memory is
// taken after a chain has begun. The same seed gives the same bits at any number of threads; chains
// differ by their number alone.
// Source: Hoffman and Gelman 2014 (doubling, dual averaging); Betancourt 2017, appendix A
// (multinomial weights, biased progressive choice, the criterion by sums of momenta); windows and
// shrinkage of the metric as in the Stan reference manual, section 15.2.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "covary/core/numeric/sampling/nuts_options.h"

namespace covary::numeric {

// Logarithm of the density at x, up to a constant; writes its gradient, which has the size of x.
using LogDensity = std::function<double(std::span<const double> x, std::span<double> gradient)>;

struct NutsChain {
  std::vector<double> draws;        // [draws, dims]
  std::vector<double> log_density;  // [draws]
  double step = 0;                  // of the leapfrog, after the warm-up, 1
  std::vector<double> metric;       // variances [dims], or the covariance [dims, dims]
  double acceptance = 0;            // mean, after the warm-up, 1
  int64_t divergences = 0;          // steps after the warm-up
  int64_t deepest = 0;              // steps after the warm-up that were cut at options.depth
  int64_t evaluations = 0;          // of the density, warm-up included
};

struct NutsSample {
  int64_t dims = 0, draws = 0;  // a chain
  std::vector<NutsChain> chains = {};
  std::vector<double> values(int64_t coordinate) const;  // [chains * draws], chain by chain
  int64_t divergences() const;
  int64_t deepest() const;
  int64_t evaluations() const;
};

// A chain a start. Throws Error(kUsage) for a bad option or no start, Error(kFailed) for a start at
// which the density is 0 or has no gradient.
NutsChain sample_nuts_chain(const LogDensity& density, std::vector<double> start, int64_t chain,
                            const NutsOptions& options = {});
// Chains one after another by one function, which need not be safe between threads.
NutsSample sample_nuts(const LogDensity& density, const std::vector<std::vector<double>>& starts,
                       const NutsOptions& options = {});
// Chains side by side, each with a function of its own, made by density_of(chain).
NutsSample sample_nuts(const std::function<LogDensity(int64_t chain)>& density_of,
                       const std::vector<std::vector<double>>& starts,
                       const NutsOptions& options = {});

}  // namespace covary::numeric
