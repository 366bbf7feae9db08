// `covary density`: kernel density estimates.
#pragma once

#include <cstdint>
#include <string>

#include "covary/cli/column_options.h"
#include "covary/stat/mixture/kde_options.h"

namespace covary::cli {

// Of fit, and of score and sample when they are given a table to fit first.
struct DensityOptions {
  std::string method = "kde";
  mixture::KernelDensityOptions kde;  // written flat: --kernel, --bandwidth, --rtol, ...
  ColumnOptions table;

  void describe(OptionList& o);
  void check() const;
};

struct DensitySampleOptions : DensityOptions {
  int64_t samples = 1000;  // rows

  void describe(OptionList& o);
};

}  // namespace covary::cli
