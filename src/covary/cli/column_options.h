// Which columns of a table a verb takes; the same words in every verb of statistics.
#pragma once

#include <string>
#include <vector>

#include "covary/core/base/options.h"

namespace covary::cli {

struct ColumnOptions {
  std::vector<std::string> columns;  // by name, in this order; empty = all but target and weights,
                                     // or those that the model was fitted to
  std::string target;                // column that is no part of the data: labels or an answer
  std::string weights;               // column of sample weights, >= 0
  std::string noise = {};            // column of noise variances, >= 0; not described

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::cli
