// `covary optimize`: the best of a black box from few evaluations.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"
#include "covary/stat/process/optimizer_options.h"

namespace covary::cli {

struct OptimizeRunOptions {
  std::string
      command;  // of one evaluation, see stat/process/black_box.h; "-": a line out, a line in
  std::string problem;               // a built-in function instead
  int64_t budget = 50;               // evaluations in all, those of a resumed run included
  int64_t batch = 1;                 // at the same time
  double time_limit = 0;             // s an evaluation, 0 = none
  stat::OptimizerOptions optimizer;  // written flat

  void describe(OptionList& o);
  void check() const;
};

struct OptimizeAskOptions {
  int64_t rows = 1;
  stat::OptimizerOptions optimizer;

  void describe(OptionList& o);
  void check() const { optimizer.check(); }
};

struct OptimizeTellOptions {
  void describe(OptionList&) {}
  void check() const {}
};

}  // namespace covary::cli
