// What a built-in table can be asked for: "sample:clumps,rows=1000,components=5"; see table_samples.h.
#pragma once

#include <cstdint>

#include "covary/core/base/options.h"

namespace covary::data {

struct TableSampleOptions {
  int64_t rows = 400;
  int64_t columns = 2;     // of the rows' coordinates
  int64_t components = 3;  // clumps
  double separation = 5;   // of the clumps' middles, in units of their standard deviation
  double noise = 0.2;      // standard deviation of the noise
  int64_t seed = 42;

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::data
