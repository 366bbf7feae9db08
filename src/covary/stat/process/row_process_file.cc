// Processes of several functions a row as text, as JSON and on disk.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/model_parts.h"
#include "covary/stat/process/row_process.h"

namespace covary::stat {

using nlohmann::json;

std::string RowProcess::text() const {
  char line[200];
  const RowReport& r = report_;
  const int64_t d = all_x_.size(1);
  std::string s = "method          " + r.method + " (" + r.why + ")\n";
  s += "data            " + std::to_string(all_x_.size(0)) + " rows, " + std::to_string(d) +
       (d == 1 ? " column\n" : " columns\n");
  s += "likelihood      " + std::string(likelihood_.name());
  s += likelihood_.softmax() ? ", " + std::to_string(means_.size()) + " classes\n" : "\n";
  s += "mean            " + mean_ + "\n";
  const auto row = [&](const std::string& name, double value, const char* state) {
    std::snprintf(line, sizeof line, "  %-26s %.6g%s\n", name.c_str(), value, state);
    s += line;
  };
  for (size_t k = 0; k < kernels_.size(); ++k) {
    for (const KernelParameter& p : kernels_[k].parameters()) {
      const std::string name = (k == 1 ? "noise." : "") + p.name;
      const bool held = std::find(r.at_bound.begin(), r.at_bound.end(), name) != r.at_bound.end();
      row(name, p.value, p.fixed ? "  fixed" : held ? "  at bound" : "");
    }
  }
  for (size_t k = 0; k < means_.size(); ++k) {
    row(likelihood_.softmax() ? "mean of class " + std::to_string(k)
        : k == 0              ? "mean of the function"
                              : "mean of the log variance",
        means_[k], "");
  }
  std::snprintf(line, sizeof line, "log likelihood  %s %.6f nats\n",
                likelihood_.softmax() ? "about" : "at least", r.log_likelihood);
  s += line;
  if (r.fitted) {
    std::snprintf(line, sizeof line,
                  "fit             %s after %lld steps, %lld evaluations, gradient %.2g\n",
                  r.ending.c_str(), static_cast<long long>(r.iterations),
                  static_cast<long long>(r.evaluations), r.gradient_norm);
    s += line;
  } else {
    s += "fit             none: parameters as stated, or by the data\n";
  }
  return s;
}

json RowProcess::to_json() const {
  const RowReport& r = report_;
  json values = json::object(), texts = json::array();
  for (size_t k = 0; k < kernels_.size(); ++k) {
    texts.push_back(kernels_[k].text());
    for (const KernelParameter& p : kernels_[k].parameters()) {
      const std::string name = (k == 1 ? "noise." : "") + p.name;
      values[name] = {
          {"value", p.value},
          {"fixed", p.fixed},
          {"at_bound", std::find(r.at_bound.begin(), r.at_bound.end(), name) != r.at_bound.end()}};
    }
  }
  return {{"method", r.method},
          {"why", r.why},
          {"likelihood", likelihood_.name()},
          {"latents", likelihood_.latents()},
          {"kernels", texts},
          {"mean", mean_},
          {"means", means_},
          {"parameters", values},
          {"rows", all_x_.size(0)},
          {"log_likelihood", r.log_likelihood},
          {"converged", r.converged},
          {"fit",
           {{"fitted", r.fitted},
            {"ending", r.ending},
            {"gradient_norm", finite_or_null(r.gradient_norm)},
            {"iterations", r.iterations},
            {"evaluations", r.evaluations}}}};
}

data::Model RowProcess::model() const {
  data::Model m{.schema = "covary.rows", .version = 1};
  m.fields = {{"method", report_.method},
              {"why", report_.why},
              {"likelihood", likelihood_.name()},
              {"mean", mean_},
              {"kernel", kernels_[0].text()},
              {"parameters", parameters_json(kernels_[0])},
              {"fitted", report_.fitted},
              {"ending", report_.ending},
              {"gradient_norm", finite_or_null(report_.gradient_norm)},
              {"iterations", report_.iterations},
              {"evaluations", report_.evaluations},
              {"at_bound", report_.at_bound}};
  if (kernels_.size() > 1)
    m.fields["noise"] = {{"kernel", kernels_[1].text()},
                         {"parameters", parameters_json(kernels_[1])}};
  put_tensor(&m, "X", all_x_);
  put_tensor(&m, "y", all_y_);
  m.put("means", means_, {static_cast<int64_t>(means_.size())});
  m.put("units", units_, {static_cast<int64_t>(units_.size())});
  return m;
}

RowProcess RowProcess::of_model(const data::Model& model) {
  RowProcess r;
  const std::string family = model.text("likelihood", {"heteroscedastic", "softmax"});
  const bool softmax = family == "softmax";
  const at::Tensor x = tensor_of(model, "X", {-1, -1});
  const at::Tensor y = tensor_of(model, "y", {x.size(0)});
  r.means_ = model.doubles("means", {-1});
  r.units_ = model.doubles("units", {static_cast<int64_t>(r.means_.size())});
  for (const std::vector<double>* list : {&r.means_, &r.units_}) {
    for (const double v : *list) {
      if (!std::isfinite(v)) model.refuse("means", "and their units must be finite");
    }
  }
  for (const double v : r.units_) {
    if (!(v > 0)) model.refuse("units", "must be positive");
  }
  const auto latents = static_cast<int64_t>(r.means_.size());
  if (latents < 2 || latents > 1000 || (!softmax && latents != 2))
    model.refuse("means", "are not as many as the likelihood has functions");
  r.likelihood_ = RowLikelihood::parse(family, softmax ? latents : 0);
  r.mean_ = model.text("mean", {"zero", "const"});
  r.free_means_ = r.mean_ == "const";
  r.kernels_.push_back(kernel_of(model, x.size(1)));
  if (!softmax) {
    if (!model.fields.contains("noise") || !model.fields.at("noise").is_object())
      model.refuse("noise", "is missing");
    data::Model part;
    part.fields = model.fields.at("noise");
    part.path = model.path;
    r.kernels_.push_back(kernel_of(part, x.size(1)));
  }
  for (const Kernel& kernel : r.kernels_) {
    if (kernel.has(ParameterRole::kNoise)) model.refuse("kernel", "must not have white");
  }
  r.likelihood_.check({y.const_data_ptr<double>(), static_cast<size_t>(y.numel())});
  r.take(x, y);
  r.choose(model.text("method", {"vi", "state-space", "laplace"}));
  r.report_.why = model.text("why");
  r.condition();
  try {
    const json& j = model.fields;
    r.report_.fitted = j.at("fitted").get<bool>();
    r.report_.ending = j.at("ending").get<std::string>();
    r.report_.gradient_norm = j.at("gradient_norm").is_null()
                                  ? std::numeric_limits<double>::infinity()
                                  : j.at("gradient_norm").get<double>();
    r.report_.iterations = j.at("iterations").get<int64_t>();
    r.report_.evaluations = j.at("evaluations").get<int64_t>();
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no process: ") + e.what(), model.path);
  }
  r.report_.at_bound = model.texts("at_bound");
  return r;
}

}  // namespace covary::stat
