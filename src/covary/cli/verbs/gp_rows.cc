#include "covary/cli/verbs/gp_rows.h"

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
#include "covary/stat/process/row_process.h"
#include "covary/stat/process/row_scores.h"

namespace covary::cli {
namespace {

using nlohmann::json;
using stat::RowPrediction;
using stat::RowProcess;
using stat::RowScores;
using Names = std::vector<std::string>;

constexpr const char* kSchema = "covary.rows";

struct Fitted {
  RowProcess process;
  Names columns;
  std::string target;
  Names classes;  // softmax: names, in their order
  bool softmax() const { return process.likelihood().softmax(); }
};

std::string label_of(const data::Table& table, const std::string& target, double value) {
  const auto column = static_cast<size_t>(table.column(target));
  const Names words = column < table.words.size() ? table.words[column] : Names();
  const auto code = static_cast<size_t>(std::max(value, 0.0));
  return !words.empty() && code < words.size() ? words[code] : number_text("%.12g", value);
}

// Labels of a table as places in `classes`, which grow where they may: numbers by size, words in
// their order.
at::Tensor coded(const data::Table& table, const std::string& target, const at::Tensor& y,
                 Names* classes, bool grow, const std::string& input) {
  const at::Tensor values = y.contiguous();
  const double* v = values.const_data_ptr<double>();
  if (grow) {
    std::vector<double> known;
    for (int64_t i = 0; i < values.numel(); ++i) {
      if (!std::isnan(v[i])) known.push_back(v[i]);
    }
    std::sort(known.begin(), known.end());
    known.erase(std::unique(known.begin(), known.end()), known.end());
    if (known.size() > 200)
      throw Error(ExitCode::kData,
                  "holds " + std::to_string(known.size()) + " different values, too many classes",
                  input + ": column '" + target + "'", "for numbers leave --likelihood out");
    classes->clear();
    const auto odd = std::find_if(known.begin(), known.end(),
                                  [](double value) { return value != std::floor(value); });
    if (odd != known.end())
      throw Error(ExitCode::kData,
                  number_text("%.6g", *odd) + " is no class: they are words or whole numbers",
                  input + ": column '" + target + "'", "for numbers leave --likelihood out");
    for (const double value : known) classes->push_back(label_of(table, target, value));
  }
  at::Tensor out = at::empty_like(values);
  for (int64_t i = 0; i < values.numel(); ++i) {
    double& code = out.data_ptr<double>()[i];
    code = NAN;
    if (std::isnan(v[i])) continue;
    const std::string label = label_of(table, target, v[i]);
    const auto it = std::find(classes->begin(), classes->end(), label);
    if (it == classes->end())
      throw Error(ExitCode::kData, "'" + label + "' is no class of the model",
                  input + ": row " + std::to_string(i) + ", column '" + target + "'",
                  "fit a model of all classes");
    code = static_cast<double>(it - classes->begin());
  }
  return out;
}

// Options that such a process does not have, where they were typed.
void refuse_others(const Job& job, const GpFitOptions& o) {
  for (const char* name : {"outputs", "noise", "weights", "standard_errors", "inducing", "batch"}) {
    if (job.typed(name))
      throw Error(ExitCode::kUsage,
                  "is not for --likelihood " + o.process.likelihood +
                      (name == std::string("inducing") ? ": no points stand for its rows" : ""),
                  flag_of(name), "leave it out");
  }
  if (o.target.empty())
    throw Error(ExitCode::kUsage, "does not say which column is explained", "covary gp",
                "write --target NAME");
  if (o.process.mean != "zero" && o.process.mean != "const")
    throw Error(ExitCode::kUsage, "such functions have the mean zero or const",
                "--mean " + o.process.mean, "leave it out");
}

struct Plan {
  Samples table;
  Names classes;
  stat::RowProcessOptions process;
  stat::RowReport choice;
  double bytes = 0;
  std::string text() const {
    return count_text(table.x.size(0)) + " rows: " + process.likelihood + ", method " +
           choice.method + ", about " + bytes_text(bytes) + "; " + choice.why;
  }
};

Plan plan(const Job& job, const GpFitOptions& o) {
  refuse_others(job, o);
  const std::string& input = job.invocation.inputs[0];
  const data::Table table = read_input(input);
  Plan p;
  p.table = samples_of(table, {.columns = o.columns, .target = o.target, .weights = {}}, input);
  if (o.process.likelihood.starts_with("softmax"))
    p.table.y = coded(table, o.target, p.table.y, &p.classes, true, input);
  p.process.kernel = o.process.kernel;
  p.process.likelihood = o.process.likelihood;
  p.process.mean = o.process.mean;
  p.process.method = o.process.method;
  // Priors where they are asked for: walls by the scale of y say little of a log variance or class.
  if (job.typed("priors") && o.process.priors != "auto") p.process.priors = o.process.priors;
  p.process.fit = o.process.fit;
  p.process.starts = std::min<int64_t>(o.process.restarts, p.process.starts);
  p.process.seed = job.common.seed;
  p.process.search.iterations = o.process.steps;
  if (job.common.max_memory > 0) p.process.memory_limit = job.common.max_memory;
  const auto classes = static_cast<int64_t>(p.classes.size());
  p.choice = stat::RowProcess::plan(p.table.x.size(1), p.process, classes);
  p.bytes = stat::RowProcess::bytes(p.choice.method, p.table.x.size(0), classes);
  return p;
}

data::Model file_of(const Fitted& f) {
  data::Model file = f.process.model();
  file.fields["columns"] = f.columns;
  file.fields["target"] = f.target;
  file.fields["classes"] = f.classes;
  return file;
}

// output: where the model goes, "" when it goes nowhere.
Fitted fitted(const Job& job, const GpFitOptions& o, Plan p, const std::string& output) {
  log_info(p.text());
  FitProgress progress;
  p.process.search.watch = progress.watch();
  Fitted f = in_file(job.invocation.inputs[0], [&] {
    return Fitted{RowProcess(p.table.x, p.table.y, p.process), p.table.names, o.target, p.classes};
  });
  progress.finish();
  if (!output.empty()) data::write_model(output, file_of(f));
  leave_if_interrupted(progress, left_in(progress, output));
  return f;
}

Fitted load_model(const std::string& path) {
  const data::Model file = data::read_model(path, kSchema, 1);
  Fitted f{RowProcess::of_model(file), file.texts("columns"), file.text("target"),
           file.texts("classes")};
  if (static_cast<int64_t>(f.columns.size()) != f.process.x().size(1))
    file.refuse("columns", "are not as many as X has");
  if (f.softmax() && static_cast<int64_t>(f.classes.size()) != f.process.likelihood().latents())
    file.refuse("classes", "are not as many as the model has functions");
  return f;
}

Fitted load(const Job& job, const GpFitOptions& o) {
  const std::string& input = job.invocation.inputs[0];
  if (!names_model(input)) return fitted(job, o, plan(job, o), "");
  refuse_fit_options(job);
  return load_model(input);
}

json document_of(const Fitted& f) {
  json j = f.process.to_json();
  j["target"] = f.target;
  j["columns"] = f.columns;
  if (f.softmax()) j["classes"] = f.classes;
  return j;
}

std::string text_of(const Fitted& f) {
  std::string s = f.target + " by ";
  for (size_t k = 0; k < f.columns.size(); ++k) s += (k ? ", " : "") + f.columns[k];
  s += "\n" + f.process.text();
  for (size_t c = 0; c < f.classes.size(); ++c)
    s += (c == 0 ? "classes         " : ", ") + f.classes[c];
  return s + (f.classes.empty() ? "" : "\n");
}

struct Rows {
  at::Tensor x, y;
};

Rows rows_for(Fitted& f, const std::string& input, const Names& columns,
              const std::string& target) {
  const data::Table table = read_input(input);
  const Samples s =
      samples_of(table, {.columns = columns, .target = target, .weights = {}}, input, f.columns);
  Rows rows{s.x, s.y};
  if (!target.empty() && f.softmax()) rows.y = coded(table, target, s.y, &f.classes, false, input);
  return rows;
}

void write_extras(const Job& job, const Fitted& f, const json& of_table = {}) {
  if (!job.common.report.empty()) {
    json report = document_of(f);
    report["leave_one_out"] =
        row_scores(f.process, f.process.leave_one_out(), f.process.y()).to_json();
    if (!of_table.is_null()) report["table"] = of_table;
    write_file(job.common.report, report.dump(2) + "\n");
    log_info("wrote " + job.common.report);
  }
  if (!job.common.plot.empty()) {
    write_file(job.common.plot, stat::row_page({.title = title_of(job.invocation.inputs[0]),
                                                .process = f.process,
                                                .names = f.columns,
                                                .target = f.target,
                                                .classes = f.classes}));
    log_info("wrote " + job.common.plot);
  }
}

std::vector<double> numbers(const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  return {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()};
}

}  // namespace

bool is_model_of_rows(const std::string& input) {
  return names_model(input) && data::is_model(input) &&
         data::read_model(input, "", 1).schema == kSchema;
}

bool has_rows(const Job& job, const GpFitOptions& o) {
  if (names_model(job.invocation.inputs[0])) return is_model_of_rows(job.invocation.inputs[0]);
  return stat::RowLikelihood::knows(o.process.likelihood);
}

Result fit_rows(const Job& job, const GpFitOptions& o) {
  const std::string output = model_name(job.invocation.outputs);
  const Plan p = plan(job, o);
  Result r;
  if (job.common.dry_run) {
    r.document = {{"inputs", job.invocation.inputs},
                  {"options", recorded_options(job.invocation)},
                  {"columns", p.table.names},
                  {"rows", p.table.x.size(0)},
                  {"likelihood", o.process.likelihood},
                  {"classes", p.classes},
                  {"method", p.choice.method},
                  {"why", p.choice.why},
                  {"bytes", p.bytes}};
    r.text = (job.invocation.json ? "" : r.document["options"].dump(2) + "\n") + p.text() +
             "\nnothing was written\n";
    return r;
  }
  probe(job, output);
  const Fitted f = fitted(job, o, p, output);
  write_extras(job, f);
  r.document = document_of(f);
  r.text = text_of(f);
  if (!output.empty()) {
    r.document["model"] = output;
    r.text += "model           " + output + "\n";
  }
  return r;
}

Result predict_rows(const Job& job, const GpPredictOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  Fitted f = load(job, o);
  const std::string& input = job.invocation.inputs[1];
  const Rows rows = rows_for(f, input, o.columns, "");
  const RowPrediction p = in_file(input, [&] { return f.process.predict(rows.x); });
  Names names;
  std::vector<at::Tensor> columns;
  if (f.softmax()) {
    if (!o.quantiles.empty())
      throw Error(ExitCode::kUsage, "classes have no quantiles", "--quantiles",
                  "leave it out: each probability comes with its deviation");
    const auto [mean, sd] = f.process.probabilities(p);
    names.push_back("class");
    columns.push_back(mean.argmax(1).to(at::kDouble));
    for (size_t c = 0; c < f.classes.size(); ++c) {
      names.insert(names.end(), {"p_" + f.classes[c], "sd_" + f.classes[c]});
      columns.push_back(mean.select(1, static_cast<int64_t>(c)).contiguous());
      columns.push_back(sd.select(1, static_cast<int64_t>(c)).contiguous());
    }
  } else {
    const at::Tensor mean = p.mean.select(1, 0).contiguous(),
                     of_function = p.covariance.select(1, 0).select(1, 0).sqrt().contiguous();
    names = {"mean", "sd", "function_sd", "noise_sd", "noise_q.025", "noise_q.975"};
    columns = {mean,
               o.with_noise ? f.process.value_variance(p).sqrt() : of_function,
               of_function,
               f.process.noise_sd(p),
               f.process.noise_quantile(p, 0.025),
               f.process.noise_quantile(p, 0.975)};
    for (const double q : o.quantiles) {
      names.push_back("q" + number_text("%.12g", q));
      columns.push_back(o.with_noise ? f.process.quantile(p, q)
                                     : mean + numeric::normal_quantile(q) * of_function);
    }
  }
  Result r;
  data::Table table = table_of(names, columns);
  if (f.softmax()) table.words[0] = f.classes;
  r.text = write_table(output, table);
  r.document = {{"rows", rows.x.size(0)},
                {"target", f.target},
                {"method", f.process.report().method},
                {"of", f.softmax()    ? "probabilities"
                       : o.with_noise ? "new values"
                                      : "the function"}};
  for (size_t k = 0; k < names.size(); ++k) r.document[names[k]] = numbers(columns[k]);
  if (f.softmax()) {
    json labels = json::array();
    for (const double c : numbers(columns[0])) labels.push_back(f.classes[static_cast<size_t>(c)]);
    r.document["class"] = labels;
  }
  return r;
}

Result update_rows(const Job& job, const GpUpdateOptions& o) {
  const std::string& model = job.invocation.inputs[0];
  std::string output = model_name(job.invocation.outputs);
  if (output.empty()) output = model;
  if (!o.noise.empty() || !o.weights.empty())
    throw Error(ExitCode::kUsage, "is for processes of one function a row",
                o.noise.empty() ? "--weights " + o.weights : "--noise " + o.noise, "leave it out");
  Fitted f = load_model(model);
  const std::string& input = job.invocation.inputs[1];
  const int64_t before = f.process.x().size(0);
  const Rows rows = rows_for(f, input, o.columns, o.target.empty() ? f.target : o.target);
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

Result sample_rows(const Job& job, const GpSampleOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  Fitted f = load(job, o);
  const std::string& input = job.invocation.inputs[1];
  const Rows rows = rows_for(f, input, o.columns, "");
  const at::Tensor draws = in_file(input, [&] {
    return f.process.sample(rows.x, o.samples, static_cast<uint64_t>(job.common.seed));
  });
  Names names;
  for (int64_t k = 0; k < o.samples; ++k) names.push_back("draw" + std::to_string(k));
  Result r;
  r.document = {{"rows", rows.x.size(0)}, {"draws", o.samples}, {"target", f.target}};
  r.text = write_table(output, table_of(names, {draws.t().contiguous()}));
  return r;
}

Result score_rows(const Job& job, const GpFitOptions& o) {
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  Fitted f = load(job, o);
  const bool table = job.invocation.inputs.size() > 1;
  const std::string& input = job.invocation.inputs.back();
  RowPrediction p;
  at::Tensor y = f.process.y();
  if (table) {
    const Rows rows = rows_for(f, input, o.columns, o.target.empty() ? f.target : o.target);
    p = in_file(input, [&] { return f.process.predict(rows.x); });
    y = rows.y;
  } else {
    p = f.process.leave_one_out();
  }
  const RowScores s = in_file(input, [&] { return row_scores(f.process, p, y); });
  Result r;
  r.document = {
      {"target", f.target}, {"of", table ? "table" : "leave-one-out"}, {"scores", s.to_json()}};
  r.text = scores_text(table ? "on " + input : "each row left out in turn", s.values);
  if (!f.softmax()) r.text += number_text("%.1f %%", 100 * s.coverage) + " inside 95 % intervals\n";
  if (!output.empty()) {
    const std::string csv =
        write_table(output, table_of({"log_density"}, {f.process.log_densities(p, y)}));
    if (output == "-") r.text = csv;
  }
  write_extras(job, f, table ? s.to_json() : json());
  return r;
}

Result inspect_rows(const Job& job, const GpFitOptions& o) {
  if (!job.invocation.outputs.empty())
    throw Error(ExitCode::kUsage, "inspect writes no output", "-o " + job.invocation.outputs[0],
                "for files of it: --json=FILE, --report FILE.json, --plot FILE.html");
  probe(job, "");
  const Fitted f = load(job, o);
  write_extras(job, f);
  Result r;
  r.document = document_of(f);
  r.text = text_of(f);
  return r;
}

}  // namespace covary::cli
