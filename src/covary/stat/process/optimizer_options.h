// How a black box is optimised; see optimizer.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/stat/process/acquisition_options.h"
#include "covary/stat/process/candidates_options.h"

namespace covary::stat {

struct OptimizerOptions {
  std::string surrogate = "gp";     // gp, or random: evenly spread points, nothing learnt
  std::string kernel = "matern52";  // rbf, matern32, matern52: with a length scale a column
  std::string priors = "gamma";     // of the kernel's parameters: gamma, dim-scaled, none
  int64_t initial = 0;              // evaluations before the first fit; 0: by the number of columns
  double noise = -1;                // standard deviation of a value's noise, units of y; -1: fitted
  std::string trust_region = "auto";  // auto (with more than 20 columns), on, off
  int64_t joint = 100;     // columns of a batch up to which its points are chosen jointly
  int64_t fit_starts = 3;  // first guesses of a fit
  int64_t seed = 0;
  AcquisitionOptions acquisition;
  CandidateOptions candidates;

  void describe(OptionList& o) {
    o.add("surrogate", &surrogate, "what is fitted to the values")
        .choices({"gp", "random"})
        .common();
    acquisition.describe(o);
    o.add("kernel", &kernel, "of the process").choices({"rbf", "matern32", "matern52"});
    o.add("priors", &priors, "of the kernel's parameters")
        .choices({"gamma", "dim-scaled", "none"})
        .common();
    o.add("initial", &initial, "evaluations before the first fit, 0 = by the number of columns")
        .range(0, 1e6)
        .common();
    o.add("noise", &noise, "standard deviation of every output's noise, -1 = fitted")
        .range(-1, 1e150);
    o.add("trust_region", &trust_region, "look near the best only").choices({"auto", "on", "off"});
    o.add("joint", &joint, "columns of a batch up to which its points are chosen jointly")
        .range(1, 1e5);
    o.add("fit_starts", &fit_starts, "first guesses of a fit").range(1, 1000);
    candidates.describe(o);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "optimizer options");
    };
    if (surrogate != "gp" && surrogate != "random") refuse("surrogate", "must be gp or random");
    if (kernel != "rbf" && kernel != "matern32" && kernel != "matern52") {
      refuse("kernel", "must be rbf, matern32 or matern52");
    }
    if (priors != "gamma" && priors != "dim-scaled" && priors != "none") {
      refuse("priors", "must be gamma, dim-scaled or none");
    }
    if (initial < 0) refuse("initial", "must not be negative");
    if (!(noise >= 0) && noise != -1) refuse("noise", "must not be negative, or be -1");
    if (trust_region != "auto" && trust_region != "on" && trust_region != "off") {
      refuse("trust_region", "must be auto, on or off");
    }
    if (joint < 1) refuse("joint", "must be at least 1");
    if (fit_starts < 1) refuse("fit_starts", "must be at least 1");
    if (seed < 0) refuse("seed", "must not be negative");
    acquisition.check();
    candidates.check();
  }
};

}  // namespace covary::stat
