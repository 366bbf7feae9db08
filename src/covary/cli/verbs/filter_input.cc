#include "covary/cli/verbs/filter_input.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include <ATen/ATen.h>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/core/base/log.h"

namespace covary::cli {
namespace {

using filter::FilterModel;

bool listed(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Whether a column rises by the same step from row to row, to a hundredth of it.
bool counts(const data::Table& t, int64_t column) {
  if (t.rows < 3) return false;
  const double step = (t.at(t.rows - 1, column) - t.at(0, column)) / double(t.rows - 1);
  if (!(step > 0)) return false;
  for (int64_t i = 1; i < t.rows; ++i) {
    if (!(std::abs(t.at(i, column) - t.at(i - 1, column) - step) <= 0.02 * step)) return false;
  }
  return true;
}

// Whether a column is called like a time and rises.
bool is_time(const data::Table& t, int64_t column) {
  static const std::vector<std::string> names = {"time", "date", "year", "timestamp", "t"};
  if (!listed(names, t.names[size_t(column)])) return false;
  for (int64_t i = 1; i < t.rows; ++i)
    if (!(t.at(i, column) > t.at(i - 1, column))) return false;
  return true;
}

at::Tensor columns_of(const data::Table& t, const std::vector<std::string>& names) {
  at::Tensor out = at::empty({t.rows, static_cast<int64_t>(names.size())}, at::kDouble);
  double* x = out.mutable_data_ptr<double>();
  for (size_t k = 0; k < names.size(); ++k) {
    const int64_t at = t.column(names[k]);
    if (!t.words[static_cast<size_t>(at)].empty()) {
      throw Error(ExitCode::kData, "holds words, not numbers", "column '" + names[k] + "'",
                  "choose other columns with --columns");
    }
    for (int64_t i = 0; i < t.rows; ++i) x[size_t(i) * names.size() + k] = t.at(i, at);
  }
  return out;
}

}  // namespace

void Series::extend(int64_t steps) {
  if (steps == 0) return;
  if (u.defined()) {
    throw Error(ExitCode::kUsage, "steps beyond the table would need their controls", "--ahead",
                "write them into the table, with the observations left empty");
  }
  const int64_t rows = y.size(0);
  y = at::cat({y, at::full({steps, y.size(1)}, std::nan(""), at::kDouble)}).contiguous();
  if (time.empty()) return;
  const double step = rows > 1 ? (time.back() - time.front()) / double(rows - 1) : 1;
  for (int64_t i = 0; i < steps; ++i) time.push_back(time.back() + step);
}

Series read_series(const std::string& input, const SeriesOptions& options,
                   const std::vector<std::string>& columns,
                   const std::vector<std::string>& controls) {
  const data::Table t = read_input(input);
  return in_file(input, [&] {
    if (t.rows == 0) throw Error(ExitCode::kData, "has no rows", input, "give at least one");
    Series s;
    s.controls = options.controls.empty() ? controls : options.controls;
    s.time_name = options.time;
    std::vector<std::string> left, counters;
    for (int64_t k = 0; k < t.columns(); ++k) {
      const std::string& name = t.names[size_t(k)];
      if (listed(s.controls, name) || name == options.time) continue;
      if (!t.words[size_t(k)].empty()) continue;
      if (counts(t, k) || is_time(t, k)) {
        counters.push_back(name);
      } else {
        left.push_back(name);
      }
    }
    s.columns = options.columns;
    if (s.columns.empty() && !columns.empty()) {
      const bool all = std::all_of(columns.begin(), columns.end(),
                                   [&](const std::string& c) { return listed(t.names, c); });
      if (all) {
        s.columns = columns;
      } else if (left.size() == columns.size()) {
        s.columns = left;
      } else if (t.columns() == static_cast<int64_t>(columns.size())) {
        s.columns = t.names;
      } else {
        throw Error(ExitCode::kData, "there is no column '" + columns[0] + "' of the model", input,
                    "name the columns that take their place: --columns a,b");
      }
    }
    if (s.columns.empty()) {
      // Where every column counts, the last is what was measured.
      s.columns = !left.empty()      ? left
                  : counters.empty() ? std::vector<std::string>{}
                                     : std::vector<std::string>{counters.back()};
      std::string dropped;
      for (const std::string& c : counters)
        if (!listed(s.columns, c)) dropped += (dropped.empty() ? "" : ", ") + c;
      if (!dropped.empty())
        log_info("columns that count or tell the time are no data: " + dropped +
                 "; --columns chooses others");
    }
    if (s.columns.empty())
      throw Error(ExitCode::kData, "has no column of numbers", input, "choose with --columns");
    s.y = columns_of(t, s.columns);
    if (!s.controls.empty()) s.u = columns_of(t, s.controls);
    if (s.time_name.empty()) {
      for (const std::string& c : counters)
        if (!listed(s.columns, c)) s.time_name = c;  // the last: row numbers come first
    }
    if (s.time_name.empty()) {
      s.time_name = "step";
      return s;
    }
    const at::Tensor time = columns_of(t, {s.time_name});
    s.time.assign(time.const_data_ptr<double>(), time.const_data_ptr<double>() + time.numel());
    for (size_t i = 1; i < s.time.size(); ++i) {
      if (!(s.time[i] > s.time[i - 1])) {
        throw Error(
            ExitCode::kData,
            "does not rise from row " + std::to_string(i) + " to row " + std::to_string(i + 1),
            "column '" + s.time_name + "'", "sort the rows, or name another with --time");
      }
    }
    return s;
  });
}

bool is_model_file(const std::string& a) {
  return a.ends_with(".json") || a.ends_with(".cov") || std::filesystem::exists(a);
}

FilterModel read_model_argument(const std::string& a, const std::vector<std::string>& columns) {
  if (!is_model_file(a)) return FilterModel::of_text(a, columns);
  if (!std::filesystem::exists(a)) {
    throw Error(ExitCode::kData, "is not there", a,
                "name a model's file, or write a model: \"level+noise\"");
  }
  return FilterModel::read(a);
}

ModelAndSeries model_and_series(const std::string& argument, const std::string& input,
                                const SeriesOptions& options) {
  ModelAndSeries out{read_model_argument(argument, options.columns), {}};
  const bool file = is_model_file(argument);
  std::vector<std::string> wanted = out.model.columns;
  if (wanted.empty() && out.model.named) wanted = out.model.named->columns();
  out.series = read_series(input, options, wanted, out.model.controls);
  if (!file && out.model.components) {
    out.model = FilterModel::of_text(argument, out.series.columns);
    if (!filter::all_set(out.model.components->parameters())) {
      const auto fit =
          in_file(input, [&] { return fit_components(*out.model.components, out.series.y); });
      out.model.fit = fit_document(out.model, fit);
      log_info("fitted " + argument + ": log-likelihood " +
               number_text("%.6f", fit.log_likelihood));
    }
  }
  const int64_t p = out.model.observations(),
                have = static_cast<int64_t>(out.series.columns.size());
  if (p != have) {
    throw Error(ExitCode::kData,
                "has " + std::to_string(have) + " columns for " + std::to_string(p) +
                    " observations of the model",
                input, "choose them with --columns a,b");
  }
  const int64_t k = out.model.matrices ? out.model.matrices->controls() : 0;
  const int64_t given = static_cast<int64_t>(out.series.controls.size());
  if (given != k) {
    throw Error(given ? ExitCode::kUsage : ExitCode::kData,
                "the model has " + std::to_string(k) + " controls, and " + std::to_string(given) +
                    " columns are named",
                "--controls", k ? "write --controls a,b" : "the model has no B");
  }
  return out;
}

nlohmann::json fit_document(const FilterModel& m, const filter::ComponentFit& fit) {
  const filter::LinearModel l = m.components->model();
  const double diffuse = l.diffuse.defined() ? double(l.diffuse.size(1)) : 0;
  const double k = static_cast<double>(fit.free) + diffuse;
  return {{"log_likelihood", fit.log_likelihood},
          {"aic", 2 * k - 2 * fit.log_likelihood},
          {"bic", k * std::log(static_cast<double>(fit.observed)) - 2 * fit.log_likelihood},
          {"free_parameters", fit.free},
          {"diffuse_states", diffuse},
          {"observed", fit.observed},
          {"steps", fit.steps},
          {"evaluations", fit.evaluations},
          {"converged", fit.converged},
          {"ending", fit.ending},
          {"gradient", fit.gradient_norm},
          {"at_zero", fit.at_zero}};
}

}  // namespace covary::cli
