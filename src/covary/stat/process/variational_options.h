// What a stochastic variational process assumes and how it is fitted; see variational.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct VariationalOptions {
  std::string kernel = "matern52(ard)";  // without white
  std::string likelihood = "gaussian";   // see likelihood.h
  std::string mean = "const";            // of the function: zero, const
  int64_t inducing = 500;                // points that stand for the data, 1
  bool fit = true;                       // false: q alone is fitted, parameters and points stay
  bool move_inducing = true;             // fit the inducing points too
  int64_t steps = 2000;                  // batches, 1
  int64_t batch = 1024;                  // rows a step, 1
  double rate = 0.02;                    // Adam: of logarithms, and of points in deviations, 1
  double natural_rate = 0.1;             // share of a natural-gradient step for q, 1
  std::string precision = "float";       // of the steps; what follows the fit is double
  int64_t seed = 0;                      // of the batches and the start
  // Sees each step, minus the bound's estimate as its value; may end the fit. Not described.
  numeric::SearchWatch watch = {};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "covariance function without white").common();
    o.add("likelihood", &likelihood, "of a value given the function").common();
    o.add("mean", &mean, "of the function").choices({"zero", "const"});
    o.add("inducing", &inducing, "points that stand for the data").range(1, 1e5).common();
    o.add("fit", &fit, "fit the parameters by the variational bound");
    o.add("move_inducing", &move_inducing, "fit the inducing points too");
    o.add("steps", &steps, "batches").range(0, 1e9).common();
    o.add("batch", &batch, "rows a step").range(1, 1e9).unit("rows").common();
    o.add("rate", &rate, "of Adam").range(0, 10);
    o.add("natural_rate", &natural_rate, "share of a natural-gradient step").range(0, 1);
    o.add("precision", &precision, "of the steps").choices({"float", "double"});
    o.add("seed", &seed, "of the batches and the start").range(0, 9e15).common();
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (inducing < 1) refuse("inducing", "must be at least 1");
    if (steps < 0) refuse("steps", "must not be negative");
    if (batch < 1) refuse("batch", "must be at least 1");
    if (!(rate >= 0) || rate > 10) refuse("rate", "must lie in [0, 10]");
    if (!(natural_rate > 0 && natural_rate <= 1)) refuse("natural_rate", "must lie in (0, 1]");
    if (precision != "float" && precision != "double")
      refuse("precision", "must be float or double");
    if (seed < 0) refuse("seed", "must not be negative");
  }
};

}  // namespace covary::stat
