// Tables in and out of the verbs of statistics.
//
//   const Samples s = read_samples(job.invocation.inputs[0], options.table);     // "-" is stdin
//   in_file(input, [&] { model.fit(s.x, s.weights); });     // faults of the data name the file
//   result.text = write_table(output, table);               // "-" or none: CSV on stdout
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/cli/column_options.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/data/table.h"

namespace covary::cli {

struct Samples {
  std::vector<std::string> names;  // of x's columns
  at::Tensor x;                    // [n,d] double
  at::Tensor y, weights, noise;    // [n], or undefined
};

// A whole table: "-" is standard input, "sample:NAME,key=value" one of data/table_samples.h, a bare
// name that is no file one under $COVARY_DATA (faithful for ROOT/classic/faithful.csv); else a file:
// CSV, ARFF, NPY or NPZ.
data::Table read_input(const std::string& input);
bool is_table_there(const std::string& input);

// Its columns. known: columns that a model was fitted to; they are taken by name where
// the table has them all, else as many columns in their order.
Samples read_samples(const std::string& input, const ColumnOptions& options,
                     const std::vector<std::string>& known = {});
// A table of any format; "-" is stdin.
data::Table read_input(const std::string& input);
Samples samples_of(const data::Table& table, const ColumnOptions& options, const std::string& input,
                   const std::vector<std::string>& known = {});

// Runs f; a fault of the data then names the file too.
template <class F>
auto in_file(const std::string& file, F&& f) {
  try {
    return f();
  } catch (const Error& e) {
    if (e.code() != ExitCode::kData || e.where().find(file) != std::string::npos) throw;
    const std::string place = e.where().empty() || e.where() == "data" || e.where() == "table"
                                  ? file
                                  : file + ": " + e.where();
    throw Error(e.code(), e.message(), place,
                e.hint().empty() ? "mend the table, or choose with --columns" : e.hint());
  }
}

// Columns beside one another into a table.
data::Table table_of(const std::vector<std::string>& names, const std::vector<at::Tensor>& columns);

// Writes .npy, or CSV under any other name. For "-" and an empty name nothing is written and the
// CSV is returned.
std::string write_table(const std::string& file, const data::Table& table);

// The title of a page about an input.
std::string title_of(const std::string& input);

// The one -o of a verb, "" when there is none; Error(kUsage) for several.
std::string one_output(const std::vector<std::string>& outputs);
// The same; Error(kUsage) for what is no name of a model file.
std::string model_name(const std::vector<std::string>& outputs);
// Of output, --report and --plot, a place that cannot be written is said first.
void probe(const Job& job, const std::string& output);
// "--standard-errors" of standard_errors.
std::string flag_of(std::string name);
// A model is what it is: Error(kUsage) for an option of a fit that was typed beside it. command: the
// fit, "covary gp fit TABLE --target NAME".
void refuse_fit_options(const Job& job, std::initializer_list<const char*> names,
                        const std::string& command);

}  // namespace covary::cli
