// Regression behind a likelihood: choice, inference, predictions on the scale of the values, files.
#include <algorithm>
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/numeric/normal.h"
#include "covary/stat/process/model_parts.h"
#include "covary/stat/process/regression.h"
#include "covary/stat/process/row_likelihood.h"

namespace covary::stat {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool is_latent_method(const std::string& method) {
  return method == "svgp" || method == "laplace" || method == "ep" || method == "vi";
}

[[noreturn]] void refuse(const std::string& method, const std::string& what,
                         const std::string& hint) {
  throw Error(ExitCode::kUsage, what, "--method " + method, hint);
}

}  // namespace

bool asks_for_latent(const RegressionOptions& o) {
  return is_latent_method(o.method) || !o.likelihood.starts_with("gaussian");
}

MethodChoice choose_latent_method(const RegressionOptions& o, int64_t n, bool noise_given,
                                  bool weights_given) {
  if (RowLikelihood::knows(o.likelihood))
    refuse(o.method, o.likelihood + " sees several functions a row, a regression has one",
           "that process is of row_process.h");
  const Likelihood likelihood = Likelihood::parse(o.likelihood);
  MethodChoice c{.method = o.method, .why = "asked for"};
  if (o.method == "auto") {
    c.method = n <= kLatentRows ? "laplace" : "svgp";
    c.why = std::string(likelihood.name()) + " values, " + std::to_string(n) + " rows, " +
            (n <= kLatentRows ? "at most " : "more than ") + std::to_string(kLatentRows);
  }
  if (!is_latent_method(c.method))
    refuse(c.method, "knows normal values alone, not " + o.likelihood,
           "write --method laplace, ep, vi or svgp, or leave the option out");
  if (c.method == "ep" && !likelihood.log_concave())
    refuse(c.method,
           "needs a log-concave likelihood, which " + std::string(likelihood.name()) + " is not",
           "write --method laplace or vi");
  if (noise_given)
    refuse(c.method, "knows no variances of single rows",
           o.likelihood.starts_with("gaussian")
               ? "write --method exact, cg, sgpr, state-space or vecchia, or give weights"
               : "leave the column of them out, or give weights");
  if (weights_given && c.method == "ep")
    refuse(c.method, "knows no weights of rows", "write --method laplace or vi");
  if (o.mean == "linear")
    refuse(c.method, "knows the mean zero and const, not " + o.mean,
           "add linear to the kernel instead");
  return c;
}

void Regression::infer_latent(const RegressionOptions& o) {
  if (report_.choice.method == "svgp") {
    VariationalOptions v;
    v.kernel = o.kernel;
    v.likelihood = o.likelihood;
    v.mean = o.mean;
    v.inducing = o.inducing > 0 ? o.inducing : v.inducing;
    v.fit = o.fit;
    v.steps = 10 * o.steps;
    v.batch = o.batch;
    v.seed = o.seed;
    v.watch = o.watch;
    process_.emplace<VariationalProcess>(x_, y_, v, noise_.weights);
  } else {
    LatentOptions l;
    l.kernel = o.kernel;
    l.likelihood = o.likelihood;
    l.mean = o.mean;
    l.method = report_.choice.method;
    l.fit = o.fit;
    l.starts = std::min<int64_t>(o.restarts, l.starts);
    l.seed = o.seed;
    l.memory_limit = o.memory_limit;
    l.search.iterations = o.steps;
    l.search.watch = o.watch;
    process_.emplace<LatentProcess>(x_, y_, l, noise_.weights);
  }
  complete_latent_report();
}

void Regression::restore_latent(LatentModel model, const at::Tensor& inducing) {
  const RegressionReport before = report_;
  if (before.choice.method == "svgp") {
    process_.emplace<VariationalProcess>(x_, y_, std::move(model), inducing, noise_.weights);
  } else {
    process_.emplace<LatentProcess>(x_, y_, std::move(model), before.choice.method, noise_.weights);
  }
  complete_latent_report();
  // How the parameters came about is not forgotten.
  report_.fitted = before.fitted;
  report_.ending = before.ending;
  report_.gradient_norm = before.gradient_norm;
  report_.iterations = before.iterations;
  report_.evaluations = before.evaluations;
  for (size_t i = 0; i < report_.parameters.size() && i < before.parameters.size(); ++i)
    report_.parameters[i].at_bound = before.parameters[i].at_bound;
}

const LatentModel& Regression::latent_model() const {
  if (const auto* dense = std::get_if<LatentProcess>(&process_)) return dense->model();
  return std::get<VariationalProcess>(process_).model();
}

const Likelihood* Regression::likelihood() const {
  if (!is_latent()) return nullptr;
  const Likelihood& l = latent_model().likelihood;
  return l.kind() == LikelihoodKind::kGaussian ? nullptr : &l;
}

void Regression::complete_latent_report() {
  RegressionReport& r = report_;
  const LatentModel& model = latent_model();
  r.mean = mean_;
  r.rows = x_.size(0);
  r.weightless = noise_.weightless();
  r.columns = x_.size(1);
  r.kernel = model.kernel.text();
  r.likelihood = model.likelihood.text();
  std::vector<std::string> bound;
  if (const auto* dense = std::get_if<LatentProcess>(&process_)) {
    const LatentReport& l = dense->report();
    r.fitted = l.fitted;
    r.ending = numeric::name_of(l.ending);
    r.gradient_norm = l.gradient_norm;
    r.iterations = l.iterations;
    r.evaluations = l.evaluations;
    r.log_likelihood = l.log_likelihood;
    bound = l.at_bound;
  } else {
    const VariationalReport& v = std::get<VariationalProcess>(process_).report();
    r.fitted = v.fitted;
    r.ending = v.stopped ? "stopped" : "batches of " + std::to_string(v.batch) + " rows done";
    r.gradient_norm = std::numeric_limits<double>::infinity();
    r.iterations = r.evaluations = v.steps;
    r.log_likelihood = v.bound;
    r.inducing = v.inducing;
    const at::Tensor first = std::get<VariationalProcess>(process_).inducing();
    double diagonal = 0;
    model.kernel.diagonal(first.const_data_ptr<double>(), 1, false, &diagonal);
    r.jitter = v.jitter * diagonal;
  }
  const auto at_bound = [&](const std::string& name) {
    return std::find(bound.begin(), bound.end(), name) != bound.end();
  };
  r.parameters.clear();
  for (const KernelParameter& p : model.kernel.parameters())
    r.parameters.push_back({p.name, p.value, at_bound(p.name), p.fixed, p.dimension});
  for (const LikelihoodParameter& p : model.likelihood.parameters())
    r.parameters.push_back(
        {std::string(model.likelihood.name()) + "." + p.name, p.value, at_bound(p.name), p.fixed});
  if (mean_ == "const")
    r.parameters.push_back({"mean of the function", model.mean, at_bound("mean"), false});
}

LatentPrediction Regression::predict_function(const at::Tensor& points) const {
  if (const auto* dense = std::get_if<LatentProcess>(&process_)) return dense->predict(points);
  return std::get<VariationalProcess>(process_).predict(points);
}

// Of svgp: q's marginals without the factor that the row's expectation stands for at the optimum.
LatentPrediction Regression::leave_out_function() const {
  if (const auto* dense = std::get_if<LatentProcess>(&process_)) return dense->leave_one_out();
  LatentPrediction f = std::get<VariationalProcess>(process_).predict(x_);
  const LatentModel& model = latent_model();
  for (int64_t i = 0; i < y_.numel(); ++i) {
    const double y = y_[i].item<double>();
    const double weight = noise_.weights.defined() ? noise_.weights[i].item<double>() : 1;
    double &m = f.mean.data_ptr<double>()[i], &v = f.variance.data_ptr<double>()[i];
    if (std::isnan(y)) {
      m = v = kNan;
      continue;
    }
    ExpectedDensity e = model.likelihood.expected(y, m, v, {});
    e.by_mean *= weight;
    e.by_variance *= weight;
    const double own = -2 * e.by_variance, shift = e.by_mean + own * (m - model.mean);
    double prior = 0;
    const at::Tensor point = x_[i].contiguous();
    model.kernel.diagonal(point.const_data_ptr<double>(), 1, false, &prior);
    const double rest = std::max(1 / std::max(v, 1e-300) - own, 0.0);
    const double wider = std::clamp(1 / rest, v, std::max(prior, v));
    m = model.mean + wider * ((m - model.mean) / std::max(v, 1e-300) - shift);
    v = wider;
  }
  return f;
}

ValuePrediction Regression::predict_values(const at::Tensor& points,
                                           const std::vector<double>& quantiles, bool noise) const {
  if (report_.posterior) return mixed_values(points, quantiles, noise);
  ValuePrediction out;
  const Likelihood* l = likelihood();
  if (!l || !noise) {
    const auto [mean, variance] = predict(points, noise);
    out.mean = mean;
    out.sd = variance.sqrt();
    for (const double q : quantiles)
      out.quantiles.push_back(mean + numeric::normal_quantile(q) * out.sd);
    return out;
  }
  const LatentPrediction f = predict_function(points);
  const bool discrete = l->binary() || l->counts();
  out.mean = at::empty_like(f.mean);
  out.sd = at::empty_like(f.mean);
  for (size_t k = 0; k < quantiles.size(); ++k) out.quantiles.push_back(at::empty_like(f.mean));
  for (int64_t i = 0; i < f.mean.numel(); ++i) {
    const double m = f.mean.const_data_ptr<double>()[i], v = f.variance.const_data_ptr<double>()[i];
    const auto [mean, variance] = l->predict(m, v);
    out.mean.data_ptr<double>()[i] = mean;
    out.sd.data_ptr<double>()[i] = std::sqrt(discrete ? l->mean_variance(m, v) : variance);
    for (size_t k = 0; k < quantiles.size(); ++k)
      out.quantiles[k].data_ptr<double>()[i] = l->quantile(quantiles[k], m, v);
  }
  return out;
}

std::vector<ParameterError> Regression::latent_errors() const {
  const auto* dense = std::get_if<LatentProcess>(&process_);
  if (!dense) return {};
  // Kernel, likelihood and mean one after the other, as the report has them.
  LatentModel model = dense->model();
  SearchEnd end;
  end.at = model.kernel.pack();
  for (const KernelParameter* p : model.kernel.free_parameters()) end.real.push_back(p->real);
  const size_t of_kernel = end.at.size();
  const std::vector<double> logs = model.likelihood.pack();
  end.at.insert(end.at.end(), logs.begin(), logs.end());
  end.real.resize(end.at.size(), false);
  const bool free_mean = mean_ == "const";
  if (free_mean) {
    end.at.push_back(model.mean);
    end.real.push_back(true);
  }
  size_t index = 0;
  for (const FittedParameter& p : report_.parameters) {
    const std::vector<KernelParameter>& own = model.kernel.parameters();
    if (!p.fixed && !(index < own.size() && own[index].tied_to >= 0))
      end.held.push_back(p.at_bound);
    ++index;
  }
  end.gradient = [&](std::span<const double> at, std::vector<double>* gradient) {
    model.kernel.unpack(at.first(of_kernel));
    model.likelihood.unpack(at.subspan(of_kernel, logs.size()));
    if (free_mean) model.mean = at.back();
    LatentGradient g;
    if (!std::isfinite(dense->log_likelihood(model, &g))) return false;
    model.kernel.log_prior(g.kernel);
    model.likelihood.log_prior(g.likelihood);
    *gradient = model.kernel.pack_gradient(g.kernel);
    const std::vector<double> own = model.likelihood.pack_gradient(g.likelihood);
    gradient->insert(gradient->end(), own.begin(), own.end());
    if (free_mean) gradient->push_back(g.mean);
    return true;
  };
  std::vector<ParameterError> packed = search_errors(end);
  // A fixed parameter of the likelihood was not searched.
  auto next = packed.begin() + static_cast<std::ptrdiff_t>(of_kernel);
  for (const LikelihoodParameter& p : model.likelihood.parameters())
    next = p.fixed ? packed.insert(next, {.none = "fixed"}) + 1 : next + 1;
  return all_errors(model.kernel, packed);
}

void Regression::put_latent(data::Model* m) const {
  const LatentModel& model = latent_model();
  m->fields["kernel"] = model.kernel.text();
  m->fields["parameters"] = parameters_json(model.kernel);
  m->fields["likelihood"] = model.likelihood.text();
  m->fields["function_mean"] = model.mean;
  if (const auto* v = std::get_if<VariationalProcess>(&process_)) {
    put_tensor(m, "inducing", v->inducing());
    const VariationalState q = v->state();
    const int64_t size = v->report().inducing;
    m->put("q_precision", q.precision, {size, size});
    m->put("q_shift", q.shift, {size});
    m->fields["jitter"] = v->report().jitter;
    m->fields["batch"] = v->report().batch;
    m->fields["bound"] = v->report().bound;
  }
}

void Regression::read_latent(const data::Model& m) {
  LatentModel model;
  model.kernel = kernel_of(m, x_.size(1));
  try {
    model.likelihood = Likelihood::parse(m.text("likelihood"));
  } catch (const Error& e) {
    if (e.code() == ExitCode::kData) throw;
    m.refuse("likelihood", e.what());
  }
  model.mean = m.number("function_mean");
  if (report_.choice.method != "svgp") {
    restore_latent(std::move(model), {});
    return;
  }
  const at::Tensor z = tensor_of(m, "inducing", {-1, x_.size(1)});
  const VariationalState q{m.doubles("q_precision", {z.size(0), z.size(0)}),
                           m.doubles("q_shift", {z.size(0)})};
  VariationalReport r;
  r.jitter = m.number("jitter");
  r.batch = static_cast<int64_t>(std::clamp(m.number("batch"), 0.0, 9e15));
  r.bound = m.number("bound");
  if (!(r.jitter >= 0 && r.jitter < 1)) m.refuse("jitter", "must lie in [0, 1)");
  for (const double v : q.precision) {
    if (!std::isfinite(v)) m.refuse("q_precision", "must be finite");
  }
  for (const double v : q.shift) {
    if (!std::isfinite(v)) m.refuse("q_shift", "must be finite");
  }
  process_.emplace<VariationalProcess>(std::move(model), z, q, r);
  complete_latent_report();
}

}  // namespace covary::stat
