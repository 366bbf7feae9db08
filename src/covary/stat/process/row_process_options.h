// What a process behind a likelihood of several functions a row assumes; see row_process.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct RowProcessOptions {
  std::string kernel = "matern52(ard)";        // of every function, without white
  std::string likelihood = "heteroscedastic";  // see row_likelihood.h
  std::string mean = "const";                  // of the functions: zero (of the first), const
  std::string method = "auto";  // heteroscedastic: vi, state-space; softmax: laplace; auto says
  // Of the parameters of every function's kernel, where they have none of their own: none, weak,
  // gamma, dim-scaled; see priors.h, with the variance that the function starts from for that of y.
  std::string priors = "none";
  bool fit = true;                        // false: parameters as they are, or by the data
  int64_t starts = 3;                     // first guesses that compete, 1
  int64_t seed = 0;                       // of the first guess
  int64_t memory_limit = 32'000'000'000;  // bytes for the matrices of all rows
  // Gradient in nats per unit of a logarithm.
  numeric::LbfgsOptions search{
      .iterations = 200, .gradient_tolerance = 1e-3, .value_tolerance = 1e-9};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function without white").common();
    o.add("likelihood", &likelihood, "of a value given the functions").common();
    o.add("mean", &mean, "of the functions").choices({"zero", "const"});
    o.add("method", &method, "how to infer")
        .choices({"auto", "vi", "state-space", "laplace"})
        .common();
    o.add("priors", &priors, "of the parameters of the functions")
        .choices({"none", "weak", "gamma", "dim-scaled"});
    o.add("fit", &fit, "fit the parameters by the evidence");
    o.add("starts", &starts, "first guesses that compete").range(1, 3);
    o.add("seed", &seed, "of the first guess").range(0, 9e15).common();
    o.add("memory_limit", &memory_limit, "bytes for the matrices").range(1, 1e15).size();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (starts < 1) refuse("starts", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 1) refuse("memory_limit", "must be at least 1");
    search.check();
  }
};

}  // namespace covary::stat
