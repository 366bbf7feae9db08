// What a sparse Gaussian process assumes and how it is fitted; see sparse.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct SparseOptions {
  std::string kernel = "matern52(ard)";  // without white: the noise is a parameter of its own
  int64_t inducing = 100;                // points that stand for the data, 1
  double noise = 0;                      // variance of a value, units of y^2; 0: start by the data
  bool fit = true;            // false: parameters as they are, or their starts by the data
  bool move_inducing = true;  // fit the inducing points too
  int64_t seed = 0;           // of the starts by the data
  numeric::LbfgsOptions search{.iterations = 200,
                               .gradient_tolerance = 1e-3,
                               .value_tolerance = 1e-10};  // gradient: nats per unit of a logarithm

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function without white").common();
    o.add("inducing", &inducing, "points that stand for the data").range(1, 1e5).common();
    o.add("noise", &noise, "variance of a value; 0: start by the data").range(0, 1e300);
    o.add("fit", &fit, "fit the parameters by the variational bound");
    o.add("move_inducing", &move_inducing, "fit the inducing points too");
    o.add("seed", &seed, "of the starts by the data").range(0, 9e15).common();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (inducing < 1) refuse("inducing", "must be at least 1");
    if (!(noise >= 0) || noise > 1e300) refuse("noise", "must be finite and not negative");
    if (seed < 0) refuse("seed", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
