#include "covary/cli/verbs/gp_outputs.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/cli/verbs/gp_parts.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/data/model.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/output_regression.h"
#include "covary/stat/process/scores.h"

namespace covary::cli {
namespace {

using nlohmann::json;
using stat::MultiOutputPrediction;
using stat::OutputRegression;
using Names = std::vector<std::string>;

constexpr const char* kSchema = "covary.outputs";

struct Fitted {
  OutputRegression process;
  Names columns, targets;
};

Names split(const std::string& list) {
  Names names;
  for (size_t at = 0; at <= list.size();) {
    const size_t end = std::min(list.find(',', at), list.size());
    names.push_back(list.substr(at, end - at));
    at = end + 1;
  }
  return names;
}

std::string joined(const Names& names, const std::string& between = ", ") {
  std::string s;
  for (size_t k = 0; k < names.size(); ++k) s += (k > 0 ? between : "") + names[k];
  return s;
}

data::Model file_of(const Fitted& f) {
  data::Model file = f.process.model();
  file.fields["columns"] = f.columns;
  file.fields["targets"] = f.targets;
  return file;
}

struct Rows {
  Names names;   // of x's columns
  at::Tensor x;  // [n,d]
  at::Tensor y;  // [n,m], or undefined without targets
};

// known: the model's columns. Without a choice all columns but the targets explain.
Rows read_rows(const std::string& input, Names columns, const Names& targets,
               const Names& known = {}) {
  const data::Table table = read_input(input);
  const auto has = [&](const std::string& name) {
    return std::find(table.names.begin(), table.names.end(), name) != table.names.end();
  };
  const bool by_name = !known.empty() && std::all_of(known.begin(), known.end(), has);
  if (columns.empty() && by_name) columns = known;
  if (columns.empty()) {
    for (const std::string& name : table.names)
      if (std::find(targets.begin(), targets.end(), name) == targets.end()) columns.push_back(name);
    if (!known.empty() && columns.size() != known.size()) {
      const auto absent = std::find_if_not(known.begin(), known.end(), has);
      throw Error(ExitCode::kData, "there is no column '" + *absent + "' of the model", input,
                  "name the columns that take their place: --columns a,b");
    }
    if (columns.empty()) throw Error(ExitCode::kData, "no columns are left", input);
  }
  Rows rows;
  std::vector<at::Tensor> y;
  for (const std::string& target : targets) {
    const Samples s =
        samples_of(table, {.columns = columns, .target = target, .weights = {}}, input);
    y.push_back(s.y);
    rows.x = s.x;
    rows.names = s.names;
  }
  if (!y.empty()) {
    rows.y = at::stack(y, 1);
  } else {
    const Samples s = samples_of(table, {.columns = columns, .target = {}, .weights = {}}, input);
    rows.x = s.x;
    rows.names = s.names;
  }
  return rows;
}

Names targets_of(const std::string& list, const std::string& flag = "--target") {
  const Names names = split(list);
  for (size_t k = 0; k < names.size(); ++k) {
    if (names[k].empty())
      throw Error(ExitCode::kUsage, "names an output without a name", flag + " " + list,
                  "write --target a,b");
    if (std::find(names.begin(), names.begin() + static_cast<int64_t>(k), names[k]) !=
        names.begin() + static_cast<int64_t>(k))
      throw Error(ExitCode::kUsage, "names '" + names[k] + "' twice", flag + " " + list,
                  "name each output once");
  }
  return names;
}

struct Plan {
  Rows rows;
  Names targets;
  stat::OutputForm form;
  stat::RegressionOptions process;
  int64_t values = 0;
  double bytes = 0;
  std::string text() const {
    return count_text(rows.x.size(0)) + " rows, " + count_text(values) + " values of " +
           std::to_string(targets.size()) + " outputs: " + form.text() + ", about " +
           bytes_text(bytes);
  }
};

Plan plan(const Job& job, const GpFitOptions& o) {
  if (o.target.empty())
    throw Error(ExitCode::kUsage, "does not say which columns are explained", "covary gp",
                "write --target a,b");
  Plan p;
  p.targets = targets_of(o.target);
  p.form = stat::OutputForm::parse(o.outputs.empty() ? "icm:1" : o.outputs);
  for (const char* name : {"noise", "weights", "standard_errors"})
    if (job.typed(name))
      throw Error(ExitCode::kUsage, "is for one output", flag_of(name),
                  "fit the outputs one by one");
  if (o.process.inference != "point")
    throw Error(ExitCode::kUsage, "is for one output", "--inference " + o.process.inference,
                "fit the outputs one by one");
  if (!p.form.independent)
    for (const char* name : {"priors", "restarts", "inducing", "batch"})
      if (job.typed(name))
        throw Error(ExitCode::kUsage, "is not for outputs that are fitted together",
                    std::string("--") + name, "leave it out, or write --outputs independent");
  p.rows = read_rows(job.invocation.inputs[0], o.columns, p.targets);
  p.process = o.process;
  p.process.seed = job.common.seed;
  if (job.common.max_memory > 0) p.process.memory_limit = job.common.max_memory;
  const auto n = static_cast<double>(p.rows.x.size(0)), m = static_cast<double>(p.targets.size());
  p.values = at::logical_not(at::isnan(p.rows.y)).sum().item<int64_t>();
  const auto all = static_cast<double>(p.values);
  const bool kronecker = p.form.latent == 1 && all == n * m;
  // The kernel of the rows, its vectors, a gradient's weights; or factor, inverse and weights.
  p.bytes = p.form.independent ? 16 * n * n : kronecker ? 40 * n * n : 40 * all * all;
  if (job.common.max_memory > 0 && p.bytes > static_cast<double>(job.common.max_memory))
    throw Error(ExitCode::kFailed, "the fit would need about " + bytes_text(p.bytes),
                "--max-memory " + bytes_text(static_cast<double>(job.common.max_memory)),
                "write --outputs independent");
  return p;
}

// output: where the model goes, "" when it goes nowhere.
Fitted fitted(Plan p, const Job& job, const std::string& output) {
  log_info(p.text());
  FitProgress progress;
  p.process.watch = progress.watch();
  Fitted f = in_file(job.invocation.inputs[0], [&] {
    return Fitted{OutputRegression(p.rows.x, p.rows.y, p.form, p.process), p.rows.names, p.targets};
  });
  progress.finish();
  if (!output.empty()) data::write_model(output, file_of(f));
  leave_if_interrupted(progress, left_in(progress, output));
  return f;
}

Fitted load_model(const std::string& path) {
  const data::Model file = data::read_model(path, kSchema, 1);
  Fitted f{OutputRegression::of_model(file), file.texts("columns"), file.texts("targets")};
  if (static_cast<int64_t>(f.columns.size()) != f.process.x().size(1))
    file.refuse("columns", "are not as many as X has");
  if (static_cast<int64_t>(f.targets.size()) != f.process.y().size(1))
    file.refuse("targets", "are not as many as y has");
  return f;
}

Fitted load(const Job& job, const GpFitOptions& o) {
  const std::string& input = job.invocation.inputs[0];
  if (!names_model(input)) return fitted(plan(job, o), job, "");
  refuse_fit_options(job);
  return load_model(input);
}

json document_of(const Fitted& f) {
  json j = f.process.to_json(f.targets);
  j["columns"] = f.columns;
  return j;
}

std::string text_of(const Fitted& f) {
  return joined(f.targets) + " by " + joined(f.columns) + "\n" + f.process.text(f.targets);
}

at::Tensor column(const at::Tensor& t, size_t k) {
  return t.select(1, static_cast<int64_t>(k)).contiguous();
}

json scores_json(const Fitted& f, const MultiOutputPrediction& p, const at::Tensor& y,
                 std::string* text, const std::string& what) {
  json scores = json::object();
  for (size_t k = 0; k < f.targets.size(); ++k) {
    const stat::PredictiveScores s =
        stat::predictive_scores(column(p.mean, k), column(p.variance, k), column(y, k));
    scores[f.targets[k]] = s.to_json();
    if (text) *text += scores_text(f.targets[k] + ", " + what, s);
  }
  return scores;
}

void write_report(const Job& job, const Fitted& f, const json& of_table = {}) {
  if (job.common.report.empty()) return;
  json report = document_of(f);
  report["leave_one_out"] = scores_json(f, f.process.leave_one_out(), f.process.y(), nullptr, "");
  if (!of_table.is_null()) report["table"] = of_table;
  write_file(job.common.report, report.dump(2) + "\n");
  log_info("wrote " + job.common.report);
}

void refuse_page(const Job& job) {
  if (!job.common.plot.empty())
    throw Error(ExitCode::kUsage, "there is no page of several outputs in this version",
                "--plot " + job.common.plot, "leave it out; --report FILE.json has the figures");
}

std::vector<double> numbers(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

}  // namespace

bool is_model_of_outputs(const std::string& input) {
  return names_model(input) && data::is_model(input) &&
         data::read_model(input, "", 1).schema == kSchema;
}

bool has_outputs(const Job& job, const GpFitOptions& o) {
  if (names_model(job.invocation.inputs[0])) return is_model_of_outputs(job.invocation.inputs[0]);
  return !o.outputs.empty() || o.target.find(',') != std::string::npos;
}

Result fit_outputs(const Job& job, const GpFitOptions& o) {
  const std::string output = model_name(job.invocation.outputs);
  refuse_page(job);
  const Plan p = plan(job, o);
  Result r;
  if (job.common.dry_run) {
    r.document = {{"inputs", job.invocation.inputs}, {"options", recorded_options(job.invocation)},
                  {"columns", p.rows.names},         {"targets", p.targets},
                  {"rows", p.rows.x.size(0)},        {"values", p.values},
                  {"outputs", p.form.text()},        {"bytes", p.bytes}};
    r.text = (job.invocation.json ? "" : r.document["options"].dump(2) + "\n") + p.text() +
             "\nnothing was written\n";
    return r;
  }
  probe(job, output);
  const Fitted f = fitted(p, job, output);
  write_report(job, f);
  r.document = document_of(f);
  r.text = text_of(f);
  if (!output.empty()) {
    r.document["model"] = output;
    r.text += "model           " + output + "\n";
  }
  return r;
}

Result predict_outputs(const Job& job, const GpPredictOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  refuse_page(job);
  probe(job, output);
  const Fitted f = load(job, o);
  const std::string& input = job.invocation.inputs[1];
  const Rows rows = read_rows(input, o.columns, {}, f.columns);
  const MultiOutputPrediction p =
      in_file(input, [&] { return f.process.predict(rows.x, o.with_noise); });
  Names names;
  std::vector<at::Tensor> columns;
  for (size_t k = 0; k < f.targets.size(); ++k) {
    const at::Tensor mean = column(p.mean, k), sd = column(p.variance, k).sqrt();
    names.push_back("mean_" + f.targets[k]);
    columns.push_back(mean);
    names.push_back("sd_" + f.targets[k]);
    columns.push_back(sd);
    for (const double q : o.quantiles) {
      names.push_back("q" + number_text("%.12g", q) + "_" + f.targets[k]);
      columns.push_back(mean + numeric::normal_quantile(q) * sd);
    }
  }
  Result r;
  r.text = write_table(output, table_of(names, columns));
  r.document = {{"rows", rows.x.size(0)},
                {"targets", f.targets},
                {"outputs", f.process.form().text()},
                {"of", o.with_noise ? "new values" : "the function"}};
  for (size_t k = 0; k < names.size(); ++k) r.document[names[k]] = numbers(columns[k]);
  return r;
}

Result update_outputs(const Job& job, const GpUpdateOptions& o) {
  const std::string& model = job.invocation.inputs[0];
  std::string output = model_name(job.invocation.outputs);
  if (output.empty()) output = model;
  if (!o.noise.empty() || !o.weights.empty())
    throw Error(ExitCode::kUsage, "is for one output",
                o.noise.empty() ? "--weights " + o.weights : "--noise " + o.noise, "leave it out");
  Fitted f = load_model(model);
  const std::string& input = job.invocation.inputs[1];
  const Names targets = o.target.empty() ? f.targets : targets_of(o.target);
  if (targets.size() != f.targets.size())
    throw Error(ExitCode::kUsage,
                "names " + std::to_string(targets.size()) + " outputs, the model has " +
                    std::to_string(f.targets.size()),
                "--target " + o.target, "write --target " + joined(f.targets, ","));
  const int64_t before = f.process.x().size(0);
  const Rows rows = read_rows(input, o.columns, targets, f.columns);
  in_file(input, [&] { f.process.update(rows.x, rows.y, o.refit); });
  data::write_model(output, file_of(f));
  Result r;
  r.document = document_of(f);
  r.document["model"] = output;
  r.text = count_text(before) + " rows and " + count_text(rows.x.size(0)) + " more" +
           (o.refit ? ", fitted again\n" : ", parameters as they were\n") + text_of(f) +
           "model           " + output + "\n";
  return r;
}

Result sample_outputs(const Job& job, const GpSampleOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  refuse_page(job);
  probe(job, output);
  const Fitted f = load(job, o);
  const std::string& input = job.invocation.inputs[1];
  const Rows rows = read_rows(input, o.columns, {}, f.columns);
  const at::Tensor draws = in_file(input, [&] {
    return f.process.sample(rows.x, o.samples, static_cast<uint64_t>(job.common.seed));
  });
  Names names;
  std::vector<at::Tensor> columns;
  for (int64_t d = 0; d < o.samples; ++d) {
    for (size_t k = 0; k < f.targets.size(); ++k) {
      names.push_back("draw" + std::to_string(d) + "_" + f.targets[k]);
      columns.push_back(column(draws[d], k));
    }
  }
  Result r;
  r.document = {{"rows", rows.x.size(0)}, {"draws", o.samples}, {"targets", f.targets}};
  r.text = write_table(output, table_of(names, columns));
  return r;
}

Result score_outputs(const Job& job, const GpFitOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  refuse_page(job);
  probe(job, output);
  const Fitted f = load(job, o);
  const bool table = job.invocation.inputs.size() > 1;
  const std::string& input = job.invocation.inputs.back();
  const auto [p, y] = in_file(input, [&]() -> std::pair<MultiOutputPrediction, at::Tensor> {
    if (!table) return {f.process.leave_one_out(), f.process.y()};
    const Rows rows = read_rows(input, o.columns, f.targets, f.columns);
    return {f.process.predict(rows.x, true), rows.y};
  });
  Result r;
  const json scores = in_file(input, [&, &p = p, &y = y] {
    return scores_json(f, p, y, &r.text, table ? "on " + input : "each value left out in turn");
  });
  r.document = {
      {"targets", f.targets}, {"of", table ? "table" : "leave-one-out"}, {"scores", scores}};
  if (!output.empty()) {
    Names names;
    std::vector<at::Tensor> columns;
    for (size_t k = 0; k < f.targets.size(); ++k) {
      const at::Tensor mean = column(p.mean, k), variance = column(p.variance, k);
      names.insert(names.end(),
                   {"log_density_" + f.targets[k], "mean_" + f.targets[k], "sd_" + f.targets[k]});
      columns.push_back(-0.5 *
                        ((2 * M_PI * variance).log() + (column(y, k) - mean).square() / variance));
      columns.push_back(mean);
      columns.push_back(variance.sqrt());
    }
    const std::string csv = write_table(output, table_of(names, columns));
    if (output == "-") r.text = csv;
  }
  write_report(job, f, table ? scores : json());
  return r;
}

Result inspect_outputs(const Job& job, const GpFitOptions& o) {
  if (!job.invocation.outputs.empty())
    throw Error(ExitCode::kUsage, "inspect writes no output", "-o " + job.invocation.outputs[0],
                "for files of it: --json=FILE, --report FILE.json");
  refuse_page(job);
  probe(job, "");
  const Fitted f = load(job, o);
  write_report(job, f);
  Result r;
  r.document = document_of(f);
  r.text = text_of(f);
  return r;
}

}  // namespace covary::cli
