#include "covary/cli/optimize_options.h"

#include "covary/core/base/error.h"

namespace covary::cli {
void OptimizeRunOptions::describe(OptionList& o) {
  o.add("command", &command,
        "that evaluates a row: './sim {x}', {NAME}, {json}; -: a line out, a line in")
      .common();
  o.add("problem", &problem, "a built-in function instead: branin, hartmann(6), ackley(10), ...")
      .common();
  o.add("budget", &budget, "evaluations in all").range(1, 1e9).synonym("n").common();
  o.add("batch", &batch, "rows that are evaluated at the same time").range(1, 1000).common();
  o.add("time_limit", &time_limit, "of one evaluation, 0 = none").duration().unit("s");
  optimizer.describe(o);
}

void OptimizeRunOptions::check() const {
  optimizer.check();
  if (!command.empty() && !problem.empty()) {
    throw Error(ExitCode::kUsage, "contradicts --command", "--problem", "leave one out");
  }
}

void OptimizeAskOptions::describe(OptionList& o) {
  o.add("rows", &rows, "to evaluate next").range(1, 10000).synonym("n").common();
  optimizer.describe(o);
}

}  // namespace covary::cli
