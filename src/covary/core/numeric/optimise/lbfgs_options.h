// When the bounded quasi-Newton search of lbfgs.h stops; see there.
#pragma once

#include <cstdint>
#include <functional>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::numeric {

// Where a search is, after its start and after each step.
struct SearchStep {
  int64_t step = 0;          // steps done
  double value = 0;          // of f
  double gradient_norm = 0;  // largest entry of the projected gradient
};
// Sees each of them, to report on a long search or to end it: false, and the search keeps what it
// has (Ending::kStopped).
using SearchWatch = std::function<bool(const SearchStep&)>;

struct LbfgsOptions {
  int64_t history = 10;              // pairs of steps and gradient changes that are kept, 1
  int64_t iterations = 200;          // at most, 1
  int64_t line_evaluations = 30;     // of the objective in one line search, at most, 1
  double gradient_tolerance = 1e-6;  // largest entry of the projected gradient, units of f / x
  // Relative error of f: a decrease below it is only rounding, and a search whose model promises no
  // more than 25 times that is over, whatever its gradient. 1
  double value_tolerance = 1e-14;
  SearchWatch watch = {};  // none: nothing is seen; not described

  void describe(OptionList& o) {
    o.add("history", &history, "pairs of steps and gradient changes that are kept").range(1, 1000);
    o.add("iterations", &iterations, "at most so many steps").range(0, 1e9);
    o.add("line_evaluations", &line_evaluations, "objective evaluations of one line search")
        .range(1, 1000);
    o.add("gradient_tolerance", &gradient_tolerance, "largest entry of the projected gradient")
        .range(0, 1e300);
    o.add("value_tolerance", &value_tolerance, "relative error of the objective").range(0, 1);
  }

  // Throws Error(kUsage) naming the field.
  void check() const {
    const auto refuse = [](const char* field, const char* rule) {
      throw Error(ExitCode::kUsage, std::string(field) + " " + rule, "search options");
    };
    if (history < 1 || history > 1000) refuse("history", "must lie in [1, 1000]");
    if (iterations < 0) refuse("iterations", "must not be negative");
    if (line_evaluations < 1) refuse("line_evaluations", "must be at least 1");
    if (!(gradient_tolerance >= 0)) refuse("gradient_tolerance", "must not be negative");
    if (!(value_tolerance >= 0)) refuse("value_tolerance", "must not be negative");
  }
};

}  // namespace covary::numeric
