// covary optimize run SPACE --command './sim {x}' [-o STUDY]; ask STUDY, tell STUDY TABLE. A study is a folder with
// space.json, optimizer.json (what was asked and told) and evaluations.csv.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <optional>

#include "covary/cli/optimize_options.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/progress.h"
#include "covary/core/data/table.h"
#include "covary/stat/process/black_box.h"
#include "covary/stat/process/optimizer.h"
#include "covary/stat/process/optimizer_page.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using stat::Optimizer;
using Row = std::vector<double>;

constexpr int kFailuresInARow = 10;  // with no success before them: the command itself is broken

json read_space(const fs::path& file) {
  std::error_code ignored;
  if (!fs::is_regular_file(file, ignored))
    throw Error(ExitCode::kData, "is not there", file.string(),
                R"(write one: {"parameters": [{"name": "x", "bounds": [0, 1]}]})");
  try {
    return json::parse(read_file(file));
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no JSON: ") + e.what(), file.string(),
                "mend the line that it names");
  }
}

// What is wrong with a search space that comes from a file is wrong with the file.
Optimizer fresh(const json& space, const std::string& file, const stat::OptimizerOptions& options) {
  try {
    for (const auto& [key, value] : space.items())
      if (key != "parameters" && key != "objective" && key != "objectives" && key != "constraints")
        throw Error(ExitCode::kUsage, "has an unknown field \"" + key + "\"", "search space",
                    "fields: parameters, objective or objectives, constraints");
    return Optimizer(stat::SearchSpace::of_json(space), stat::OptimizerGoal::of_json(space),
                     options);
  } catch (const Error& e) {
    if (e.code() != ExitCode::kUsage || e.where() == "optimizer options") throw;
    throw Error(ExitCode::kData, e.message(), file + ": " + e.where(), e.hint());
  }
}

// The study's optimiser, with the options that were typed in place of its own.
Optimizer resumed(const fs::path& file, const Job& job, const stat::OptimizerOptions& typed) {
  data::Model model = data::read_model(file, "covary.optimizer", 1);
  stat::OptimizerOptions now = typed;
  const json all = OptionList(now).to_json();
  for (const auto& [key, value] : all.items())
    if (job.typed(key) && key != "seed" && model.fields["options"].is_object())
      model.fields["options"][key] = value;
  return Optimizer::of_model(model);
}

void save(const Optimizer& o, const fs::path& study) {
  o.save(study / "optimizer.json");
  write_file(study / "evaluations.csv", stat::evaluations_csv(o));
}

json document_of(const Optimizer& o) {
  const auto best = o.best();
  json j = {{"evaluations", o.evaluations().size()}, {"pending", json::array()}, {"best", nullptr}};
  int64_t failed = 0;
  for (const stat::Evaluation& e : o.evaluations()) failed += std::isnan(e.values[0]);
  j["failed"] = failed;
  for (const Row& row : o.pending()) j["pending"].push_back(json(stat::row_json(o.space(), row)));
  if (best) {
    j["best"] = {{"row", stat::row_json(o.space(), best->row)}};
    const std::vector<std::string> names = o.goal().names();
    for (size_t k = 0; k < names.size(); ++k) j["best"]["values"][names[k]] = best->values[k];
  }
  if (o.goal().several()) {
    j.erase("best");
    j["front"] = json::array();
    j["reference"] = o.reference();
    const std::vector<std::string> names = o.goal().names();
    for (const size_t i : o.front()) {
      json one = {{"row", stat::row_json(o.space(), o.evaluations()[i].row)}};
      for (size_t k = 0; k < names.size(); ++k)
        one["values"][names[k]] = o.evaluations()[i].values[k];
      j["front"].push_back(one);
    }
  }
  j["trace"] = json::array();
  for (const double v : o.trace()) j["trace"].push_back(std::isnan(v) ? json() : json(v));
  return j;
}

std::string summary(const Optimizer& o) {
  const auto best = o.best();
  std::string text = count_text(static_cast<int64_t>(o.evaluations().size())) + " evaluations";
  if (!o.pending().empty()) text += ", " + std::to_string(o.pending().size()) + " pending";
  if (o.goal().several() && best)
    return text + "; " + std::to_string(o.front().size()) + " rows on the front, hypervolume " +
           number_text("%.9g", o.trace().back()) + "\n";
  if (!best) return text + "; no row that holds every limit yet\n";
  text += "; best " + o.goal().names()[0] + " " + number_text("%.9g", best->values[0]) + " at\n";
  for (int64_t i = 0; i < o.space().size(); ++i)
    text += "  " + o.space().parameters()[static_cast<size_t>(i)].name + " = " +
            o.space().text_of(i, best->row[static_cast<size_t>(i)]) + "\n";
  return text;
}

// One evaluation after another through our own stdout and stdin.
std::vector<stat::BoxOutcome> by_lines(const Optimizer& o, const std::vector<Row>& rows) {
  std::vector<stat::BoxOutcome> out;
  for (const Row& row : rows) std::cout << stat::row_json(o.space(), row).dump() << "\n";
  std::cout.flush();
  for (size_t i = 0; i < rows.size(); ++i) {
    stat::BoxOutcome one;
    std::string line;
    if (!std::getline(std::cin, line) || interrupted())
      one.interrupted = true;
    else
      one.values = stat::outputs_of_line(line, o.goal());
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace

Result run_optimize_run(const Job& job) {
  const auto o = job.options<OptimizeRunOptions>();
  stat::OptimizerOptions options = o.optimizer;
  options.seed = job.common.seed;
  const bool built_in = !o.problem.empty();
  if (built_in == !job.invocation.inputs.empty())
    throw Error(ExitCode::kUsage, built_in ? "has its own search space" : "names no search space",
                built_in ? "--problem " + o.problem : "covary optimize run",
                built_in
                    ? "leave " + job.invocation.inputs[0] + " out"
                    : "covary optimize run space.json --command './sim {x}', or --problem branin");
  if (!built_in && o.command.empty())
    throw Error(ExitCode::kUsage, "does not say how a row is evaluated", "covary optimize run",
                "write --command './sim {x}', or use covary optimize ask and tell");
  const std::string output = one_output(job.invocation.outputs);
  const fs::path study = output, file = study / "optimizer.json";
  const bool keeps = !output.empty();

  std::optional<stat::TestProblem> problem;
  if (built_in) problem = stat::test_problem(o.problem);
  const std::string input = built_in ? "" : job.invocation.inputs[0];
  const json space = built_in ? json() : read_space(input);
  Optimizer optimizer = built_in
                            ? Optimizer(stat::space_of(*problem), stat::goal_of(*problem), options)
                            : fresh(space, input, options);
  std::optional<stat::CommandBox> box;
  if (!built_in && o.command != "-")
    box.emplace(o.command, optimizer.space(), optimizer.goal(), o.time_limit);
  if (keeps && !is_empty_or_absent(study) && !job.common.resume && !job.common.overwrite)
    throw Error(
        ExitCode::kData, "the folder is not empty", output,
        "add --resume to go on with its study, --overwrite to begin anew, or choose another");
  if (!job.common.plot.empty()) AtomicFile there(job.common.plot);
  if (job.common.resume) {
    if (!keeps)
      throw Error(ExitCode::kUsage, "needs the study's folder", "--resume", "name it: -o STUDY");
    if (fs::exists(file)) {
      Optimizer before = resumed(file, job, options);
      if (before.space().to_json() != optimizer.space().to_json() ||
          before.goal().to_json() != optimizer.goal().to_json())
        throw Error(
            ExitCode::kData, "has another search space than its study",
            built_in ? o.problem : input,
            "choose another folder, or the search space of " + (study / "space.json").string());
      optimizer = std::move(before);
    }
  }
  if (keeps) {
    make_folder(study);
    json document = optimizer.space().to_json();
    document.update(optimizer.goal().to_json());
    write_file(study / "space.json", document.dump(2) + "\n");
    save(optimizer, study);
  }

  const InterruptGuard guard;
  Progress progress("optimize", o.budget, "evaluations");
  int failures = 0;
  bool stopped = false;
  const auto done = [&] { return static_cast<int64_t>(optimizer.evaluations().size()); };
  while (done() < o.budget && !stopped) {
    // What was asked for before an interruption comes first.
    std::vector<Row> rows = optimizer.pending();
    rows.resize(std::min<size_t>(rows.size(), static_cast<size_t>(o.batch)));
    if (rows.empty()) rows = optimizer.ask(std::min(o.batch, o.budget - done()));
    if (keeps) save(optimizer, study);
    std::vector<stat::BoxOutcome> outcomes;
    if (built_in) {
      for (const Row& row : rows) outcomes.push_back({stat::outputs_of(*problem, row), "", false});
    } else {
      outcomes = box ? box->evaluate(rows) : by_lines(optimizer, rows);
    }
    for (size_t i = 0; i < rows.size(); ++i) {
      if (outcomes[i].interrupted) {
        stopped = true;
        continue;
      }
      optimizer.tell(rows[i], outcomes[i].values);
      if (outcomes[i].fault.empty()) {
        failures = -1;  // it has worked: later failures are the rows'
        continue;
      }
      log_warning("evaluation " + std::to_string(done()) + " failed: " + outcomes[i].fault);
      if (failures >= 0) ++failures;
    }
    if (keeps) save(optimizer, study);
    if (failures >= kFailuresInARow)
      throw Error(ExitCode::kFailed,
                  "the first " + std::to_string(failures) + " evaluations failed", o.command,
                  "try by hand: " + (box ? box->line(rows[0]) : o.command));
    const auto best = optimizer.best();
    progress.update(done(), {{"best", best ? best->values[0] : NAN}});
    stopped = stopped || interrupted() != 0;
  }
  progress.finish();
  if (!job.common.plot.empty())
    write_file(job.common.plot,
               stat::optimizer_page({.title = built_in ? problem->name : title_of(input),
                                     .optimizer = optimizer,
                                     .known = problem ? problem->optimum : std::nullopt}));
  if (interrupted()) {
    log_info(summary(optimizer) +
             (keeps ? "go on with --resume" : "nothing was kept: -o STUDY keeps it"));
    throw Interrupted{interrupted()};
  }
  Result r;
  r.document = document_of(optimizer);
  if (problem && problem->optimum && optimizer.best() && !optimizer.goal().several())
    r.document["regret"] = std::abs(optimizer.best()->values[0] - *problem->optimum);
  r.text = o.command == "-" ? "" : summary(optimizer);
  if (keeps) r.document["study"] = output;
  return r;
}

namespace {

// The optimiser of a study's folder; made from its space.json at first.
Optimizer of_study(const Job& job, const stat::OptimizerOptions& options) {
  const fs::path study = job.invocation.inputs[0];
  if (!fs::is_directory(study))
    throw Error(
        ExitCode::kData, "is no folder", study.string(),
        "make one with a space.json: {\"parameters\": [{\"name\": \"x\", \"bounds\": [0, 1]}]}");
  const fs::path file = study / "optimizer.json";
  if (fs::exists(file)) return resumed(file, job, options);
  return fresh(read_space(study / "space.json"), (study / "space.json").string(), options);
}

// A table's rows told one by one.
void tell_table(Optimizer* o, const std::string& input) {
  const data::Table table = data::read_table(input);
  const std::vector<std::string> names = o->goal().names();
  std::vector<int64_t> rows_at, values_at;
  for (const stat::SearchParameter& p : o->space().parameters())
    rows_at.push_back(table.column(p.name));
  for (const std::string& name : names) values_at.push_back(table.column(name));
  // All or nothing: a fault in the last line must not leave half of the table told.
  Optimizer told = *o;
  for (int64_t i = 0; i < table.rows; ++i) {
    const std::string where = input + ": row " + std::to_string(i + 1);
    Row row, values;
    for (int64_t k = 0; k < o->space().size(); ++k) {
      const auto column = static_cast<size_t>(rows_at[static_cast<size_t>(k)]);
      const double v = table.at(i, static_cast<int64_t>(column));
      const bool category = o->space().parameters()[static_cast<size_t>(k)].kind ==
                            stat::SearchParameter::Kind::kCategorical;
      if (!category) {
        row.push_back(v);
        continue;
      }
      std::string word =
          (std::abs(v) < 1e15 && v == std::floor(v) ? json(static_cast<int64_t>(v)) : json(v))
              .dump();
      if (!table.words[column].empty() && !std::isnan(v))
        word = table.words[column][static_cast<size_t>(v)];
      row.push_back(o->space().value_of(k, word, where));
    }
    for (const int64_t k : values_at) values.push_back(table.at(i, k));
    told.tell(row, values, where);
  }
  *o = std::move(told);
}

// JSON lines from stdin, one evaluation each; every one is kept before the next is read, and answered by the best.
void tell_lines(Optimizer* o, const fs::path& study, bool quiet) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string where = "standard input: line " + std::to_string(number);
    const json j = json::parse(line, nullptr, false);
    if (!j.is_object())
      throw Error(ExitCode::kData, "is no JSON object", where,
                  "as in {\"x\": 0.3, \"" + o->goal().names()[0] + "\": 1.7}");
    Row row;
    for (int64_t k = 0; k < o->space().size(); ++k) {
      const std::string& name = o->space().parameters()[static_cast<size_t>(k)].name;
      if (!j.contains(name))
        throw Error(ExitCode::kData, "does not hold " + name, where, "name every parameter");
      row.push_back(o->space().value_of(
          k, j[name].is_string() ? j[name].get<std::string>() : j[name].dump(), where));
    }
    o->tell(row, stat::outputs_of_line(line, o->goal()), where);
    save(*o, study);
    const auto best = o->best();
    if (quiet) continue;
    json answer = {{"evaluations", o->evaluations().size()},
                   {"best", best ? json(best->values[0]) : json()}};
    std::cout << answer.dump() << std::endl;
  }
}

}  // namespace

Result run_optimize_ask(const Job& job) {
  const auto o = job.options<OptimizeAskOptions>();
  stat::OptimizerOptions options = o.optimizer;
  options.seed = job.common.seed;
  const std::string output = one_output(job.invocation.outputs);
  if (!output.empty() && output != "-") AtomicFile there(output);
  Optimizer optimizer = of_study(job, options);
  const std::vector<Row> rows = optimizer.ask(o.rows);
  save(optimizer, job.invocation.inputs[0]);
  Result r;
  r.document = {{"rows", json::array()}, {"by", optimizer.report().by}};
  for (const Row& row : rows)
    r.document["rows"].push_back(json(stat::row_json(optimizer.space(), row)));
  const std::string csv = stat::rows_csv(optimizer.space(), rows);
  if (output.empty() || output == "-")
    r.text = csv;
  else
    write_file(output, csv);
  return r;
}

Result run_optimize_tell(const Job& job) {
  const fs::path study = job.invocation.inputs[0];
  const std::string& input = job.invocation.inputs[1];
  stat::OptimizerOptions options;
  options.seed = job.common.seed;
  if (!job.common.plot.empty()) AtomicFile there(job.common.plot);
  Optimizer optimizer = of_study(job, options);
  if (input == "-")
    tell_lines(&optimizer, study, job.invocation.json);
  else
    tell_table(&optimizer, input);
  save(optimizer, study);
  if (!job.common.plot.empty())
    write_file(job.common.plot,
               stat::optimizer_page({.title = title_of(study.string()), .optimizer = optimizer}));
  Result r;
  r.document = document_of(optimizer);
  r.text = input == "-" ? "" : summary(optimizer);
  return r;
}

}  // namespace covary::cli
