#include "covary/cli/verbs/samples.h"

#include <algorithm>
#include <iostream>
#include <iterator>

#include <ATen/ATen.h>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/base/temporary_folder.h"

namespace covary::cli {
namespace {

at::Tensor tensor_of(const std::vector<double>& values, std::vector<int64_t> shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  std::copy(values.begin(), values.end(), t.data_ptr<double>());
  return t;
}

}  // namespace

data::Table read_input(const std::string& input) {
  if (input != "-") return data::read_table(input);
  const TemporaryFolder folder("stdin");
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (text.empty()) throw Error(ExitCode::kData, "is empty", "-", "pipe a table into the command");
  // The reader names the file in its errors; this one is called what the user called it.
  const auto file = folder.path() / "-";
  write_file(file, text);
  return data::read_table(file);
}

Samples samples_of(const data::Table& table, const ColumnOptions& options, const std::string& input,
                   const std::vector<std::string>& known) {
  return in_file(input, [&] {
    data::SplitChoice choice{
        .target = options.target, .weights = options.weights, .columns = options.columns};
    const auto has = [&](const std::string& name) {
      return std::find(table.names.begin(), table.names.end(), name) != table.names.end();
    };
    if (choice.columns.empty() && !known.empty()) {
      if (std::all_of(known.begin(), known.end(), has)) {
        choice.columns = known;
      } else {
        std::vector<std::string> left;
        for (const std::string& name : table.names)
          if (name != options.target && name != options.weights) left.push_back(name);
        if (left.size() != known.size()) {
          const auto absent = std::find_if_not(known.begin(), known.end(), has);
          throw Error(ExitCode::kData, "there is no column '" + *absent + "' of the model", input,
                      "name the columns that take their place: --columns a,b");
        }
        choice.columns = left;
      }
    }
    const data::TableSplit split = table.split(choice);
    if (split.rows == 0) throw Error(ExitCode::kData, "has no rows", input, "give at least one");
    if (split.names.empty()) throw Error(ExitCode::kData, "no columns are left", input);
    Samples s;
    s.names = split.names;
    s.x = tensor_of(split.x, {split.rows, static_cast<int64_t>(split.names.size())});
    if (!split.y.empty()) s.y = tensor_of(split.y, {split.rows});
    if (!split.weights.empty()) s.weights = tensor_of(split.weights, {split.rows});
    return s;
  });
}

Samples read_samples(const std::string& input, const ColumnOptions& options,
                     const std::vector<std::string>& known) {
  return samples_of(read_input(input), options, input, known);
}

data::Table table_of(const std::vector<std::string>& names,
                     const std::vector<at::Tensor>& columns) {
  std::vector<at::Tensor> parts;
  for (const at::Tensor& c : columns)
    parts.push_back(c.to(at::kDouble).view({c.size(0), c.dim() == 1 ? 1 : c.size(1)}));
  const at::Tensor all = at::cat(parts, 1).contiguous();
  data::Table t;
  t.names = names;
  t.words.resize(names.size());
  t.rows = all.size(0);
  t.values.assign(all.data_ptr<double>(), all.data_ptr<double>() + all.numel());
  return t;
}

std::string write_table(const std::string& file, const data::Table& table) {
  if (file.empty() || file == "-") {
    const TemporaryFolder folder("stdout");
    data::write_csv(folder.path() / "table.csv", table);
    return read_file(folder.path() / "table.csv");
  }
  const std::filesystem::path path = file;
  if (path.extension() == ".npy")
    data::write_npy(path, table);
  else
    data::write_csv(path, table);
  log_info("wrote " + file);
  return "";
}

std::string title_of(const std::string& input) {
  return input == "-" ? "standard input" : name_of(input);
}

std::string one_output(const std::vector<std::string>& outputs) {
  if (outputs.size() > 1)
    throw Error(ExitCode::kUsage, "a second output", "-o " + outputs[1], "name one");
  return outputs.empty() ? "" : outputs[0];
}

}  // namespace covary::cli
