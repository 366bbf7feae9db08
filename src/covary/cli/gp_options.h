// `covary gp`: Gaussian processes on tables.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"
#include "covary/stat/process/regression_options.h"

namespace covary::cli {

// Of fit, and of what takes a model or a table to fit first.
struct GpFitOptions {
  std::string target;                // column that is explained; several: a,b
  std::string outputs;               // how several are: icm:R, lmc:Q, independent; empty: icm:1
  std::vector<std::string> columns;  // that explain it; empty = all that are left
  std::string noise;                 // column of noise variances, units of target^2
  std::string weights;               // column of weights, which divide the noise of a row
  stat::RegressionOptions process;   // written flat: --kernel, --mean, --method, ...

  void describe(OptionList& o);
  void check() const;
};

struct GpPredictOptions : GpFitOptions {
  std::vector<double> quantiles;  // of a new value, in (0, 1)
  bool with_noise = true;         // of a new value; false: of the function

  void describe(OptionList& o);
  void check() const;
};

struct GpUpdateOptions {
  std::string target;                // column of the new values; empty = the model's
  std::vector<std::string> columns;  // empty = the model's
  std::string noise;                 // column of noise variances; empty = the model's
  std::string weights;               // column of weights; empty = the model's
  bool refit = false;                // fit the parameters again, from where they are

  void describe(OptionList& o);
  void check() const {}
};

struct GpSampleOptions : GpFitOptions {
  int64_t samples = 10;  // draws

  void describe(OptionList& o);
};

}  // namespace covary::cli
