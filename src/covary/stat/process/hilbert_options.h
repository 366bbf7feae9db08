// What a process on a fixed basis assumes and how it is fitted; see hilbert.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"
#include "covary/core/numeric/optimise/lbfgs_options.h"

namespace covary::stat {

struct HilbertOptions {
  std::string kernel = "matern52(ard)";  // const and white are added, as in gp_options.h
  std::string mean = "const";            // zero, const
  int64_t functions = 0;  // along each column; 0: 128, 28 and 12 for one to three columns
  double boundary = 0;    // half width of the box, in half ranges of the data, > 1; 0: the one of
                          // 1.25 to 6 that serves the fitted kernel best
  bool fit = true;        // false: parameters as stated, or by the data
  int64_t seed = 0;       // of the starts by the data
  numeric::LbfgsOptions search{
      .iterations = 200, .gradient_tolerance = 1e-3, .value_tolerance = 1e-10};

  void describe(OptionList& o) {
    o.add("kernel", &kernel, "stationary covariance function").common();
    o.add("mean", &mean, "mean function").choices({"zero", "const"}).common();
    o.add("functions", &functions, "along each column; 0 = by their number").range(0, 1e4).common();
    o.add("boundary", &boundary, "half width of the box in half ranges; 0 = by the kernel")
        .range(0, 100);
    o.add("fit", &fit, "fit the parameters by marginal likelihood");
    o.add("seed", &seed, "of the starts by the data").range(0, 9e15).common();
    o.group("search", search);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "process options");
    };
    if (mean != "zero" && mean != "const") refuse("mean", "must be zero or const");
    if (functions < 0) refuse("functions", "must not be negative");
    if (boundary != 0 && !(boundary > 1 && boundary <= 100)) {
      refuse("boundary", "must be 0, or lie in (1, 100]");
    }
    if (seed < 0) refuse("seed", "must not be negative");
    search.check();
  }
};

}  // namespace covary::stat
