// covary filter fit TABLE, run|smooth MODEL TABLE, sample MODEL [TABLE]. Where a MODEL stands, a
// text like "level+seasonal(12)" or "pendulum(dt=0.05)" may stand too.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/cli/filter_options.h"
#include "covary/cli/verbs/filter_input.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/stat/filter/filter_page.h"
#include "covary/stat/filter/filter_run.h"
#include "covary/stat/filter/learn.h"
#include "covary/stat/filter/linear_start.h"

namespace covary::cli {
namespace {

using filter::FilterModel;
using filter::FilterRun;
using nlohmann::json;

void plot(const Job& job, const std::string& input, const FilterModel& model, const FilterRun& run,
          const Series& s, bool smoothed) {
  if (job.common.plot.empty()) return;
  write_file(job.common.plot, filter::filter_page({.title = title_of(input),
                                                   .model = model,
                                                   .run = run,
                                                   .y = s.y,
                                                   .time = s.time,
                                                   .time_name = s.time_name,
                                                   .smoothed = smoothed}));
  log_info("wrote " + job.common.plot);
}

// The steps of a linear(3).
int64_t states_of(const std::string& text) {
  const std::vector<filter::Term> terms = filter::parse_terms(text);
  if (terms.size() != 1 || terms[0].arguments.size() != 1 || terms[0].arguments[0].value < 1 ||
      terms[0].arguments[0].value > 200 ||
      terms[0].arguments[0].value != std::floor(terms[0].arguments[0].value))
    throw Error(ExitCode::kUsage, "stands alone and has a number of states", "--model " + text,
                "write --model \"linear(3)\"");
  return static_cast<int64_t>(terms[0].arguments[0].value);
}

json matrix_fit_document(const filter::LinearFit& fit, const char* method) {
  return {{"method", method},
          {"log_likelihood", fit.log_likelihood},
          {"steps", fit.steps},
          {"converged", fit.converged},
          {"ending", fit.ending}};
}

std::string fit_text(const FilterModel& m) {
  std::string text = m.text() + " on ";
  const std::vector<std::string> columns = m.column_names();
  for (size_t k = 0; k < columns.size(); ++k) text += (k ? ", " : "") + columns[k];
  text += "\n";
  const auto line = [&](const std::string& name, const std::string& value) {
    text += name + std::string(name.size() < 24 ? 24 - name.size() : 1, ' ') + value + "\n";
  };
  line("log-likelihood", number_text("%.6f nats", m.fit["log_likelihood"].get<double>()));
  if (m.fit.contains("aic")) {
    line("AIC, BIC", number_text("%.3f, ", m.fit["aic"].get<double>()) +
                         number_text("%.3f", m.fit["bic"].get<double>()));
  }
  if (m.components) {
    for (const filter::Parameter& p : m.components->parameters()) {
      const json& zero = m.fit["at_zero"];
      const bool none = std::find(zero.begin(), zero.end(), p.name) != zero.end();
      line(p.name, number_text("%.8g", p.value) + (p.free ? "" : ", fixed") +
                       (none ? ", the data do without" : ""));
    }
  }
  line("ended", m.fit["ending"].get<std::string>() + " after " +
                    std::to_string(m.fit["steps"].get<int64_t>()) + " steps");
  return text;
}

// Names and values of a run, side by side.
data::Table table_of_run(const FilterModel& m, const FilterRun& r, const Series& s, bool smoothed) {
  std::vector<std::string> names;
  std::vector<at::Tensor> columns;
  const auto add = [&](const std::string& name, const at::Tensor& c) {
    names.push_back(name);
    columns.push_back(c.contiguous());
  };
  if (!s.time.empty()) add(s.time_name, at::tensor(s.time, at::kDouble));
  const std::vector<std::string> states = m.state_names(), observed = m.column_names();
  for (size_t k = 0; k < states.size(); ++k) {
    const auto j = static_cast<int64_t>(k);
    add(states[k], r.mean.select(1, j));
    add(states[k] + "_sd", r.sd.select(1, j));
  }
  for (size_t k = 0; k < observed.size(); ++k) {
    const auto j = static_cast<int64_t>(k);
    if (smoothed) {
      if (r.fitted.defined()) add("fitted_" + observed[k], r.fitted.select(1, j));
      if (r.fitted_sd.defined()) add("fitted_" + observed[k] + "_sd", r.fitted_sd.select(1, j));
    } else if (r.predicted.defined()) {
      add("predicted_" + observed[k], r.predicted.select(1, j));
      add("predicted_" + observed[k] + "_sd", r.predicted_sd.select(1, j));
      add("innovation_" + observed[k], r.innovation.select(1, j));
    }
  }
  if (!smoothed) {
    if (r.nis.defined()) add("nis", r.nis);
    if (r.effective.defined()) add("effective", r.effective);
    add("log_likelihood", r.log_likelihoods);
  }
  return table_of(names, columns);
}

json run_document(const FilterModel& m, const FilterRun& r, const data::Table& t) {
  json j = {{"model", m.text()},
            {"method", r.method},
            {"rows", r.mean.size(0)},
            {"states", m.state_names()},
            {"observed", r.observed.sum().item<int64_t>()},
            {"log_likelihood", r.log_likelihood}};
  if (r.nis.defined()) {
    const at::Tensor seen = at::isfinite(r.nis);
    const double degrees = double(r.observed.masked_select(seen).sum().item<int64_t>());
    if (degrees > 0) j["nis_per_number"] = r.nis.masked_select(seen).sum().item<double>() / degrees;
  }
  if (!m.fit.is_null()) j["fit"] = m.fit;
  for (int64_t k = 0; k < t.columns(); ++k) {
    std::vector<double> column;
    for (int64_t i = 0; i < t.rows; ++i) column.push_back(t.at(i, k));
    j["columns"][t.names[size_t(k)]] = column;
  }
  return j;
}

Result run_or_smooth(const Job& job, bool smoothed) {
  const auto o = job.options<FilterRunOptions>();
  const std::string& argument = job.invocation.inputs[0];
  const std::string& input = job.invocation.inputs[1];
  if (input == "-" && !smoothed) {
    const FilterModel model = read_model_argument(argument, o.series.columns);
    if (model.components) model.components->model();  // what has no value cannot be fitted here
    FilterRunOptions run = o;
    run.run.particle.seed = job.common.seed;
    return stream(job, model, run);
  }
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  auto [model, series] = model_and_series(argument, input, o.series);
  if (o.ahead > 0) series.extend(o.ahead);
  filter::RunOptions run = o.run;
  run.particle.seed = job.common.seed;
  const FilterRun r = in_file(input, [&] {
    return smoothed ? run_smoother(model, series.y, series.u, run)
                    : run_filter(model, series.y, series.u, run);
  });
  plot(job, input, model, r, series, smoothed);
  const data::Table table = table_of_run(model, r, series, smoothed);
  log_info(r.method + ", " + count_text(r.mean.size(0)) + " steps, log-likelihood " +
           number_text("%.6f", r.log_likelihood));
  Result result;
  result.text = write_table(output, table);
  result.document = run_document(model, r, table);
  return result;
}

}  // namespace

Result run_filter_fit(const Job& job) {
  const auto o = job.options<FilterFitOptions>();
  const std::string& input = job.invocation.inputs[0];
  const std::string output = model_name(job.invocation.outputs);
  probe(job, output);
  FilterModel model;
  Series s;
  const bool unknown = o.model.starts_with("linear");
  if (!is_model_file(o.model) && !unknown) {
    FilterModel named = FilterModel::of_text(o.model, o.series.columns);
    if (named.named)
      throw Error(ExitCode::kUsage, "parameters of nonlinear models are not fitted",
                  "--model " + o.model,
                  "write them: covary filter run \"" + o.model + "(...)\" TABLE --method ukf");
    if (o.method == "em")
      throw Error(ExitCode::kUsage, "EM is for matrices", "--method em",
                  "leave it out: components are fitted by likelihood");
    s = read_series(input, o.series, {}, {});
    if (s.u.defined())
      throw Error(ExitCode::kUsage, "components have no B", "--controls",
                  "write a model of matrices with B");
    model = FilterModel::of_text(o.model, s.columns);
    const filter::ComponentFit fit = in_file(input, [&] {
      return fit_components(*model.components, s.y,
                            {.steps = o.learn.steps, .tolerance = 1e-8, .starts = o.starts});
    });
    if (!fit.converged && fit.ending != "line search")
      log_warning("not converged after " + std::to_string(fit.steps) + " steps: raise --steps");
    model.fit = fit_document(model, fit);
  } else {
    filter::LinearModel start;
    const filter::LearnOptions& learn = o.learn;
    int64_t states = 0;
    if (unknown) {
      states = states_of(o.model);
      s = read_series(input, o.series, {}, {});
      if (s.u.defined())
        throw Error(ExitCode::kUsage, "a linear(n) has no B", "--controls",
                    "write a model of matrices with B");
      model.columns = s.columns;
    } else {
      model = FilterModel::read(o.model);
      if (!model.matrices)
        throw Error(ExitCode::kUsage, "is no model of matrices", "--model " + o.model,
                    "write its text: --model \"" + model.text() + "\"");
      start = *model.matrices;
      s = read_series(input, o.series, model.columns, model.controls);
      if (s.y.size(1) != start.observations())
        throw Error(ExitCode::kData,
                    "has " + std::to_string(s.y.size(1)) + " columns for " +
                        std::to_string(start.observations()) + " observations of the model",
                    input, "choose them with --columns a,b");
      model.columns = s.columns;
      model.controls = s.controls;
    }
    const bool em = !unknown && (o.method == "em" ||
                                 (o.method == "auto" && !start.diffuse.defined() && !learn.b));
    const filter::LinearFit fit = in_file(input, [&] {
      return unknown ? filter::fit_linear(s.y, states, learn.steps)
             : em    ? filter::fit_em(start, s.y, s.u, learn)
                     : filter::fit_likelihood(start, s.y, s.u, learn);
    });
    if (!fit.converged && fit.ending != "line search")
      log_warning("not converged after " + std::to_string(fit.steps) + " steps: raise --steps");
    model.matrices = fit.model;
    model.fit = matrix_fit_document(fit, unknown ? "em, likelihood" : em ? "em" : "likelihood");
  }
  if (!output.empty()) model.write(output);
  if (!job.common.plot.empty()) {
    const FilterRun r = in_file(input, [&] { return run_smoother(model, s.y, s.u, {}); });
    plot(job, input, model, r, s, true);
  }
  Result r;
  r.document = model.to_json();
  if (model.components) {
    const json matrices = model.components->model().to_json();
    r.document["matrices"] = matrices;
    r.document["states"] = model.state_names();
  }
  r.text = fit_text(model);
  if (!output.empty()) {
    r.document["file"] = output;
    r.text += "model                   " + output + "\n";
  }
  return r;
}

Result run_filter_run(const Job& job) { return run_or_smooth(job, false); }

Result run_filter_smooth(const Job& job) { return run_or_smooth(job, true); }

Result run_filter_sample(const Job& job) {
  const auto o = job.options<FilterSampleOptions>();
  const std::string output = one_output(job.invocation.outputs);
  probe(job, output);
  const std::string& argument = job.invocation.inputs[0];
  filter::RunOptions run = o.run;
  run.particle.seed = job.common.seed;
  std::vector<std::string> names;
  std::vector<at::Tensor> columns;
  Result result;
  if (job.invocation.inputs.size() > 1) {
    const std::string& input = job.invocation.inputs[1];
    const auto [model, series] = model_and_series(argument, input, o.series);
    const at::Tensor draws =
        in_file(input, [&] { return sample_states(model, series.y, series.u, o.samples, run); });
    if (!series.time.empty()) {
      names.push_back(series.time_name);
      columns.push_back(at::tensor(series.time, at::kDouble));
    }
    const std::vector<std::string> states = model.state_names();
    for (int64_t k = 0; k < o.samples; ++k) {
      for (size_t j = 0; j < states.size(); ++j) {
        names.push_back(states[j] + (o.samples > 1 ? "_" + std::to_string(k) : ""));
        columns.push_back(draws[k].select(1, static_cast<int64_t>(j)).contiguous());
      }
    }
    result.document = {{"model", model.text()},
                       {"of", "states given the table"},
                       {"draws", o.samples},
                       {"rows", series.y.size(0)}};
  } else {
    const FilterModel model = read_model_argument(argument, o.series.columns);
    if (model.matrices && model.matrices->diffuse.defined())
      log_info("the start is diffuse: series begin at mean0");
    std::vector<at::Tensor> parts;
    const int64_t n = model.states(), p = model.observations();
    for (int64_t k = 0; k < o.samples; ++k) {
      const filter::Simulated s = filter::simulate(model, o.steps, job.common.seed + k);
      std::vector<at::Tensor> row = {s.states, s.y};
      if (o.samples > 1) row.insert(row.begin(), at::full({o.steps, 1}, double(k), at::kDouble));
      parts.push_back(at::cat(row, 1));
    }
    const at::Tensor all =
        o.samples > 0 ? at::cat(parts).contiguous() : at::empty({0, n + p}, at::kDouble);
    if (o.samples > 1) names.push_back("series");
    for (const std::string& s : model.state_names()) names.push_back(s);
    // A column may be called like a state; a table has no two names alike.
    for (const std::string& c : model.column_names())
      names.push_back(std::find(names.begin(), names.end(), c) == names.end() ? c
                                                                              : c + "_observed");
    columns.push_back(all);
    result.document = {{"model", model.text()},
                       {"of", "series"},
                       {"draws", o.samples},
                       {"rows", o.steps * o.samples}};
  }
  result.text = write_table(output, table_of(names, columns));
  return result;
}

}  // namespace covary::cli
