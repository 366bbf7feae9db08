// Functions that are programs: rows of a search space through a command line, values back.
//
//   const CommandBox box("./sim --rate {rate} --depth {depth}", space, goal);
//   for (const BoxOutcome& o : box.evaluate(rows)) ...        // all rows at once
//
// In the template {NAME} stands for that parameter, {x} for all values with spaces between (unless a parameter is
// called x), {json} for an object of names and values; words are quoted for the shell. That object is also the
// command's stdin. The last line of its stdout that is not empty is read: numbers, one an output, separated by spaces
// or commas, or a JSON object with the outputs' names. nan, a status other than 0 and no such line are a failed
// evaluation.
#pragma once

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "covary/stat/process/optimizer.h"
#include "covary/stat/process/test_problems.h"

namespace covary::stat {

struct BoxOutcome {
  std::vector<double> values;  // an output each; one NaN: failed
  std::string fault;           // why it failed
  bool interrupted = false;    // it was not ended: no value
};

// Outputs from a line as above. Throws Error(kData).
std::vector<double> outputs_of_line(const std::string& line, const OptimizerGoal& goal);
// {"rate": 0.01, "kind": "relu"}
nlohmann::ordered_json row_json(const SearchSpace& space, const std::vector<double>& row);

class CommandBox {
 public:
  // Throws Error(kUsage) for {WORD} that is no parameter, naming the nearest. limit_s: of one evaluation, 0 = none.
  CommandBox(std::string command, const SearchSpace& space, const OptimizerGoal& goal,
             double limit_s = 0);
  std::string line(const std::vector<double>& row) const;  // for the shell
  std::vector<BoxOutcome> evaluate(
      const std::vector<std::vector<double>>& rows) const;  // at the same time

 private:
  std::string command_;
  SearchSpace space_;
  OptimizerGoal goal_;
  double limit_s_;
};

// A test problem as space and goal; its constraints as limits.
SearchSpace space_of(const TestProblem& problem);
OptimizerGoal goal_of(const TestProblem& problem);
std::vector<double> outputs_of(const TestProblem& problem, const std::vector<double>& row);

}  // namespace covary::stat
