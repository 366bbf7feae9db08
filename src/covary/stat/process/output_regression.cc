#include "covary/stat/process/output_regression.h"

#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/model_parts.h"

namespace covary::stat {
namespace {

using nlohmann::json;

std::string number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return text;
}

// The kernel without its white, which is the outputs' noise.
std::string smooth_part(const std::string& text, int64_t dims) {
  const Kernel parsed = Kernel::parse(text, dims);
  for (const KernelParameter& p : parsed.parameters()) {
    if (p.role == ParameterRole::kNoise && p.given)
      throw Error(ExitCode::kUsage, "states a variance of white: every output has its own noise",
                  "kernel", "leave white out");
  }
  const KernelTerms terms = part_from_white(text);
  if (terms.smooth.empty())
    throw Error(ExitCode::kUsage, "is white alone", "kernel", "several outputs need a function");
  return terms.smooth;
}

at::Tensor column(const at::Tensor& y, int64_t o) { return y.select(1, o).contiguous(); }

std::vector<std::vector<double>> rows_of(const at::Tensor& t) {
  std::vector<std::vector<double>> rows;
  for (int64_t i = 0; i < t.size(0); ++i) {
    rows.emplace_back();
    for (int64_t j = 0; j < t.size(1); ++j) rows.back().push_back(t[i][j].item<double>());
  }
  return rows;
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

}  // namespace

OutputForm OutputForm::parse(const std::string& text) {
  const size_t colon = text.find(':');
  const std::string name = text.substr(0, colon);
  const std::string hint = "write icm:RANK, lmc:KERNELS or independent";
  OutputForm form;
  if (name == "independent" && colon == std::string::npos) {
    form.independent = true;
    return form;
  }
  if (name != "icm" && name != "icl" && name != "lmc")
    throw Error(ExitCode::kUsage, "there is no such choice", "--outputs " + text, hint);
  int64_t count = 1;
  if (colon != std::string::npos) {
    const std::string digits = text.substr(colon + 1);
    if (digits.empty() || digits.size() > 3 ||
        digits.find_first_not_of("0123456789") != std::string::npos)
      throw Error(ExitCode::kUsage, "needs a number after the colon", "--outputs " + text, hint);
    count = std::strtoll(digits.c_str(), nullptr, 10);
  }
  if (name == "lmc" && count < 1)
    throw Error(ExitCode::kUsage, "needs one kernel at least", "--outputs " + text, hint);
  (name == "lmc" ? form.latent : form.rank) = count;
  return form;
}

std::string OutputForm::text() const {
  if (independent) return "independent";
  return latent > 1 ? "lmc:" + std::to_string(latent) : "icm:" + std::to_string(rank);
}

OutputRegression::OutputRegression(const at::Tensor& x, const at::Tensor& y, const OutputForm& form,
                                   const RegressionOptions& options)
    : form_(form), mean_(options.mean), x_(x), y_(y) {
  options.check();
  if (!x.defined() || x.dim() != 2 || !y.defined() || y.dim() != 2 || x.size(0) != y.size(0) ||
      y.size(1) < 1)
    throw Error(ExitCode::kUsage, "needs X [n,d] and Y [n,m]", "regression of several outputs");
  if (!options.likelihood.starts_with("gaussian"))
    throw Error(ExitCode::kUsage, "several outputs are normal in this version",
                "--likelihood " + options.likelihood, "fit such outputs one by one");
  if (!form.independent) {
    if (options.method != "auto" && options.method != "exact")
      throw Error(ExitCode::kUsage, "knows one output", "--method " + options.method,
                  "leave it out, or write --outputs independent");
    if (mean_ != "zero" && mean_ != "const")
      throw Error(ExitCode::kUsage, "outputs that are fitted together know zero and const",
                  "--mean " + mean_, "leave it out, or write --outputs independent");
  }
  infer(options);
}

void OutputRegression::infer(const RegressionOptions& o) {
  each_.clear();
  process_.reset();
  if (form_.independent) {
    for (int64_t k = 0; k < y_.size(1); ++k) each_.emplace_back(x_, column(y_, k), o);
    return;
  }
  MultiOutputOptions m;
  m.kernels.assign(static_cast<size_t>(form_.latent), smooth_part(o.kernel, x_.size(1)));
  m.rank = form_.rank;
  m.mean = mean_;
  m.fit = o.fit;
  m.seed = o.seed;
  m.memory_limit = o.memory_limit;
  m.search.iterations = o.steps;
  m.search.watch = o.watch;
  process_.emplace(x_, y_, m);
  search_ = process_->report();
}

MultiOutputPrediction OutputRegression::predict(const at::Tensor& points, bool noise) const {
  if (process_) return process_->predict(points, noise);
  std::vector<at::Tensor> means, variances;
  for (const Regression& r : each_) {
    const auto [mean, variance] = r.predict(points, noise);
    means.push_back(mean);
    variances.push_back(variance);
  }
  return {at::stack(means, 1), at::stack(variances, 1)};
}

MultiOutputPrediction OutputRegression::leave_one_out() const {
  if (process_) return process_->leave_one_out();
  std::vector<at::Tensor> means, variances;
  for (const Regression& r : each_) {
    const auto [mean, variance] = r.leave_one_out();
    means.push_back(mean);
    variances.push_back(variance);
  }
  return {at::stack(means, 1), at::stack(variances, 1)};
}

at::Tensor OutputRegression::sample(const at::Tensor& points, int64_t count, uint64_t seed) const {
  if (process_) return process_->sample(points, count, seed);
  std::vector<at::Tensor> draws;
  // A stream of random numbers an output: draws of different outputs are independent.
  for (size_t k = 0; k < each_.size(); ++k)
    draws.push_back(each_[k].sample(points, count, seed + 0x9E3779B97F4A7C15u * k));
  return at::stack(draws, 2);
}

void OutputRegression::update(const at::Tensor& x, const at::Tensor& y, bool refit) {
  const at::Tensor rows = checked_points(x, x_.size(1), "X");
  if (!y.defined() || y.dim() != 2 || y.size(0) != rows.size(0) || y.size(1) != y_.size(1))
    throw Error(ExitCode::kUsage, "needs a column of Y an output", "update");
  for (size_t k = 0; k < each_.size(); ++k)
    each_[k].update(rows, column(y, static_cast<int64_t>(k)), {}, refit);
  x_ = at::cat({x_, rows});
  y_ = at::cat({y_, y});
  if (!process_) return;
  MultiOutputParameters parameters = process_->parameters();
  if (!refit) {
    process_.emplace(x_, y_, std::move(parameters), mean_);
    return;
  }
  MultiOutputOptions o;
  o.kernels.clear();
  for (const Kernel& kernel : parameters.kernels) o.kernels.push_back(kernel.text());
  o.rank = form_.rank;
  o.mean = mean_;
  process_.emplace(x_, y_, o);
  search_ = process_->report();
}

double OutputRegression::log_likelihood() const {
  if (process_) return process_->report().log_likelihood;
  double sum = 0;
  for (const Regression& r : each_) sum += r.report().log_likelihood;
  return sum;
}

at::Tensor OutputRegression::covariance_between() const {
  at::Tensor sum;
  for (size_t q = 0; process_ && q < process_->parameters().kernels.size(); ++q) {
    const at::Tensor b = process_->parameters().between(q);
    sum = sum.defined() ? sum + b : b;
  }
  return sum;
}

std::string OutputRegression::text(const std::vector<std::string>& outputs) const {
  std::string s = "outputs         " + form_.text() + ", " + std::to_string(outputs.size()) + "\n";
  if (!process_) {
    for (size_t k = 0; k < each_.size(); ++k)
      s += "\noutput          " + outputs[k] + "\n" + each_[k].report().text();
    return s;
  }
  const MultiOutputParameters& p = process_->parameters();
  const MultiOutputReport& r = process_->report();
  const int64_t missing = y_.isnan().sum().item<int64_t>();
  s += "data            " + std::to_string(x_.size(0)) + " rows, " + std::to_string(x_.size(1)) +
       (x_.size(1) == 1 ? " column" : " columns");
  s += missing > 0 ? ", " + std::to_string(missing) + " values missing\n" : "\n";
  s += std::string("method          exact, ") +
       (r.kronecker ? "by eigenvectors of rows and outputs\n" : "one factor of all values\n");
  s += "mean            " + mean_ + "\n";
  for (size_t q = 0; q < p.kernels.size(); ++q) {
    s += "latent kernel " + std::to_string(q + 1) + "\n";
    for (const KernelParameter& k : p.kernels[q].parameters())
      s += "  " + padded(k.name, 27) + number(k.value) + (k.fixed ? "  fixed" : "") + "\n";
  }
  const at::Tensor between = covariance_between();
  const at::Tensor sd = between.diagonal().sqrt();
  s += "outputs         deviation of the function, of the noise, and correlations\n";
  for (size_t a = 0; a < outputs.size(); ++a) {
    const auto i = static_cast<int64_t>(a);
    s += "  " + padded(outputs[a], 14) + padded(number(sd[i].item<double>()), 13) +
         padded(number(p.noise[i].sqrt().item<double>()), 13);
    for (int64_t j = 0; j < between.size(0); ++j) {
      char cell[16];
      std::snprintf(cell, sizeof cell, "%7.3f", (between[i][j] / (sd[i] * sd[j])).item<double>());
      s += cell;
    }
    s += "\n";
  }
  char line[160];
  std::snprintf(line, sizeof line, "log likelihood  %.6f nats\n", r.log_likelihood);
  s += line;
  if (search_.fitted) {
    std::snprintf(line, sizeof line, "%s after %lld steps, %lld evaluations, gradient %.2g\n",
                  std::string(numeric::name_of(search_.ending)).c_str(),
                  static_cast<long long>(search_.iterations),
                  static_cast<long long>(search_.evaluations), search_.gradient_norm);
    s += std::string("fit             ") + line;
  } else {
    s += "fit             none: parameters as stated, or by the data\n";
  }
  return s;
}

json OutputRegression::to_json(const std::vector<std::string>& outputs) const {
  json j = {{"outputs", form_.text()},
            {"targets", outputs},
            {"mean", mean_},
            {"rows", x_.size(0)},
            {"values", at::logical_not(at::isnan(y_)).sum().item<int64_t>()},
            {"log_likelihood", log_likelihood()}};
  if (!process_) {
    j["method"] = "independent";
    json of = json::object();
    for (size_t k = 0; k < each_.size(); ++k) of[outputs[k]] = each_[k].report().to_json();
    j["of"] = of;
    return j;
  }
  const MultiOutputParameters& p = process_->parameters();
  j["method"] = "exact";
  j["form"] = process_->report().kronecker ? "kronecker" : "dense";
  j["latent"] = json::array();
  for (size_t q = 0; q < p.kernels.size(); ++q) {
    j["latent"].push_back({{"kernel", p.kernels[q].text()}, {"between", rows_of(p.between(q))}});
  }
  j["between"] = rows_of(covariance_between());
  json noise = json::object(), means = json::object();
  for (size_t k = 0; k < outputs.size(); ++k) {
    noise[outputs[k]] = p.noise[static_cast<int64_t>(k)].item<double>();
    means[outputs[k]] = process_->report().means[k];
  }
  j["noise"] = noise;
  j["means"] = means;
  j["fit"] = {{"fitted", search_.fitted},
              {"ending", numeric::name_of(search_.ending)},
              {"gradient_norm", finite_or_null(search_.gradient_norm)},
              {"iterations", search_.iterations},
              {"evaluations", search_.evaluations}};
  return j;
}

data::Model OutputRegression::model() const {
  data::Model m{.schema = "covary.outputs", .version = 1};
  m.fields = {{"outputs", form_.text()}, {"mean", mean_}};
  put_tensor(&m, "X", x_);
  put_tensor(&m, "y", y_);
  m.fields["parts"] = json::array();
  for (size_t k = 0; k < each_.size(); ++k) {
    const data::Model part = each_[k].model();
    m.fields["parts"].push_back(part.fields);
    for (const auto& [name, array] : part.arrays)
      m.arrays["output" + std::to_string(k) + "_" + name] = array;
  }
  if (!process_) return m;
  const MultiOutputParameters& p = process_->parameters();
  for (size_t q = 0; q < p.kernels.size(); ++q) {
    m.fields["parts"].push_back(
        {{"kernel", p.kernels[q].text()}, {"parameters", parameters_json(p.kernels[q])}});
    put_tensor(&m, "loadings" + std::to_string(q), p.loadings[q]);
    put_tensor(&m, "own" + std::to_string(q), p.own[q]);
  }
  put_tensor(&m, "noise", p.noise);
  m.fields["fitted"] = search_.fitted;
  m.fields["ending"] = numeric::name_of(search_.ending);
  m.fields["gradient_norm"] = finite_or_null(search_.gradient_norm);
  m.fields["iterations"] = search_.iterations;
  m.fields["evaluations"] = search_.evaluations;
  return m;
}

OutputRegression OutputRegression::of_model(const data::Model& model) {
  OutputRegression r;
  try {
    r.form_ = OutputForm::parse(model.text("outputs"));
  } catch (const Error& e) {
    if (e.code() == ExitCode::kData) throw;
    model.refuse("outputs", e.message());
  }
  r.mean_ = model.text("mean", {"zero", "const", "linear", "quadratic"});
  r.x_ = tensor_of(model, "X", {-1, -1});
  r.y_ = tensor_of(model, "y", {r.x_.size(0), -1});
  const int64_t m = r.y_.size(1);
  const json parts = model.fields.contains("parts") ? model.fields["parts"] : json();
  const int64_t count = r.form_.independent ? m : r.form_.latent;
  if (m < 1 || !parts.is_array() || static_cast<int64_t>(parts.size()) != count)
    model.refuse("parts", "are not as many as there are outputs or kernels");
  MultiOutputParameters p;
  for (int64_t k = 0; k < count; ++k) {
    const std::string of = std::to_string(k);
    data::Model part{.schema = "covary.process", .version = 1};
    part.fields = parts[static_cast<size_t>(k)];
    part.path = model.path;
    if (!part.fields.is_object()) model.refuse("parts", "hold something else than processes");
    if (r.form_.independent) {
      const std::string prefix = "output" + of + "_";
      for (const auto& [name, array] : model.arrays)
        if (name.starts_with(prefix)) part.arrays[name.substr(prefix.size())] = array;
      r.each_.push_back(Regression::of_model(part));
      if (r.each_.back().x().size(1) != r.x_.size(1))
        model.refuse("parts", "are of other columns than X");
    } else {
      p.kernels.push_back(kernel_of(part, r.x_.size(1)));
      p.loadings.push_back(tensor_of(model, "loadings" + of, {m, -1}));
      p.own.push_back(tensor_of(model, "own" + of, {m}));
    }
  }
  if (r.form_.independent) return r;
  p.noise = tensor_of(model, "noise", {m});
  try {
    const json& j = model.fields;
    r.search_.fitted = j.at("fitted").get<bool>();
    numeric::ending_of(j.at("ending").get<std::string>(), &r.search_.ending);
    r.search_.gradient_norm = j.at("gradient_norm").is_null()
                                  ? std::numeric_limits<double>::infinity()
                                  : j.at("gradient_norm").get<double>();
    r.search_.iterations = j.at("iterations").get<int64_t>();
    r.search_.evaluations = j.at("evaluations").get<int64_t>();
    r.process_.emplace(r.x_, r.y_, std::move(p), r.mean_);
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no process of several outputs: ") + e.what(),
                model.path);
  } catch (const Error& e) {
    if (e.code() != ExitCode::kUsage) throw;
    throw Error(ExitCode::kData, e.message(), model.path + ": " + e.where());
  }
  return r;
}

}  // namespace covary::stat
