// How a table becomes a Gaussian process; see regression.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::stat {

struct RegressionOptions {
  std::string kernel = "matern52(ard)";  // see kernel.h; without const or white each is added
  std::string mean = "const";            // zero, const, linear, quadratic
  std::string likelihood = "gaussian";
  std::string method = "auto";  // auto, exact, sgpr, state-space; auto says what it took and why
  std::string priors = "weak";  // none, weak, gamma, dim-scaled: see priors.h; not of sgpr
  bool fit = true;              // false: parameters as the kernel's text states them, others by
                                // the data
  int64_t restarts = 4;         // first guesses that compete, 1
  int64_t inducing = 0;         // of sgpr; 0: 1,000, or every row where they are fewer
  int64_t steps = 200;          // of the search, at most
  int64_t seed = 0;             // not described: verbs have their own
  int64_t memory_limit = 32'000'000'000;  // bytes for the kernel matrix; likewise

  void describe(OptionList& o);
  // Throws Error(kUsage) naming the field; a method or likelihood that is known but not written is
  // said to be so.
  void check() const;
};

}  // namespace covary::stat
