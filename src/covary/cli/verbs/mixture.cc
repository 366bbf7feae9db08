// covary mixture fit|select TABLE, predict|score MODEL|TABLE TABLE, sample MODEL|TABLE, inspect MODEL
#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>
#include <optional>
#include <variant>

#include <ATen/ATen.h>

#include "covary/cli/mixture_options.h"
#include "covary/cli/verbs/mixture_parts.h"
#include "covary/cli/verbs/mixture_vmf.h"
#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/cli/verbs/tables.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/data/model.h"
#include "covary/core/linalg/cluster/kmeans.h"
#include "covary/stat/mixture/gaussian_mixture.h"
#include "covary/stat/mixture/mixture_page.h"
#include "covary/stat/mixture/variational_mixture.h"

namespace covary::cli {
namespace {

using mixture::GaussianMixture;
using mixture::Selection;
using nlohmann::json;

// A fit by whatever method.
struct Fitted {
  GaussianMixture model;
  Samples samples;  // by online: the first batch
  std::vector<Selection::Row> fits = {};
  int64_t best = -1;
  std::vector<double> trace = {};
  std::string trace_name = {};
  json facts = json::object();  // of the method: log_likelihood, bic, steps, ...
};

constexpr const char* kLikelihoodTrace = "Mean log-likelihood, nats a row";

mixture::GaussianMixtureOptions em_options(const MixtureFitOptions& o, int64_t seed) {
  mixture::GaussianMixtureOptions em = o.em;
  em.covariance = o.shapes()[0];
  em.components = o.numbers()[0];
  if (o.starts > 0) em.starts = o.starts;
  if (o.steps > 0) em.steps = o.steps;
  em.tolerance = o.tolerance.value_or(em.tolerance);
  em.init = o.from_file() ? "given" : o.init;
  em.seed = seed;
  return em;
}

// Columns of the file that a start is read from: of what `covary mixture predict -o` wrote, the
// component or its shares.
at::Tensor start_columns(const std::string& file, bool labels,
                         const std::vector<std::string>& names) {
  ColumnOptions columns;
  if (!names.empty()) return read_samples(file, {}, names).x;
  const data::Table table = read_input(file);
  const auto component = std::find(table.names.begin(), table.names.end(), "component");
  if (component != table.names.end())
    for (const std::string& name : table.names)
      if ((name == "component") == labels) columns.columns.push_back(name);
  const at::Tensor x = samples_of(table, columns, file).x;
  if (labels && x.size(1) != 1)
    throw Error(ExitCode::kData, "has " + std::to_string(x.size(1)) + " columns, not one of labels",
                file, "give a table of one column, or one with a column 'component'");
  return x;
}

// One fit from labels, responsibilities, means or a model.
Selection fit_from_file(const MixtureFitOptions& o, int64_t seed, const Samples& s,
                        const std::string& input) {
  GaussianMixture m(em_options(o, seed));
  const std::string& file = o.init_from;
  if (o.init == "model") {
    const GaussianMixture given =
        GaussianMixture::of_model(data::read_model(file, "covary.mixture", 1));
    if (given.columns() != s.x.size(1))
      throw Error(ExitCode::kData,
                  "is of " + std::to_string(given.columns()) + " columns, the table has " +
                      std::to_string(s.x.size(1)),
                  file, "choose with --columns");
    in_file(file, [&] {
      m.set_parameters(
          given.weights(), given.means(),
          m.options().covariance == "full" ? given.full_covariances() : given.covariances());
    });
  } else if (o.init == "labels" && file.empty()) {
    in_file(input, [&] { m.start_from_labels(s.x, at::nan_to_num(s.y, -1), s.weights); });
  } else {
    const at::Tensor start = start_columns(
        file, o.init == "labels", o.init == "means" ? s.names : std::vector<std::string>{});
    in_file(file, [&] {
      if (o.init == "labels") {
        m.start_from_labels(s.x, at::nan_to_num(start.view({-1}), -1), s.weights);
      } else if (o.init == "means") {
        m.start_from_means(s.x, start, s.weights);
      } else {
        m.start_from_responsibilities(s.x, start, s.weights);
      }
    });
  }
  in_file(input, [&] { m.fit(s.x, s.weights); });
  Selection out;
  out.rows.push_back({m.components(), o.shapes()[0], m.report()});
  out.model = std::move(m);
  return out;
}

json facts_of(const mixture::FitReport& r) {
  return {{"log_likelihood", r.log_likelihood},
          {"bic", r.criteria.bic},
          {"aic", r.criteria.aic},
          {"icl", r.criteria.icl},
          {"parameters", r.parameters},
          {"rows", r.rows},
          {"steps", r.trace.steps},
          {"start_steps", r.start.steps},
          {"converged", r.trace.converged},
          {"reseeded", r.trace.reseeded},
          {"covariances_at_floor", r.trace.floored},
          {"constant_columns", r.constant_columns}};
}

void warn_of(const mixture::FitReport& r, const std::string& input) {
  if (r.constant_columns > 0)
    log_warning(input + ": " + std::to_string(r.constant_columns) +
                " constant columns: the floor made their variance up");
  if (r.trace.floored > 0)
    log_warning(input + ": " + std::to_string(r.trace.floored) +
                " covariances are at the floor: their likelihood is the floor's, not the data's");
  if (!r.trace.converged && r.trace.steps > 0)
    log_warning(input + ": not converged after " + std::to_string(r.trace.steps) +
                " steps: raise --steps");
}

Fitted fit_em(const MixtureFitOptions& o, int64_t seed, const std::string& input) {
  Fitted f;
  f.samples = read_samples(input, o.table);
  Selection s = o.from_file() ? fit_from_file(o, seed, f.samples, input) : in_file(input, [&] {
    return mixture::select_mixture(f.samples.x, o.numbers(), o.shapes(), o.criterion,
                                   em_options(o, seed), f.samples.weights);
  });
  f.model = std::move(s.model);
  f.fits = std::move(s.rows);
  f.best = static_cast<int64_t>(s.best);
  const mixture::FitReport& r = f.model.report();
  warn_of(r, input);
  // The start's steps belong to the curve where they saw the same rows.
  if (r.rows <= static_cast<double>(o.em.init_rows) && !r.start.mean_log_likelihood.empty()) {
    f.trace = r.start.mean_log_likelihood;
    f.trace.pop_back();  // the first value of what follows
  }
  f.trace.insert(f.trace.end(), r.trace.mean_log_likelihood.begin(),
                 r.trace.mean_log_likelihood.end());
  f.trace_name = kLikelihoodTrace;
  f.facts = facts_of(r);
  return f;
}

// The table a piece at a time, as often as asked: step(piece). The rows of one pass.
template <class Step>
double each_batch(const MixtureFitOptions& o, const std::string& input, Fitted& f, Step&& step) {
  if (input == "-")
    throw Error(ExitCode::kUsage, "--method " + o.method + " reads a file, a piece at a time", "-",
                "name a file");
  const int64_t batch = o.batch > 0 ? o.batch : 65536;
  const auto take = [&](const Samples& part) {
    in_file(input, [&] { step(part); });
    if (!f.samples.x.defined()) f.samples = part;
  };
  double rows = 0;
  if (!std::filesystem::exists(input)) {
    // A sample, or a name below the data folder: small, so read whole.
    const Samples all = read_samples(input, o.table);
    rows = static_cast<double>(all.x.size(0));
    for (int64_t pass = 0; pass < o.passes; ++pass) {
      for (int64_t begin = 0; begin < all.x.size(0); begin += batch) {
        Samples part = all;
        part.x = all.x.slice(0, begin, begin + batch);
        if (all.weights.defined()) part.weights = all.weights.slice(0, begin, begin + batch);
        take(part);
      }
    }
    return rows;
  }
  for (int64_t pass = 0; pass < o.passes; ++pass) {
    data::TableReader reader(input, {});
    for (data::Table chunk; reader.next(batch, chunk);) {
      take(samples_of(chunk, o.table, input));
      if (pass == 0) rows += static_cast<double>(chunk.rows);
    }
  }
  if (rows == 0) throw Error(ExitCode::kData, "has no rows", input, "give at least one");
  return rows;
}

Fitted fit_online(const MixtureFitOptions& o, int64_t seed, const std::string& input) {
  Fitted f;
  f.model = GaussianMixture(em_options(o, seed));
  const double rows =
      each_batch(o, input, f, [&](const Samples& s) { f.model.partial_fit(s.x, s.weights); });
  const mixture::FitReport& r = f.model.report();
  f.trace = r.trace.mean_log_likelihood;
  f.trace_name = "Mean log-likelihood of each batch before its step, nats a row";
  f.facts = {{"rows", rows},
             {"batches", r.trace.steps},
             {"last_batch_log_likelihood", f.trace.back()},
             {"constant_columns", r.constant_columns}};
  return f;
}

mixture::VariationalMixture variational(const MixtureFitOptions& o, int64_t seed) {
  mixture::VariationalMixtureOptions vb = o.vb;
  vb.components = o.numbers()[0];
  if (o.starts > 0) vb.starts = o.starts;
  if (o.steps > 0) vb.steps = o.steps;
  vb.tolerance = o.tolerance.value_or(vb.tolerance);
  vb.seed = seed;
  return mixture::VariationalMixture(vb);
}

// The components that hold enough, as a mixture of their posterior means.
GaussianMixture kept(const mixture::VariationalMixture& m, double least_share) {
  const at::Tensor all = m.weights();
  const at::Tensor index =
      at::nonzero(all >= std::min(least_share, all.max().item<double>())).view({-1});
  GaussianMixture out({.components = index.size(0)});
  out.set_parameters(all.index_select(0, index), m.means().index_select(0, index),
                     m.covariances().index_select(0, index));
  return out;
}

Fitted fit_vb(const MixtureFitOptions& o, int64_t seed, const std::string& input) {
  Fitted f;
  f.samples = read_samples(input, o.table);
  mixture::VariationalMixture m = variational(o, seed);
  in_file(input, [&] { m.fit(f.samples.x, f.samples.weights); });
  f.model = kept(m, o.least_share);
  const mixture::VariationalReport& r = m.report();
  f.trace = r.bounds;
  f.trace_name = "Evidence lower bound, nats";
  f.facts = {{"bound", r.bound},
             {"rows", f.samples.x.size(0)},
             {"steps", r.steps},
             {"converged", r.converged},
             {"components_allowed", o.numbers()[0]},
             {"mean_log_predictive", m.score(f.samples.x)},
             {"constant_columns", r.constant_columns}};
  return f;
}

Fitted fit_online_vb(const MixtureFitOptions& o, int64_t seed, const std::string& input) {
  Fitted f;
  mixture::VariationalMixture m = variational(o, seed);
  const double rows =
      each_batch(o, input, f, [&](const Samples& s) { m.partial_fit(s.x, s.weights); });
  f.model = kept(m, o.least_share);
  const mixture::VariationalReport& r = m.report();
  f.trace = r.batch_bounds;
  f.trace.insert(f.trace.begin(), r.bound / r.first_rows);
  f.trace_name = "Evidence lower bound, from each batch before its step, nats a row";
  f.facts = {{"rows", rows},
             {"batches", r.batches},
             {"last_batch_bound", f.trace.back()},
             {"components_allowed", o.numbers()[0]},
             {"constant_columns", r.constant_columns}};
  return f;
}

Fitted fit_kmeans(const MixtureFitOptions& o, int64_t seed, const std::string& input) {
  Fitted f;
  f.samples = read_samples(input, o.table);
  const int64_t n = f.samples.x.size(0), d = f.samples.x.size(1), k = o.numbers()[0];
  linalg::KMeansOptions options = o.kmeans;
  options.clusters = k;
  options.init = o.init == "k-means" ? "k-means++" : o.init;
  options.batch = o.batch;
  options.seed = seed;
  if (o.starts > 0) options.starts = o.starts;
  if (o.steps > 0) options.sweeps = o.steps;
  options.tolerance = o.tolerance.value_or(options.tolerance);
  const at::Tensor w = f.samples.weights;
  const auto r = in_file(input, [&] {
    return linalg::kmeans<double>(f.samples.x.data_ptr<double>(),
                                  w.defined() ? w.data_ptr<double>() : nullptr, n, d, options);
  });
  const double mass = w.defined() ? w.sum().item<double>() : static_cast<double>(n);
  const double variance = std::max(r.cost / (mass * static_cast<double>(d)), 1e-300);
  f.model = GaussianMixture({.components = k, .covariance = "spherical"});
  f.model.set_parameters(at::ones({k}, at::kDouble),
                         at::tensor(r.centres, at::kDouble).view({k, d}),
                         at::full({k}, variance, at::kDouble));
  f.trace = r.trace;
  f.trace_name = "Sum of squared distances";
  f.facts = {{"cost", r.cost},         {"rows", n},
             {"sweeps", r.sweeps},     {"converged", r.converged},
             {"reseeded", r.reseeded}, {"empty", r.empty}};
  return f;
}

Fitted fit(const MixtureFitOptions& o, const Job& job) {
  const std::string& input = job.invocation.inputs[0];
  if ((o.method == "kmeans" || o.method == "online") && o.components.empty())
    throw Error(ExitCode::kUsage, "--method " + o.method + " needs the number of components",
                "--components", "write -k 8");
  if (o.method == "online") return fit_online(o, job.common.seed, input);
  if (o.method == "vb") return fit_vb(o, job.common.seed, input);
  if (o.method == "online-vb") return fit_online_vb(o, job.common.seed, input);
  if (o.method == "kmeans") return fit_kmeans(o, job.common.seed, input);
  return fit_em(o, job.common.seed, input);
}

json components_of(const GaussianMixture& m) {
  const at::Tensor w = m.weights(), means = m.means();
  json out = json::array();
  for (int64_t c = 0; c < m.components(); ++c) {
    const at::Tensor row = means[c];
    out.push_back({{"weight", w.data_ptr<double>()[c]},
                   {"mean", std::vector<double>(row.data_ptr<double>(),
                                                row.data_ptr<double>() + m.columns())}});
  }
  return out;
}

Table selection_table(const std::vector<Selection::Row>& fits) {
  Table t;
  for (const Selection::Row& fit : fits) {
    nlohmann::ordered_json row = {{"components", fit.components}, {"covariance", fit.covariance}};
    const mixture::FitReport& r = fit.report;
    put_criteria(&row, r);
    row["steps"] = r.trace.steps;
    row["covariances_at_floor"] = r.trace.floored;
    t.add(row);
  }
  return t;
}

std::string selection_text(const std::vector<Selection::Row>& fits, int64_t best) {
  std::string out =
      "    k  covariance   log-likelihood  parameters         BIC         AIC         ICL\n";
  for (size_t i = 0; i < fits.size(); ++i) {
    const mixture::FitReport& r = fits[i].report;
    std::string covariance = fits[i].covariance;
    covariance.resize(12, ' ');
    out += (static_cast<int64_t>(i) == best ? " *" : "  ") +
           number_text("%3.0f", static_cast<double>(fits[i].components)) + "  " + covariance +
           number_text("%15.3f", r.log_likelihood) + number_text("%12.0f", r.parameters) +
           number_text("%12.2f", r.criteria.bic) + number_text("%12.2f", r.criteria.aic) +
           number_text("%12.2f", r.criteria.icl) + (r.trace.floored > 0 ? "  (at the floor)" : "") +
           "\n";
  }
  return out;
}

void write_page(const std::string& file, const std::string& title, const Fitted& f,
                const std::vector<std::string>& shown, const std::string& criterion) {
  if (file.empty()) return;
  write_file(file, mixture::mixture_page({.title = title,
                                          .model = f.model,
                                          .names = f.samples.names,
                                          .x = f.samples.x,
                                          .trace = f.trace,
                                          .trace_name = f.trace_name,
                                          .fits = f.fits,
                                          .best = f.best,
                                          .criterion = criterion,
                                          .shown = shown}));
  log_info("wrote " + file);
}

data::Model file_of(const Fitted& f, const MixtureFitOptions& o) {
  data::Model file = f.model.model();
  file.fields["columns"] = f.samples.names;
  file.fields["method"] = o.method;
  file.fields["fit"] = f.facts;
  file.fields["trace_name"] = f.trace_name;
  file.put("trace", f.trace, {static_cast<int64_t>(f.trace.size())});
  return file;
}

std::string headline(const GaussianMixture& m, const std::string& method, const json& facts) {
  std::string out = std::to_string(m.components()) +
                    (m.components() == 1 ? " Gaussian" : " Gaussians") + " of " +
                    m.options().covariance + " covariance in " + std::to_string(m.columns()) +
                    (m.columns() == 1 ? " column" : " columns") + ", by " + method;
  if (facts.contains("rows"))
    out += " from " + count_text(static_cast<int64_t>(facts["rows"].get<double>())) + " rows";
  out += "\n";
  if (facts.contains("bic"))
    out += criteria_text(facts) +
           number_text("%.0f steps of the start and ", facts.value("start_steps", 0.0)) +
           number_text("%.0f after it\n", facts["steps"]);
  if (facts.contains("bound"))
    out += "evidence lower bound " + number_text("%.4f", facts["bound"]) + ", " +
           number_text("%.0f steps\n", facts["steps"]);
  if (facts.contains("cost"))
    out += "sum of squared distances " + number_text("%.6g", facts["cost"]) + ", " +
           number_text("%.0f sweeps\n", facts["sweeps"]);
  if (facts.contains("last_batch_log_likelihood"))
    out += "mean log-likelihood of the last batch " +
           number_text("%.5f", facts["last_batch_log_likelihood"]) + ", " +
           number_text("%.0f batches\n", facts["batches"]);
  if (facts.contains("last_batch_bound"))
    out += "evidence lower bound a row, from the last batch " +
           number_text("%.5f", facts["last_batch_bound"]) + ", " +
           number_text("%.0f batches\n", facts["batches"]);
  return out;
}

// A model of either family, and what can be asked of both.
struct Loaded {
  std::variant<GaussianMixture, mixture::VonMisesFisherMixture> model;
  std::vector<std::string> columns;
  data::Model file;

  template <class F>
  auto ask(F&& question) const {
    return std::visit(question, model);
  }
  int64_t components() const {
    return ask([](const auto& m) { return m.components(); });
  }
};

Loaded load(const std::string& path) {
  data::Model file = data::read_model(path, "covary.mixture", 1);
  Loaded l;
  if (file.text("family", {"gaussian", "vmf"}) == "vmf")
    l.model = mixture::VonMisesFisherMixture::of_model(file);
  else
    l.model = GaussianMixture::of_model(file);
  l.columns = file.texts("columns");
  l.file = std::move(file);
  const int64_t d = l.ask([](const auto& m) { return m.columns(); });
  if (l.columns.empty())
    for (int64_t j = 0; j < d; ++j) l.columns.push_back("x" + std::to_string(j));
  if (static_cast<int64_t>(l.columns.size()) != d)
    l.file.refuse("columns", "are not as many as the means have");
  return l;
}

// A model file, or a table that is fitted first. A model's fit is what it is: options of a fit are
// refused beside it.
Loaded load(const MixtureFitOptions& o, const Job& job) {
  const std::string& input = job.invocation.inputs[0];
  if (input == "-" || !data::is_model(input)) {
    Fitted f = fit(o, job);
    return {std::move(f.model), f.samples.names, {}};
  }
  refuse_fit_options(
      job,
      {"method", "covariance", "components", "criterion", "init", "init_from", "starts", "steps"},
      "covary mixture fit TABLE");
  return load(input);
}

}  // namespace

Result run_mixture_fit(const Job& job) {
  const auto o = job.options<MixtureFitOptions>();
  const std::string output = model_name(job.invocation.outputs);
  if (o.family == "vmf") return fit_vmf(job, o, output);
  const std::string& input = job.invocation.inputs[0];
  const Fitted f = fit(o, job);
  if (!output.empty()) data::write_model(output, file_of(f, o));
  write_page(job.common.plot, title_of(input), f, o.plot_columns, o.criterion);
  Result r;
  r.text = headline(f.model, o.method, f.facts);
  if (f.fits.size() > 1)
    r.text += "chosen by " + o.criterion + " among " + std::to_string(f.fits.size()) + " fits\n";
  r.text += components_text(f.model.weights(), f.model.means(), {}, f.samples.names);
  r.document = {{"method", o.method},
                {"family", o.family},
                {"covariance", f.model.options().covariance},
                {"columns", f.samples.names},
                {"fit", f.facts},
                {"components", components_of(f.model)},
                {"fits", selection_table(f.fits).rows}};
  if (!output.empty()) r.document["model"] = output;
  return r;
}

Result run_mixture_select(const Job& job) {
  const auto o = job.options<MixtureFitOptions>();
  if (o.method != "em")
    throw Error(ExitCode::kUsage, "criteria are for --method em", "--method", "leave it out");
  const std::string output = one_output(job.invocation.outputs);
  if (o.family == "vmf") return select_vmf(job, o, output);
  const Fitted f = fit(o, job);
  const Table table = selection_table(f.fits);
  if (!output.empty() && output != "-") table.write(output);
  write_page(job.common.plot, title_of(job.invocation.inputs[0]), f, o.plot_columns, o.criterion);
  Result r;
  r.document = {{"criterion", o.criterion}, {"best", f.best}, {"fits", table.rows}};
  r.text = output == "-" ? table.csv() : selection_text(f.fits, f.best);
  return r;
}

Result run_mixture_predict(const Job& job) {
  const auto o = job.options<MixturePredictOptions>();
  const std::string output = one_output(job.invocation.outputs);
  const Loaded l = load(o, job);
  const std::string& input = job.invocation.inputs[1];
  const Samples s = read_samples(input, o.table, l.columns);
  const at::Tensor labels =
      in_file(input, [&] { return l.ask([&](const auto& m) { return m.predict(s.x); }); });
  std::vector<std::string> names = {"component"};
  std::vector<at::Tensor> columns = {labels};
  if (o.responsibilities) {
    columns.push_back(l.ask([&](const auto& m) { return m.predict_proba(s.x); }));
    for (int64_t c = 0; c < l.components(); ++c) names.push_back("p" + std::to_string(c));
  }
  const at::Tensor counts = at::bincount(labels, {}, l.components());
  Result r;
  r.document = {{"rows", labels.size(0)},
                {"counts", std::vector<int64_t>(counts.data_ptr<int64_t>(),
                                                counts.data_ptr<int64_t>() + counts.numel())}};
  const std::string csv = output.empty() ? "" : write_table(output, table_of(names, columns));
  for (int64_t c = 0; c < l.components(); ++c)
    r.text +=
        "component " + std::to_string(c) + ": " + count_text(counts[c].item<int64_t>()) + " rows\n";
  if (s.y.defined()) {
    std::vector<int64_t> own, told;
    for (int64_t i = 0; i < labels.size(0); ++i) {
      if (std::isnan(s.y.data_ptr<double>()[i])) continue;
      own.push_back(labels.data_ptr<int64_t>()[i]);
      told.push_back(std::llround(s.y.data_ptr<double>()[i]));
    }
    const double rand = mixture::adjusted_rand_index(own, told);
    r.document["adjusted_rand_index"] = rand;
    r.text +=
        "adjusted Rand index against " + o.table.target + ": " + number_text("%.4f", rand) + "\n";
  }
  if (output == "-") r.text = csv;
  return r;
}

Result run_mixture_score(const Job& job) {
  const auto o = job.options<MixtureScoreOptions>();
  const std::string output = one_output(job.invocation.outputs);
  const Loaded l = load(o, job);
  const std::string& input = job.invocation.inputs[1];
  const Samples s = read_samples(input, o.table, l.columns);
  const at::Tensor log_density =
      in_file(input, [&] { return l.ask([&](const auto& m) { return m.score_samples(s.x); }); });
  const double mean =
      in_file(input, [&] { return l.ask([&](const auto& m) { return m.score(s.x, s.weights); }); });
  const std::string csv =
      output.empty() ? "" : write_table(output, table_of({"log_density"}, {log_density}));
  Result r;
  r.document = {{"rows", s.x.size(0)}, {"mean_log_density", mean}};
  r.text = output == "-" ? csv
                         : "mean log-density of " + count_text(s.x.size(0)) +
                               " rows: " + number_text("%.6f", mean) + " nats\n";
  return r;
}

Result run_mixture_sample(const Job& job) {
  const auto o = job.options<MixtureSampleOptions>();
  const std::string output = one_output(job.invocation.outputs);
  const Loaded l = load(o, job);
  at::Tensor labels;
  const at::Tensor x =
      l.ask([&](const auto& m) { return m.sample(o.samples, job.common.seed, labels); });
  std::vector<std::string> names = l.columns;
  std::vector<at::Tensor> columns = {x};
  if (o.labels) {
    names.push_back("component");
    columns.push_back(labels);
  }
  Result r;
  r.document = {{"rows", o.samples}};
  r.text = write_table(output, table_of(names, columns));
  return r;
}

Result run_mixture_inspect(const Job& job) {
  const auto o = job.options<MixtureInspectOptions>();
  const Loaded l = load(job.invocation.inputs[0]);
  if (const auto* vmf = std::get_if<mixture::VonMisesFisherMixture>(&l.model)) {
    if (!o.plot_columns.empty())
      throw Error(ExitCode::kUsage, "directions are shown as they are", "--plot-columns",
                  "leave it out");
    return inspect_vmf(job, *vmf, l.columns, l.file);
  }
  const auto& model = std::get<GaussianMixture>(l.model);
  Fitted f;
  f.model = model;
  f.samples.names = l.columns;
  if (l.file.arrays.contains("trace")) {
    f.trace = l.file.doubles("trace", {-1});
    f.trace_name = l.file.text("trace_name");
  }
  write_page(job.common.plot, title_of(job.invocation.inputs[0]), f, o.plot_columns, "bic");
  const json& fields = l.file.fields;
  const std::string method = fields.contains("method") ? l.file.text("method") : "hand";
  json facts = fields.value("fit", json::object());
  if (!facts.is_object()) l.file.refuse("fit", "is no object");
  for (const auto& [name, value] : facts.items())
    if (!value.is_number() && !value.is_boolean()) l.file.refuse("fit." + name, "is no number");
  Result r;
  r.document = {{"schema", l.file.schema},
                {"version", l.file.version},
                {"family", l.file.text("family")},
                {"covariance", model.options().covariance},
                {"method", method},
                {"columns", l.columns},
                {"fit", facts},
                {"components", components_of(model)}};
  r.text = headline(model, method, facts) +
           components_text(model.weights(), model.means(), {}, l.columns);
  return r;
}

}  // namespace covary::cli
