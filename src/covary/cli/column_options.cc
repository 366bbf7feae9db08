#include "covary/cli/column_options.h"

namespace covary::cli {

void ColumnOptions::describe(OptionList& o) {
  o.add("columns", &columns, "columns to use, by name").common();
  o.add("target", &target, "column of labels: left out of the data").common();
  o.add("weights", &weights, "column of sample weights").common();
}

}  // namespace covary::cli
