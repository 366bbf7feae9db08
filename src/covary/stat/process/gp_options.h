// What a Gaussian process assumes and how it is fitted; see gp.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct GpOptions {
  // See kernel.h. A kernel without const or linear part is multiplied by one, all but its
  // white, and one without white gets one added unless the noise of each point is given.
  std::string kernel = "matern52(ard)";
  std::string mean = "const";  // zero, const, linear, quadratic: coefficients by least squares
  bool fit = true;             // false: parameters stay as the kernel's text states them, others
                               // at their start by the data
  // none, weak, gamma, dim-scaled: see priors.h
  std::string priors = "weak";
  int64_t starts = 4;                     // first guesses that compete on a sample of the rows, 1
  int64_t sample = 300;                   // rows of that sample, 1
  int64_t seed = 0;                       // of the sample and the guesses
  int64_t memory_limit = 32'000'000'000;  // bytes for the kernel matrix
  bool constant_columns = false;          // a column whose values are all equal is no error
  // Gradient in nats per unit of a logarithm. A likelihood carries the rounding of a factorisation
  // with condition numbers up to 1e10.
  numeric::LbfgsOptions search{
      .iterations = 200, .gradient_tolerance = 1e-4, .value_tolerance = 1e-10};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function, e.g. const*matern52(ard) + white").common();
    o.add("mean", &mean, "mean function")
        .choices({"zero", "const", "linear", "quadratic"})
        .common();
    o.add("fit", &fit, "fit the kernel's parameters by marginal likelihood");
    o.add("priors", &priors, "of the parameters, where the kernel has none of its own")
        .choices({"none", "weak", "gamma", "dim-scaled"});
    o.add("starts", &starts, "first guesses that compete on a sample").range(1, 1000);
    o.add("sample", &sample, "rows of that sample").range(1, 1e5).unit("rows");
    o.add("seed", &seed, "of the sample and the guesses").range(0, 9e15).common();
    o.add("memory_limit", &memory_limit, "bytes for the kernel matrix").range(1, 1e15).size();
    o.add("constant_columns", &constant_columns, "take columns whose values are all equal")
        .hidden();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field. The kernel is checked when the data are known.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const" && mean != "linear" && mean != "quadratic") {
      refuse("mean", "must be zero, const, linear or quadratic");
    }
    if (priors != "none" && priors != "weak" && priors != "gamma" && priors != "dim-scaled") {
      refuse("priors", "must be none, weak, gamma or dim-scaled");
    }
    if (starts < 1) refuse("starts", "must be at least 1");
    if (sample < 1) refuse("sample", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    if (memory_limit < 1) refuse("memory_limit", "must be at least 1");
    search.check();
  }
};

}  // namespace covary::stat
