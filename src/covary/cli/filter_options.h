// `covary filter`: state-space models on tables whose rows are steps.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/base/options.h"
#include "covary/stat/filter/learn_options.h"
#include "covary/stat/filter/run_options.h"

namespace covary::cli {

// Which columns of a table are what.
struct SeriesOptions {
  std::vector<std::string> columns;   // observed; empty = the model's, or all that are left
  std::vector<std::string> controls;  // columns of u; empty = the model's
  std::string time;                   // column along which plots run; no part of the data

  void describe(OptionList& o);
};

struct FilterFitOptions {
  std::string model = "level";  // components, linear(n), or the file of a model to start from
  std::string method = "auto";  // auto | likelihood | em
  int64_t starts = 4;           // searches, of components
  filter::LearnOptions learn;   // what of a file's matrices is free
  SeriesOptions series;

  void describe(OptionList& o);
  void check() const { learn.check(); }
};

struct FilterRunOptions {
  filter::RunOptions run;
  SeriesOptions series;
  int64_t ahead = 0;  // steps beyond the table

  void describe(OptionList& o);
  void check() const { run.check(); }
};

struct FilterSampleOptions {
  filter::RunOptions run;
  SeriesOptions series;
  int64_t samples = 1;  // series
  int64_t steps = 100;  // of a series

  void describe(OptionList& o);
  void check() const { run.check(); }
};

}  // namespace covary::cli
