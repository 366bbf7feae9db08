// What a Matern process in time assumes and how it is fitted; see state_space.h.
#pragma once

#include <cmath>
#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct MarkovOptions {
  // Any kernel of markov_form.h; without const or white each is added.
  std::string kernel = "matern32";
  int64_t harmonics = 7;      // of periodic parts, 1
  std::string mean = "zero";  // zero, const: by generalised least squares
  // Of matern12, matern32 or matern52 alone:
  double variance = 0;          // of f, units of y^2; 0: start by the data
  double length = 0;            // units of t; 0: start by the data
  double noise = 0;             // variance, units of y^2; 0: start by the data
  std::string priors = "weak";  // none, weak, gamma, dim-scaled: see priors.h
  bool fit = true;              // false: parameters as they are, or their starts by the data
  numeric::LbfgsOptions search{.iterations = 100,
                               .gradient_tolerance = 1e-4,
                               .value_tolerance = 1e-12};  // gradient: nats per unit of a logarithm

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance in time, e.g. matern32*cosine + white").common();
    o.add("harmonics", &harmonics, "of periodic parts").range(1, 50);
    o.add("mean", &mean, "mean function").choices({"zero", "const"}).common();
    o.add("variance", &variance, "of the function; 0: start by the data").range(0, 1e300);
    o.add("length", &length, "of time over which it varies; 0: start by the data").range(0, 1e300);
    o.add("noise", &noise, "variance of a value; 0: start by the data").range(0, 1e300);
    o.add("priors", &priors, "of the parameters, where the kernel has none of its own")
        .choices({"none", "weak", "gamma", "dim-scaled"});
    o.add("fit", &fit, "fit the parameters by likelihood");
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (harmonics < 1 || harmonics > 50) refuse("harmonics", "must be 1 to 50");
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (!(variance >= 0) || std::isinf(variance)) refuse("variance", "must not be negative");
    if (!(length >= 0) || std::isinf(length)) refuse("length", "must not be negative");
    if (!(noise >= 0) || std::isinf(noise)) refuse("noise", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
