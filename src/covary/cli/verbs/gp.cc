// covary gp fit TABLE, predict MODEL X, update MODEL NEW, sample MODEL X, score MODEL [TABLE],
// inspect MODEL. Where a MODEL stands, a table with --target is fitted first, in memory.
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <optional>
#include <tuple>
#include <utility>

#include <ATen/ATen.h>

#include "covary/cli/gp_options.h"
#include "covary/cli/verbs/gp_outputs.h"
#include "covary/cli/verbs/gp_parts.h"
#include "covary/cli/verbs/gp_rows.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/data/model.h"
#include "covary/stat/process/process_page.h"
#include "covary/stat/process/regression.h"
#include "covary/stat/process/scores.h"

namespace covary::cli {
namespace {

using nlohmann::json;
using stat::PredictiveScores;
using stat::Regression;

struct Fitted {
  Regression process;
  std::vector<std::string> columns;
  std::string target, noise, weights;
};

// The table of a fit, and how it would be fitted; the memory limit holds.
struct Plan {
  Samples table;
  stat::RegressionOptions process;
  stat::MethodChoice choice;
  std::string text() const {
    return count_text(table.x.size(0)) + " rows: method " + choice.method + ", about " +
           number_text("%.2g s, ", choice.seconds) + bytes_text(choice.bytes) + "; " + choice.why;
  }
};

Plan plan(const GpFitOptions& o, const Job& job) {
  if (o.target.empty())
    throw Error(ExitCode::kUsage, "does not say which column is explained", "covary gp",
                "write --target NAME");
  Plan p;
  p.table = read_samples(
      job.invocation.inputs[0],
      {.columns = o.columns, .target = o.target, .weights = o.weights, .noise = o.noise});
  p.process = o.process;
  p.process.seed = job.common.seed;
  if (job.common.max_memory > 0) p.process.memory_limit = job.common.max_memory;
  p.choice = choose_method(p.process, p.table.x.size(0), p.table.x.size(1), p.table.noise.defined(),
                           p.table.weights.defined(), p.table.x);
  if (job.common.max_memory > 0 && p.choice.bytes > static_cast<double>(job.common.max_memory))
    throw Error(ExitCode::kFailed,
                "the method " + p.choice.method + " would need about " + bytes_text(p.choice.bytes),
                "--max-memory " + bytes_text(static_cast<double>(job.common.max_memory)),
                p.choice.method == "exact"                               ? "write --method sgpr"
                : p.choice.method == "sgpr" || p.choice.method == "svgp" ? "write --inducing 100"
                                                                         : "write --method svgp");
  return p;
}

data::Model file_of(const Fitted& f) {
  data::Model file = f.process.model();
  file.fields["columns"] = f.columns;
  file.fields["target"] = f.target;
  file.fields["noise_column"] = f.noise;
  file.fields["weight_column"] = f.weights;
  return file;
}

stat::RowNoise noise_of(const Samples& s) { return {s.noise, s.weights}; }

void say_weightless(const stat::RowNoise& noise, const std::string& input) {
  if (const int64_t n = noise.weightless(); n > 0)
    log_info(input + ": " + count_text(n) + (n == 1 ? " row" : " rows") + " of weight 0 left out");
}

// output: where the model goes, "" when it goes nowhere.
Fitted fit(const GpFitOptions& o, const Job& job, const std::string& output) {
  Plan p = plan(o, job);
  const std::string& input = job.invocation.inputs[0];
  log_info(p.text());
  say_weightless(noise_of(p.table), input);
  FitProgress progress;
  p.process.watch = progress.watch();
  p.process.sampling.watch = progress.sampling();
  Fitted f = in_file(input, [&] {
    return Fitted{Regression(p.table.x, p.table.y, p.process, noise_of(p.table)), p.table.names,
                  o.target, o.noise, o.weights};
  });
  progress.finish();
  if (!output.empty()) data::write_model(output, file_of(f));
  leave_if_interrupted(progress, left_in(progress, output));
  return f;
}

// --dry-run: what the fit would be.
Result planned(const GpFitOptions& o, const Job& job) {
  const Plan p = plan(o, job);
  Result r;
  r.document = {{"inputs", job.invocation.inputs}, {"options", recorded_options(job.invocation)},
                {"columns", p.table.names},        {"rows", p.table.x.size(0)},
                {"method", p.choice.method},       {"why", p.choice.why},
                {"seconds", p.choice.seconds},     {"bytes", p.choice.bytes}};
  r.text = (job.invocation.json ? "" : r.document["options"].dump(2) + "\n") + p.text() +
           "\nnothing was written\n";
  return r;
}

Fitted load_model(const std::string& path) {
  const data::Model file = data::read_model(path, "covary.process", 1);
  Fitted f{Regression::of_model(file), file.texts("columns"), file.text("target"),
           file.text("noise_column"),
           file.fields.contains("weight_column") ? file.text("weight_column") : ""};
  if (static_cast<int64_t>(f.columns.size()) != f.process.x().size(1))
    file.refuse("columns", "are not as many as X has");
  return f;
}

// A model file, or a table that is fitted first. A model is what it is: options of a fit beside it
// are refused.
Fitted load(const GpFitOptions& o, const Job& job) {
  const std::string& input = job.invocation.inputs[0];
  if (!names_model(input)) {
    if (!is_table_there(input))
      throw Error(ExitCode::kData, "is not there", input,
                  "name a model, or a table with --target NAME");
    return fit(o, job, "");
  }
  refuse_fit_options(job);
  return load_model(input);
}

// Rows for a process: its columns by name, with target and noise where they are asked for.
Samples rows_for(const Fitted& f, const std::string& input, const std::vector<std::string>& columns,
                 const std::string& target, const std::string& noise = "",
                 const std::string& weights = "") {
  return read_samples(
      input, {.columns = columns, .target = target, .weights = weights, .noise = noise}, f.columns);
}

// What values are predicted to be: by moments, or a mixture where the parameters are draws.
struct Predicted {
  at::Tensor mean, variance;
  std::optional<stat::PredictiveMixture> mixture;
  explicit Predicted(stat::PredictiveMixture m) : mixture(std::move(m)) {
    std::tie(mean, variance) = mixture->moments();
  }
  explicit Predicted(std::pair<at::Tensor, at::Tensor> moments)
      : mean(moments.first), variance(moments.second) {}
};

// A table that a model is scored on. Where the model's rows had noise of their own, so have these if
// the table knows; values behind a likelihood are scored one by one.
struct Held {
  Samples rows;
  Predicted predicted;
};
Held held_out(const Fitted& f, const std::string& input, const GpFitOptions& o) {
  const data::Table table = read_input(input);
  const auto known = [&](const std::string& column, const char* what) {
    if (column.empty() || f.process.likelihood() != nullptr) return std::string();
    if (std::find(table.names.begin(), table.names.end(), column) != table.names.end())
      return column;
    log_info(input + " has no column '" + column + "': every row is scored with " + what);
    return std::string();
  };
  const Samples rows = samples_of(table,
                                  {.columns = o.columns,
                                   .target = o.target.empty() ? f.target : o.target,
                                   .weights = known(f.weights, "weight 1"),
                                   .noise = known(f.noise, "the common noise alone")},
                                  input, f.columns);
  return in_file(input, [&]() -> Held {
    const stat::RowNoise noise = noise_of(rows);
    if (f.process.posterior() && noise.defined())
      return {rows, Predicted(f.process.mixture(rows.x, noise))};
    if (f.process.posterior()) return {rows, Predicted(f.process.mixture(rows.x, true))};
    if (noise.defined()) return {rows, Predicted(f.process.predict_rows(rows.x, noise))};
    return {rows, Predicted(f.process.predict(rows.x, f.process.likelihood() == nullptr))};
  });
}

Predicted left_out_of(const Fitted& f) {
  if (f.process.posterior()) return Predicted(f.process.mixture_left_out());
  return Predicted(f.process.leave_one_out());
}

json document_of(const Fitted& f) {
  json j = f.process.report().to_json();
  j["target"] = f.target;
  j["columns"] = f.columns;
  return j;
}

PredictiveScores scores_of(const Fitted& f, const Predicted& p, const at::Tensor& y) {
  const stat::Likelihood* l = f.process.likelihood();
  return p.mixture ? stat::predictive_scores(*p.mixture, y)
         : l       ? stat::predictive_scores(*l, p.mean, p.variance, y)
                   : stat::predictive_scores(p.mean, p.variance, y);
}

at::Tensor log_densities_of(const Fitted& f, const Predicted& p, const at::Tensor& y) {
  const stat::Likelihood* l = f.process.likelihood();
  return p.mixture ? p.mixture->log_density(y)
         : l       ? stat::log_densities(*l, p.mean, p.variance, y)
                   : -0.5 * ((2 * M_PI * p.variance).log() + (y - p.mean).square() / p.variance);
}

// --report and --plot; scores of a table beside those of leaving out, where there are some.
void write_extras(const Job& job, const Fitted& f, const json& of_table = {}) {
  if (!job.common.report.empty()) {
    json report = document_of(f);
    report["leave_one_out"] = scores_of(f, left_out_of(f), f.process.y()).to_json();
    if (!of_table.is_null()) report["table"] = of_table;
    write_file(job.common.report, report.dump(2) + "\n");
    log_info("wrote " + job.common.report);
  }
  if (!job.common.plot.empty()) {
    write_file(job.common.plot,
               stat::regression_page({.title = title_of(job.invocation.inputs[0]),
                                      .process = f.process,
                                      .names = f.columns,
                                      .target = f.target,
                                      .seed = static_cast<uint64_t>(job.common.seed)}));
    log_info("wrote " + job.common.plot);
  }
}

}  // namespace

Result run_gp_fit(const Job& job) {
  const auto o = job.options<GpFitOptions>();
  if (has_rows(job, o)) return fit_rows(job, o);
  if (has_outputs(job, o)) return fit_outputs(job, o);
  const std::string output = model_name(job.invocation.outputs);
  if (job.common.dry_run) return planned(o, job);
  probe(job, output);
  const Fitted f = fit(o, job, output);
  write_extras(job, f);
  Result r;
  r.document = document_of(f);
  r.text = f.target + " by " + std::to_string(f.columns.size()) +
           (f.columns.size() == 1 ? " column\n" : " columns\n") + f.process.report().text();
  if (!output.empty()) {
    r.document["model"] = output;
    r.text += "model           " + output + "\n";
  }
  return r;
}

Result run_gp_predict(const Job& job) {
  const auto o = job.options<GpPredictOptions>();
  if (has_rows(job, o)) return predict_rows(job, o);
  if (has_outputs(job, o)) return predict_outputs(job, o);
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  const Fitted f = load(o, job);
  const std::string& input = job.invocation.inputs[1];
  const Samples s = rows_for(f, input, o.columns, "");
  // Labels and counts: the probability or rate and its band; --no-with-noise: the function behind.
  const stat::ValuePrediction v =
      in_file(input, [&] { return f.process.predict_values(s.x, o.quantiles, o.with_noise); });
  std::vector<std::string> names = {"mean", "sd"};
  std::vector<at::Tensor> columns = {v.mean, v.sd};
  for (size_t k = 0; k < o.quantiles.size(); ++k) {
    names.push_back("q" + number_text("%.12g", o.quantiles[k]));
    columns.push_back(v.quantiles[k]);
  }
  const stat::Likelihood* l = f.process.likelihood();
  Result r;
  r.text = write_table(output, table_of(names, columns));
  r.document = {{"rows", s.x.size(0)},
                {"target", f.target},
                {"method", f.process.report().choice.method},
                {"of", !o.with_noise      ? "the function"
                       : l && l->binary() ? "probabilities"
                       : l && l->counts() ? "rates"
                                          : "new values"}};
  for (size_t k = 0; k < names.size(); ++k)
    r.document[names[k]] =
        std::vector<double>(columns[k].const_data_ptr<double>(),
                            columns[k].const_data_ptr<double>() + columns[k].numel());
  return r;
}

Result run_gp_update(const Job& job) {
  const auto o = job.options<GpUpdateOptions>();
  if (is_model_of_rows(job.invocation.inputs[0])) return update_rows(job, o);
  if (is_model_of_outputs(job.invocation.inputs[0])) return update_outputs(job, o);
  const std::string& model = job.invocation.inputs[0];
  std::string output = model_name(job.invocation.outputs);
  if (output.empty()) output = model;
  Fitted f = load_model(model);
  const std::string& input = job.invocation.inputs[1];
  const std::string target = o.target.empty() ? f.target : o.target;
  const std::string noise = o.noise.empty() ? f.noise : o.noise;
  const std::string weights = o.weights.empty() ? f.weights : o.weights;
  const int64_t before = f.process.x().size(0);
  const Samples s = rows_for(f, input, o.columns, target, noise, weights);
  say_weightless(noise_of(s), input);
  FitProgress progress;
  in_file(input, [&] {
    f.process.update(s.x, s.y, noise_of(s), o.refit, progress.watch(), progress.sampling());
  });
  progress.finish();
  leave_if_interrupted(progress, output + " stays as it was");
  data::write_model(output, file_of(f));
  Result r;
  r.document = document_of(f);
  r.document["model"] = output;
  r.text =
      count_text(before) + " rows and " + count_text(s.x.size(0)) + " more" +
      (o.refit                 ? ", fitted again\n"
       : f.process.posterior() ? ", draws of the parameters as they were: --refit draws again\n"
                               : ", parameters as they were\n") +
      f.process.report().text() + "model           " + output + "\n";
  return r;
}

Result run_gp_sample(const Job& job) {
  const auto o = job.options<GpSampleOptions>();
  if (has_rows(job, o)) return sample_rows(job, o);
  if (has_outputs(job, o)) return sample_outputs(job, o);
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  const Fitted f = load(o, job);
  const std::string& input = job.invocation.inputs[1];
  const Samples s = rows_for(f, input, o.columns, "");
  const at::Tensor draws = in_file(input, [&] {
    return f.process.sample(s.x, o.samples, static_cast<uint64_t>(job.common.seed));
  });
  std::vector<std::string> names;
  for (int64_t k = 0; k < o.samples; ++k) names.push_back("draw" + std::to_string(k));
  Result r;
  r.document = {{"rows", s.x.size(0)}, {"draws", o.samples}, {"target", f.target}};
  r.text = write_table(output, table_of(names, {draws.t().contiguous()}));
  return r;
}

Result run_gp_score(const Job& job) {
  const auto o = job.options<GpFitOptions>();
  if (has_rows(job, o)) return score_rows(job, o);
  if (has_outputs(job, o)) return score_outputs(job, o);
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  const Fitted f = load(o, job);
  const bool table = job.invocation.inputs.size() > 1;
  std::optional<Held> held;
  if (table) held = held_out(f, job.invocation.inputs[1], o);
  const Predicted p = held ? held->predicted : left_out_of(f);
  const at::Tensor y = held ? held->rows.y : f.process.y();
  const PredictiveScores scores =
      in_file(job.invocation.inputs.back(), [&] { return scores_of(f, p, y); });
  Result r;
  r.document = {{"target", f.target},
                {"of", table ? "table" : "leave-one-out"},
                {"scores", scores.to_json()}};
  r.text =
      scores_text(table ? "on " + job.invocation.inputs[1] : "each row left out in turn", scores);
  if (!output.empty()) {
    const std::string of = f.process.likelihood() ? "function_" : "";
    const std::string csv =
        write_table(output, table_of({"log_density", of + "mean", of + "sd"},
                                     {log_densities_of(f, p, y), p.mean, p.variance.sqrt()}));
    if (output == "-") r.text = csv;
  }
  write_extras(job, f, table ? scores.to_json() : json());
  return r;
}

Result run_gp_inspect(const Job& job) {
  const auto o = job.options<GpFitOptions>();
  if (has_rows(job, o)) return inspect_rows(job, o);
  if (has_outputs(job, o)) return inspect_outputs(job, o);
  if (!job.invocation.outputs.empty())
    throw Error(ExitCode::kUsage, "inspect writes no output", "-o " + job.invocation.outputs[0],
                "for files of it: --json=FILE, --report FILE.json, --plot FILE.html");
  probe(job, "");
  const Fitted f = load(o, job);
  write_extras(job, f);
  Result r;
  r.document = document_of(f);
  r.text = f.target + " by ";
  for (size_t k = 0; k < f.columns.size(); ++k) r.text += (k ? ", " : "") + f.columns[k];
  r.text += "\n" + f.process.report().text();
  return r;
}

}  // namespace covary::cli
