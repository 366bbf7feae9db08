#include "covary/cli/filter_options.h"

namespace covary::cli {

void SeriesOptions::describe(OptionList& o) {
  o.add("columns", &columns, "columns that are observed; all but counters").common();
  o.add("controls", &controls, "columns of known inputs, for a model with B").common();
  o.add("time", &time, "column along which plots run").common();
}

void FilterFitOptions::describe(OptionList& o) {
  o.add("model", &model,
        "level, trend+seasonal(12), cycle, ar(2), velocity, ..., linear(3), or a model's file")
      .common();
  o.add("method", &method, "auto: likelihood for components, em for matrices")
      .choices({"auto", "likelihood", "em"})
      .common();
  o.add("starts", &starts, "searches from different starts").range(1, 1000);
  learn.describe(o);
  series.describe(o);
}

void FilterRunOptions::describe(OptionList& o) {
  o.add("ahead", &ahead, "steps beyond the table").range(0, 1e7).unit("steps").common();
  run.describe(o);
  series.describe(o);
}

void FilterSampleOptions::describe(OptionList& o) {
  o.add("samples", &samples, "series to draw").range(0, 1e7).synonym("n").common();
  o.add("steps", &steps, "steps of a series, without a table").range(0, 1e9).common();
  run.describe(o);
  series.describe(o);
}

}  // namespace covary::cli
