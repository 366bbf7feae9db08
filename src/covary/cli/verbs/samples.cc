#include "covary/cli/verbs/samples.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <set>

#include <ATen/ATen.h>

#include "covary/cli/verbs/places.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/base/sample_name.h"
#include "covary/core/base/temporary_folder.h"
#include "covary/core/data/table_samples.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;

// A bare name is looked up under $COVARY_DATA, up to two folders deep. Empty: not there.
fs::path find_table(const std::string& input) {
  if (fs::exists(input)) return input;
  const char* root = std::getenv("COVARY_DATA");
  if (root == nullptr || input.empty() || input.find('/') != std::string::npos) return {};
  std::error_code ignored;
  std::vector<fs::path> folders = {root}, found;
  for (size_t depth = 0, begin = 0; depth < 2; ++depth) {
    const size_t end = folders.size();
    for (size_t i = begin; i < end; ++i) {
      const fs::path folder = folders[i];
      for (const auto& entry : fs::directory_iterator(folder, ignored))
        if (entry.is_directory(ignored)) folders.push_back(entry.path());
    }
    begin = end;
  }
  for (const fs::path& folder : folders)
    for (const char* extension : {"", ".csv", ".arff", ".npz", ".npy"})
      if (const fs::path file = folder / (input + extension); fs::is_regular_file(file, ignored))
        found.push_back(file);
  if (found.size() > 1)
    throw Error(ExitCode::kData, "is the name of " + std::to_string(found.size()) + " tables",
                input, "write " + found[0].string() + " or " + found[1].string());
  return found.empty() ? fs::path() : found[0];
}

at::Tensor tensor_of(const std::vector<double>& values, std::vector<int64_t> shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  std::copy(values.begin(), values.end(), t.data_ptr<double>());
  return t;
}

// R and pandas write the number of each row as a first column: it is in a table's file, not in its
// data.
void warn_of_row_numbers(const Samples& s, const std::string& input) {
  static const std::set<std::string> kNames{"",      "rownames", "row",       "row.names",
                                            "index", "id",       "Unnamed: 0"};
  if (s.names.size() < 2 || !kNames.contains(s.names[0])) return;
  const auto steps = s.x.select(1, 0).diff();
  if (steps.numel() == 0 || !steps.eq(1).all().item<bool>()) return;
  std::string others;
  for (size_t k = 1; k < s.names.size(); ++k) others += (k > 1 ? "," : "") + s.names[k];
  log_warning(input + ": column '" + s.names[0] +
              "' only numbers the rows; leave it out with --columns " + others);
}

}  // namespace

Samples samples_of(const data::Table& table, const ColumnOptions& options, const std::string& input,
                   const std::vector<std::string>& known) {
  return in_file(input, [&] {
    data::SplitChoice choice{.target = options.target,
                             .weights = options.weights,
                             .noise = options.noise,
                             .columns = options.columns};
    const auto has = [&](const std::string& name) {
      return std::find(table.names.begin(), table.names.end(), name) != table.names.end();
    };
    if (choice.columns.empty() && !known.empty()) {
      if (std::all_of(known.begin(), known.end(), has)) {
        choice.columns = known;
      } else {
        std::vector<std::string> left;
        for (const std::string& name : table.names)
          if (name != options.target && name != options.weights && name != options.noise)
            left.push_back(name);
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
    if (!split.noise.empty()) s.noise = tensor_of(split.noise, {split.rows});
    if (choice.columns.empty()) warn_of_row_numbers(s, input);
    return s;
  });
}

data::Table read_input(const std::string& input) {
  if (is_sample(input)) return data::sample_table(input);
  if (input != "-") {
    const fs::path file = find_table(input);
    if (file.empty())
      throw Error(ExitCode::kData, "is not there", input,
                  "name a file, a table under $COVARY_DATA, or one of covary info sample:");
    return data::read_table(file);
  }
  const TemporaryFolder folder("stdin");
  const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
  if (text.empty()) throw Error(ExitCode::kData, "is empty", "-", "pipe a table into the command");
  // The reader names the file in its errors; this one is called what the user called it.
  const auto file = folder.path() / "-";
  write_file(file, text);
  return data::read_table(file);
}

bool is_table_there(const std::string& input) {
  return input == "-" || is_sample(input) || !find_table(input).empty();
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

std::string model_name(const std::vector<std::string>& outputs) {
  const std::string file = one_output(outputs);
  if (!file.empty() && !file.ends_with(".json") && !file.ends_with(".cov"))
    throw Error(ExitCode::kUsage, "is no name of a model file", "-o " + file,
                "a model is a FILE.json or a FILE.cov");
  return file;
}

void probe(const Job& job, const std::string& output) {
  for (const std::string& file : {output, job.common.report, job.common.plot})
    if (!file.empty() && file != "-") AtomicFile there(file);
}

std::string flag_of(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return "--" + name;
}

void refuse_fit_options(const Job& job, std::initializer_list<const char*> names,
                        const std::string& command) {
  for (const char* name : names)
    if (job.typed(name))
      throw Error(ExitCode::kUsage, "the model has its own", flag_of(name),
                  "fit it anew: " + command + " " + flag_of(name) + " ...");
}

}  // namespace covary::cli
