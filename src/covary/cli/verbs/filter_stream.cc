// `covary filter run MODEL -`: a line in, a line out, at once.
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>

#include <ATen/ATen.h>

#include "covary/cli/verbs/filter_input.h"
#include "covary/cli/verbs/places.h"
#include "covary/core/base/log.h"
#include "covary/stat/filter/filter_run.h"

namespace covary::cli {
namespace {

using filter::FilterModel;
using nlohmann::json;

[[noreturn]] void refuse(int64_t line, const std::string& what, const std::string& hint) {
  throw Error(ExitCode::kData, what, "-: line " + std::to_string(line), hint);
}

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r\""), end = text.find_last_not_of(" \t\r\"");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

std::vector<std::string> fields_of(const std::string& line) {
  const char separator = line.find(',') != std::string::npos    ? ','
                         : line.find(';') != std::string::npos  ? ';'
                         : line.find('\t') != std::string::npos ? '\t'
                                                                : ',';
  std::vector<std::string> out;
  size_t begin = 0;
  for (;;) {
    const size_t end = line.find(separator, begin);
    out.push_back(trimmed(line.substr(begin, end - begin)));
    if (end == std::string::npos) return out;
    begin = end + 1;
  }
}

bool parse(const std::string& field, double& value) {
  if (field.empty() || field == "nan" || field == "NaN" || field == "NA" || field == "?" ||
      field == "null") {
    value = std::nan("");
    return true;
  }
  const char* begin = field.data() + (field[0] == '+' ? 1 : 0);
  const auto end = std::from_chars(begin, field.data() + field.size(), value);
  return end.ec == std::errc() && end.ptr == field.data() + field.size() && std::isfinite(value);
}

// Lines into rows of the model's columns and controls: by name where a header or a JSON object
// gives them, else in their order.
class Rows {
 public:
  Rows(const FilterModel& m, const SeriesOptions& o) {
    wanted_ = o.columns.empty() ? m.column_names() : o.columns;
    columns_ = wanted_.size();
    const auto& controls = o.controls.empty() ? m.controls : o.controls;
    wanted_.insert(wanted_.end(), controls.begin(), controls.end());
    const size_t needed =
        static_cast<size_t>(m.observations() + (m.matrices ? m.matrices->controls() : 0));
    if (wanted_.size() != needed) {
      throw Error(ExitCode::kUsage,
                  std::to_string(needed) + " columns are needed, and " +
                      std::to_string(wanted_.size()) + " are named",
                  "--columns", "name what is observed with --columns, B's with --controls");
    }
  }

  // False for lines without data: blank, comment, header.
  bool take(const std::string& line, int64_t number, std::vector<double>& row) {
    const size_t first = line.find_first_not_of(" \t\r");
    if (first == std::string::npos || line[first] == '#') return false;
    if (line[first] == '{' || line[first] == '[') return json_row(line, number, row);
    const std::vector<std::string> fields = fields_of(line);
    if (places_.empty()) {
      bool numbers = true;
      double unused = 0;
      for (const std::string& f : fields) numbers = numbers && parse(f, unused);
      if (!numbers) return header(fields, number);
      if (fields.size() != wanted_.size())
        refuse(number,
               "has " + std::to_string(fields.size()) + " fields for " +
                   std::to_string(wanted_.size()) + " columns",
               "send a header first, and columns are taken by name");
      for (size_t k = 0; k < fields.size(); ++k) places_.push_back(k);
      fields_ = fields.size();
    }
    if (fields.size() != fields_)
      refuse(number,
             "has " + std::to_string(fields.size()) + " fields, and lines before it " +
                 std::to_string(fields_),
             "leave a missing number empty, with its commas");
    row.clear();
    for (size_t k = 0; k < places_.size(); ++k) {
      double v = 0;
      if (!parse(fields[places_[k]], v))
        refuse(number, "'" + fields[places_[k]] + "' is no number",
               "an empty field or nan is missing");
      row.push_back(v);
    }
    return true;
  }
  size_t columns() const { return columns_; }

 private:
  bool header(const std::vector<std::string>& fields, int64_t number) {
    for (const std::string& w : wanted_) {
      const auto at = std::find(fields.begin(), fields.end(), w);
      if (at != fields.end()) {
        places_.push_back(static_cast<size_t>(at - fields.begin()));
      } else if (fields.size() == wanted_.size()) {
        places_.push_back(places_.size());
      } else {
        refuse(number, "there is no column '" + w + "' of the model",
               "name the columns that take their place: --columns a,b");
      }
    }
    fields_ = fields.size();
    return false;
  }
  bool json_row(const std::string& line, int64_t number, std::vector<double>& row) {
    const json j = json::parse(line, nullptr, false);
    if (j.is_discarded()) refuse(number, "is no JSON", "write {\"y\": 1.5} or [1.5]");
    if (j.is_array() && j.size() != wanted_.size())
      refuse(number,
             "has " + std::to_string(j.size()) + " numbers for " + std::to_string(wanted_.size()) +
                 " columns",
             "null is missing");
    row.clear();
    for (size_t k = 0; k < wanted_.size(); ++k) {
      const json v = j.is_array() ? j[k] : j.contains(wanted_[k]) ? j[wanted_[k]] : json();
      if (!v.is_null() && !v.is_number())
        refuse(number, "'" + wanted_[k] + "' is no number", "null is missing");
      row.push_back(v.is_null() ? std::nan("") : v.get<double>());
    }
    return true;
  }

  std::vector<std::string> wanted_;
  size_t columns_ = 0, fields_ = 0;
  std::vector<size_t> places_;
};

}  // namespace

Result stream(const Job& job, const FilterModel& model, const FilterRunOptions& o) {
  if (!job.invocation.outputs.empty() || !job.common.plot.empty() || o.ahead > 0)
    throw Error(ExitCode::kUsage, "lines are answered as they come, on stdout", "-",
                "leave -o, --plot and --ahead out, or name a table");
  Rows rows(model, o.series);
  filter::FilterStream filter(model, o.run);
  const std::vector<std::string> states = model.state_names(), columns = model.column_names();
  const auto put = [](const std::string& line) {
    std::fwrite(line.data(), 1, line.size(), stdout);
    if (std::fflush(stdout) != 0)
      throw Error(ExitCode::kData, "cannot be written", "standard output", "the pipe was closed");
  };
  const bool as_json = job.invocation.json;
  std::vector<double> row;
  std::string line;
  int64_t number = 0, steps = 0;
  double total = 0;
  while (std::getline(std::cin, line)) {
    ++number;
    if (!rows.take(line, number, row)) continue;
    const size_t p = rows.columns();
    const at::Tensor y =
        at::tensor(std::vector<double>(row.begin(), row.begin() + long(p)), at::kDouble);
    at::Tensor u;
    if (row.size() > p)
      u = at::tensor(std::vector<double>(row.begin() + long(p), row.end()), at::kDouble);
    filter::FilterRun r;
    try {
      r = filter.step(y, u);
    } catch (const Error& e) {
      if (e.code() != ExitCode::kData) throw;
      refuse(number, e.message() + (e.where().empty() ? "" : " (" + e.where() + ")"), e.hint());
    }
    total += r.log_likelihood;
    // What a line says, in order.
    std::vector<std::pair<std::string, double>> said;
    for (size_t k = 0; k < states.size(); ++k) {
      said.emplace_back(states[k], r.mean.const_data_ptr<double>()[k]);
      said.emplace_back(states[k] + "_sd", r.sd.const_data_ptr<double>()[k]);
    }
    for (size_t k = 0; r.predicted.defined() && k < columns.size(); ++k) {
      said.emplace_back("predicted_" + columns[k], r.predicted.const_data_ptr<double>()[k]);
      said.emplace_back("predicted_" + columns[k] + "_sd",
                        r.predicted_sd.const_data_ptr<double>()[k]);
      said.emplace_back("innovation_" + columns[k], r.innovation.const_data_ptr<double>()[k]);
    }
    if (r.nis.defined()) said.emplace_back("nis", r.nis.const_data_ptr<double>()[0]);
    if (r.effective.defined())
      said.emplace_back("effective", r.effective.const_data_ptr<double>()[0]);
    said.emplace_back("log_likelihood", r.log_likelihood);
    std::string text;
    if (as_json) {
      nlohmann::ordered_json j;
      j["step"] = steps;
      for (const auto& [name, value] : said) j[name] = value;
      text = j.dump() + "\n";
    } else {
      if (steps == 0) {
        for (const auto& [name, value] : said) text += (text.empty() ? "" : ",") + name;
        text += "\n";
      }
      for (size_t k = 0; k < said.size(); ++k) {
        char digits[40];
        const auto end = std::to_chars(digits, digits + sizeof digits, said[k].second);
        text += (k ? "," : "");
        if (!std::isnan(said[k].second)) text.append(digits, end.ptr);
      }
      text += "\n";
    }
    ++steps;
    put(text);
  }
  if (steps == 0) throw Error(ExitCode::kData, "is empty", "-", "pipe rows into the command");
  log_info(count_text(steps) + " steps, log-likelihood " + number_text("%.6f", total));
  return {};
}

}  // namespace covary::cli
