// What a process on a grid assumes and how it is fitted; see grid.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct GridOptions {
  // One for each axis, of one column, without white; or one for all of them. The first is
  // multiplied by a const unless it has one.
  std::vector<std::string> kernels = {"matern52"};
  std::string mean = "const";  // zero, const: by generalised least squares
  double noise = 0;            // variance of a value, units of y^2; 0: start by the data
  int64_t holes = 2000;        // cells without value up to which the likelihood is exact
  int64_t probes = 16;         // random vectors for determinant and traces beyond, 1
  int64_t seed = 0;            // of the probes
  bool fit = true;             // false: parameters as stated, or their starts by the data
  numeric::LbfgsOptions search{.iterations = 200,
                               .gradient_tolerance = 1e-4,
                               .value_tolerance = 1e-10};  // gradient: nats per unit of a logarithm

  void describe(OptionList& o) {
    o.add("kernels", &kernels, "covariance along each axis, or one for all").common();
    o.add("mean", &mean, "mean function").choices({"zero", "const"}).common();
    o.add("noise", &noise, "variance of a value; 0: start by the data").range(0, 1e300);
    o.add("holes", &holes, "cells without value up to which the likelihood is exact").range(0, 1e6);
    o.add("probes", &probes, "random vectors for determinant and traces beyond").range(1, 1000);
    o.add("seed", &seed, "of the probes").range(0, 9e15);
    o.add("fit", &fit, "fit the parameters by marginal likelihood");
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (kernels.empty()) refuse("kernels", "must name one at least");
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (!(noise >= 0) || noise > 1e300) refuse("noise", "must be finite and not negative");
    if (holes < 0) refuse("holes", "must not be negative");
    if (probes < 1) refuse("probes", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
