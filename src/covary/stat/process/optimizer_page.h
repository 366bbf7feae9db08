// An optimisation as one self-contained page, and as a table.
//
//   write_file("run.html", optimizer_page({.title = "sim", .optimizer = o, .known = 0.39789}));
//   write_file("evaluations.csv", evaluations_csv(o));
//
// Every value and the best so far, the distance to the known optimum where there is one, the best rows, the parameters
// over the evaluations.
#pragma once

#include <optional>
#include <string>

#include "covary/stat/process/optimizer.h"

namespace covary::stat {

struct OptimizerPage {
  std::string title;
  const Optimizer& optimizer;
  std::optional<double> known = {};  // best value that there is
};
std::string optimizer_page(const OptimizerPage& page);

// A line an evaluation: parameters, outputs (empty: failed), best so far.
std::string evaluations_csv(const Optimizer& optimizer);
// Rows alone, with a header.
std::string rows_csv(const SearchSpace& space, const std::vector<std::vector<double>>& rows);

}  // namespace covary::stat
