// How a table becomes a Gaussian process; see regression.h.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"
#include "covary/stat/process/hyper_sample_options.h"

namespace covary::stat {

struct RegressionOptions {
  std::string kernel = "matern52(ard)";  // see kernel.h; without const or white each is added
  std::string mean = "const";            // zero, const, linear, quadratic
  std::string likelihood = "gaussian";   // see likelihood.h
  // auto, exact, cg, sgpr, state-space, kron, toeplitz, hsgp, vecchia, svgp; with another
  // likelihood laplace, ep, vi, svgp; auto says what it took and why
  std::string method = "auto";
  // auto, none, weak, gamma, dim-scaled: see priors.h; not of sgpr. auto: gamma where inference is
  // nuts, else dim-scaled with several columns of X and weak with one.
  std::string priors = "auto";
  // Of the parameters. point: the likeliest; nuts: draws of their posterior, which predictions mix
  // (hyper_sample.h), by the exact method and a gaussian likelihood.
  std::string inference = "point";
  HyperSampleOptions sampling =
      {};                // with inference nuts; its priors, seed and limit are those of here
  bool fit = true;       // false: parameters as the kernel's text states them, others by
                         // the data
  int64_t restarts = 4;  // first guesses that compete, 1
  int64_t inducing = 0;  // of sgpr; 0: 1,000, of svgp 500, or every row where they are fewer
  // Of cg: solve, to its tolerance; near: from above by the nearest rows, for many points.
  std::string variances = "solve";
  int64_t steps = 200;              // of the search, at most; svgp: tens of batches
  int64_t batch = 1024;             // rows a step of svgp
  bool standard_errors = false;     // of the parameters, after the fit: see standard_errors.h
  numeric::SearchWatch watch = {};  // sees each step of the search, and may end it; not described
  int64_t seed = 0;                 // not described: verbs have their own
  int64_t memory_limit = 32'000'000'000;  // bytes for the kernel matrix; likewise

  std::string prior_preset(int64_t columns) const;  // what auto means

  void describe(OptionList& o);
  // Throws Error(kUsage) naming the field; a method or likelihood that is known but not written is
  // said to be so.
  void check() const;

 private:
  void check_sampling() const;
};

// Those of a process whose parameters are searched from several first guesses, in its own struct.
template <class Options>
Options searched_options(const RegressionOptions& o) {
  Options own;
  own.kernel = o.kernel;
  own.mean = o.mean;
  own.fit = o.fit;
  own.starts = o.restarts;
  own.seed = o.seed;
  own.search.iterations = std::min(own.search.iterations, o.steps);
  own.search.watch = o.watch;
  return own;
}

}  // namespace covary::stat
