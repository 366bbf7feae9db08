// What the verbs of `covary filter` take: models, series, rows that come one by one.
//
//   const auto [model, series] = model_and_series(argument, input, options.series);
//   run_filter(model, series.y, series.u, options.run);
//
// argument: a model's file or a text; a text whose parameters have no value is fitted to the series.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/cli/filter_options.h"
#include "covary/cli/verbs/verb.h"
#include "covary/stat/filter/filter_model.h"
#include "covary/stat/filter/fit_components.h"

namespace covary::cli {

struct Series {
  std::vector<std::string> columns, controls;
  at::Tensor y, u;           // [T,p]; [T,k] or undefined
  std::vector<double> time;  // [T], or empty: none
  std::string time_name = "step";
  // `steps` more rows, missing; Error(kUsage) where controls would be needed.
  void extend(int64_t steps);
};

// Columns by name; where none are named and the model has none, those that are numbers and do not
// just count or tell the time (time, date, year, t, that rises). Such a column is the time of plots,
// unless --time says which.
Series read_series(const std::string& input, const SeriesOptions& options,
                   const std::vector<std::string>& columns,
                   const std::vector<std::string>& controls);

bool is_model_file(const std::string& argument);
// The model of a file or of a text. Of a text, columns are those of --columns, if any.
filter::FilterModel read_model_argument(const std::string& argument,
                                        const std::vector<std::string>& columns);
// A text with parameters that have no value is fitted to the series.
struct ModelAndSeries {
  filter::FilterModel model;
  Series series;
};
ModelAndSeries model_and_series(const std::string& argument, const std::string& input,
                                const SeriesOptions& options);

// How a fit of components went, for the file and for --json.
nlohmann::json fit_document(const filter::FilterModel& m, const filter::ComponentFit& fit);

// Reads lines from stdin and answers each at once, as CSV, or as JSON lines with --json.
Result stream(const Job& job, const filter::FilterModel& model, const FilterRunOptions& options);

}  // namespace covary::cli
