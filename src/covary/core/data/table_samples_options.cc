#include "covary/core/data/table_samples_options.h"

namespace covary::data {

void TableSampleOptions::describe(OptionList& o) {
  o.add("rows", &rows, "of the table").range(1, 1e8);
  o.add("columns", &columns, "of the rows' coordinates").range(1, 10000);
  o.add("components", &components, "clumps").range(1, 10000);
  o.add("separation", &separation, "of the clumps' middles, in their deviations").range(0, 1e6);
  o.add("noise", &noise, "standard deviation of the noise").range(0, 1e6);
  o.add("seed", &seed, "of the random numbers").range(0, 9e15);
}

}  // namespace covary::data
