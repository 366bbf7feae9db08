#include "covary/cli/verbs/mixture_vmf.h"

#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>

#include "covary/cli/verbs/mixture_parts.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/tables.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/stat/mixture/von_mises_fisher_page.h"

namespace covary::cli {
namespace {

using mixture::VonMisesFisherMixture;
using mixture::VonMisesFisherReport;
using nlohmann::json;

struct Fitted {
  Samples samples;
  mixture::VonMisesFisherSelection chosen;
};

Fitted fit(const Job& job, const MixtureFitOptions& o) {
  for (const std::string& name : job.invocation.set)
    if (name.starts_with("em."))
      throw Error(ExitCode::kUsage, "is about Gaussians", "--" + name.substr(3), "leave it out");
  mixture::VonMisesFisherMixtureOptions vmf = o.vmf;
  if (o.method == "kmeans") vmf.assignment = "cosine";
  if (o.starts > 0) vmf.starts = o.starts;
  if (o.steps > 0) vmf.steps = o.steps;
  vmf.tolerance = o.tolerance.value_or(vmf.tolerance);
  vmf.seed = job.common.seed;
  const std::string& input = job.invocation.inputs[0];
  Fitted f;
  f.samples = read_samples(input, o.table);
  f.chosen = in_file(input, [&] {
    return mixture::select_von_mises_fisher(f.samples.x, o.numbers(), o.criterion, vmf,
                                            f.samples.weights);
  });
  for (const std::string& note : f.chosen.model.report().notes) log_warning(input + ": " + note);
  const VonMisesFisherReport& r = f.chosen.model.report();
  if (!r.converged)
    log_warning(input + ": not converged after " + std::to_string(r.objective.size()) +
                " steps: raise --steps");
  return f;
}

json facts_of(const VonMisesFisherReport& r) {
  return {{"log_likelihood", r.log_likelihood},
          {"bic", r.criteria.bic},
          {"aic", r.criteria.aic},
          {"icl", r.criteria.icl},
          {"parameters", r.parameters},
          {"rows", r.rows},
          {"steps", r.objective.size()},
          {"restarts", r.restarted.size()},
          {"converged", r.converged}};
}

json components_of(const VonMisesFisherMixture& m) {
  const at::Tensor w = m.weights();
  json out = json::array();
  for (int64_t c = 0; c < m.components(); ++c) {
    const mixture::VonMisesFisher& part = m.parts()[static_cast<size_t>(c)];
    const at::Tensor mean = part.mean.contiguous();
    out.push_back({{"weight", w.data_ptr<double>()[c]},
                   {"kappa", part.kappa},
                   {"resultant_length", mixture::resultant_length(m.columns(), part.kappa)},
                   {"mean", std::vector<double>(mean.data_ptr<double>(),
                                                mean.data_ptr<double>() + m.columns())}});
  }
  return out;
}

std::string components_text(const VonMisesFisherMixture& m, const std::vector<std::string>& names) {
  std::vector<double> kappas;
  for (const mixture::VonMisesFisher& part : m.parts()) kappas.push_back(part.kappa);
  return cli::components_text(m.weights(), m.means(), kappas, names);
}

std::string headline(const VonMisesFisherMixture& m, const json& facts) {
  std::string out = std::to_string(m.components()) + " von Mises-Fisher " +
                    (m.components() == 1 ? "distribution" : "distributions") + " in " +
                    std::to_string(m.columns()) + " dimensions, " + m.options().assignment +
                    " assignment";
  if (facts.contains("rows"))
    out += ", from " + count_text(static_cast<int64_t>(facts["rows"].get<double>())) + " rows";
  out += "\n";
  if (facts.contains("bic"))
    out += criteria_text(facts) + number_text("%.0f steps\n", facts["steps"]);
  return out;
}

Table selection_table(const std::vector<mixture::VonMisesFisherSelection::Row>& fits) {
  Table t;
  for (const auto& fit : fits) {
    nlohmann::ordered_json row = {{"components", fit.components}};
    const VonMisesFisherReport& r = fit.report;
    put_criteria(&row, r);
    row["steps"] = r.objective.size();
    t.add(row);
  }
  return t;
}

void write_page(const Job& job, const VonMisesFisherMixture& model,
                const std::vector<std::string>& names, const at::Tensor& x,
                const std::vector<double>& trace) {
  if (job.common.plot.empty()) return;
  write_file(job.common.plot,
             mixture::von_mises_fisher_page({.title = title_of(job.invocation.inputs[0]),
                                             .model = model,
                                             .names = names,
                                             .x = x,
                                             .trace = trace}));
  log_info("wrote " + job.common.plot);
}

}  // namespace

Result fit_vmf(const Job& job, const MixtureFitOptions& o, const std::string& output) {
  const Fitted f = fit(job, o);
  const VonMisesFisherMixture& m = f.chosen.model;
  const json facts = facts_of(m.report());
  if (!output.empty()) {
    data::Model file = m.model();
    file.fields["columns"] = f.samples.names;
    file.fields["method"] = o.method;
    file.fields["fit"] = facts;
    const std::vector<double>& trace = m.report().objective;
    file.put("trace", trace, {static_cast<int64_t>(trace.size())});
    data::write_model(output, file);
  }
  write_page(job, m, f.samples.names, f.samples.x, m.report().objective);
  Result r;
  r.text = headline(m, facts);
  if (f.chosen.rows.size() > 1)
    r.text +=
        "chosen by " + o.criterion + " among " + std::to_string(f.chosen.rows.size()) + " fits\n";
  r.text += components_text(m, f.samples.names);
  r.document = {{"method", o.method},
                {"family", "vmf"},
                {"assignment", m.options().assignment},
                {"columns", f.samples.names},
                {"fit", facts},
                {"notes", m.report().notes},
                {"components", components_of(m)},
                {"fits", selection_table(f.chosen.rows).rows}};
  if (!output.empty()) r.document["model"] = output;
  return r;
}

Result select_vmf(const Job& job, const MixtureFitOptions& o, const std::string& output) {
  const Fitted f = fit(job, o);
  const Table table = selection_table(f.chosen.rows);
  if (!output.empty() && output != "-") table.write(output);
  write_page(job, f.chosen.model, f.samples.names, f.samples.x, f.chosen.model.report().objective);
  Result r;
  r.document = {{"criterion", o.criterion}, {"best", f.chosen.best}, {"fits", table.rows}};
  if (output == "-") {
    r.text = table.csv();
    return r;
  }
  r.text = "    k   log-likelihood  parameters         BIC         AIC         ICL\n";
  for (size_t i = 0; i < f.chosen.rows.size(); ++i) {
    const VonMisesFisherReport& fit = f.chosen.rows[i].report;
    r.text += (i == f.chosen.best ? " *" : "  ") +
              number_text("%3.0f", static_cast<double>(f.chosen.rows[i].components)) +
              number_text("%17.3f", fit.log_likelihood) + number_text("%12.0f", fit.parameters) +
              number_text("%12.2f", fit.criteria.bic) + number_text("%12.2f", fit.criteria.aic) +
              number_text("%12.2f", fit.criteria.icl) + "\n";
  }
  return r;
}

Result inspect_vmf(const Job& job, const VonMisesFisherMixture& model,
                   const std::vector<std::string>& columns, const data::Model& file) {
  std::vector<double> trace;
  if (file.arrays.contains("trace")) trace = file.doubles("trace", {-1});
  write_page(job, model, columns, {}, trace);
  const json facts = file.fields.value("fit", json::object());
  if (!facts.is_object()) file.refuse("fit", "is no object");
  for (const auto& [name, value] : facts.items())
    if (!value.is_number() && !value.is_boolean()) file.refuse("fit." + name, "is no number");
  Result r;
  r.document = {{"schema", file.schema},
                {"version", file.version},
                {"family", "vmf"},
                {"assignment", model.options().assignment},
                {"normalise", model.options().normalise},
                {"columns", columns},
                {"fit", facts},
                {"components", components_of(model)}};
  r.text = headline(model, facts) + components_text(model, columns);
  return r;
}

}  // namespace covary::cli
