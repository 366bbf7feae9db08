// Processes on disk: the kernel as text with bounds and ties, data and report; no factor.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/process/gp.h"
#include "covary/stat/process/model_parts.h"

namespace covary::stat {

using nlohmann::json;

// JSON has no infinity: null stands for a bound that is not set.
json finite_or_null(double value) { return std::isfinite(value) ? json(value) : json(); }

void put_tensor(data::Model* model, const std::string& name, const at::Tensor& t) {
  const at::Tensor c = t.contiguous();
  model->put(name, {c.const_data_ptr<double>(), c.const_data_ptr<double>() + c.numel()},
             c.sizes().vec());
}

at::Tensor tensor_of(const data::Model& model, const std::string& name,
                     const std::vector<int64_t>& shape) {
  const std::vector<double>& values = model.doubles(name, shape);
  std::vector<int64_t> sizes;
  for (size_t i = 0; i < shape.size(); ++i) sizes.push_back(model.size(name, i));
  at::Tensor t = at::empty(sizes, at::kDouble);
  std::copy(values.begin(), values.end(), t.data_ptr<double>());
  return t;
}

void put_noise(data::Model* model, const RowNoise& noise) {
  if (noise.variances.defined()) put_tensor(model, "noise", noise.variances);
  if (noise.weights.defined()) put_tensor(model, "weights", noise.weights);
}

RowNoise noise_of(const data::Model& model, int64_t n) {
  RowNoise noise;
  if (model.arrays.contains("noise")) noise.variances = tensor_of(model, "noise", {n});
  if (model.arrays.contains("weights")) noise.weights = tensor_of(model, "weights", {n});
  return noise;
}

json parameters_json(const Kernel& kernel) {
  json parameters = json::array();
  for (const KernelParameter& p : kernel.parameters()) {
    parameters.push_back({{"name", p.name},
                          {"value", p.value},
                          {"lower", finite_or_null(p.lower)},
                          {"upper", finite_or_null(p.upper)},
                          {"fixed", p.fixed},
                          {"tied_to", p.tied_to},
                          {"prior", p.prior.text()}});
  }
  return parameters;
}

Kernel kernel_of(const data::Model& model, int64_t dims) {
  try {
    Kernel kernel = Kernel::parse(model.text("kernel"), dims);
    std::vector<KernelParameter>& parameters = kernel.parameters();
    const json& stored = model.fields.at("parameters");
    if (!stored.is_array() || stored.size() != parameters.size()) {
      model.refuse("parameters", "are not those of its kernel");
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      const json& p = stored[i];
      const auto tied = p.at("tied_to").get<int64_t>();
      const auto value = p.at("value").get<double>();
      if (p.at("name") != parameters[i].name || tied >= static_cast<int64_t>(parameters.size()) ||
          !(value > 0 || parameters[i].real) || !std::isfinite(value)) {
        model.refuse("parameters[" + std::to_string(i) + "]", "does not fit the kernel");
      }
      parameters[i].value = value;
      parameters[i].lower = p.at("lower").is_null() ? -std::numeric_limits<double>::infinity()
                                                    : p.at("lower").get<double>();
      parameters[i].upper = p.at("upper").is_null() ? std::numeric_limits<double>::infinity()
                                                    : p.at("upper").get<double>();
      parameters[i].fixed = p.at("fixed").get<bool>();
      parameters[i].tied_to = tied < 0 ? -1 : tied;
      parameters[i].prior = Prior::parse(p.at("prior").get<std::string>());
    }
    return kernel;
  } catch (const json::exception& e) {
    model.refuse("parameters", std::string("are not those of a kernel: ") + e.what());
  } catch (const Error& e) {
    if (e.code() == ExitCode::kData) throw;
    model.refuse("kernel", e.what());
  }
}

data::Model GaussianProcess::model() const {
  static constexpr const char* kMeans[] = {"zero", "const", "linear", "quadratic"};
  data::Model m{.schema = "covary.process", .version = 1, .fields = {{"method", "exact"}}};
  m.fields.update({{"kernel", kernel_.text()},
                   {"mean", kMeans[static_cast<size_t>(data_.mean)]},
                   {"parameters", parameters_json(kernel_)},
                   {"vector_y", data_.vector_y},
                   {"fitted", report_.fitted},
                   {"ending", numeric::name_of(report_.ending)},
                   {"gradient_norm", finite_or_null(report_.gradient_norm)},
                   {"iterations", report_.iterations},
                   {"evaluations", report_.evaluations},
                   {"at_bound", report_.at_bound},
                   {"log_likelihood", report_.log_likelihood}});
  put_tensor(&m, "X", data_.x);
  put_tensor(&m, "y", data_.y);
  put_noise(&m, data_.noise);
  // The mean's columns were scaled by the first data; points that came later did not change that.
  m.put("centre", data_.centre, {data_.dims});
  m.put("scale", data_.scale, {data_.dims});
  return m;
}

GaussianProcess GaussianProcess::of_model(const data::Model& model) {
  GaussianProcess gp;
  model.text("method", {"exact"});
  const at::Tensor x = tensor_of(model, "X", {-1, -1}), y = tensor_of(model, "y", {x.size(0), -1});
  const std::string mean = model.text("mean", {"zero", "const", "linear", "quadratic"});
  try {
    const json& j = model.fields;
    const bool vector_y = j.at("vector_y").get<bool>() && y.size(1) == 1;
    gp.data_ =
        GpData::from(x, vector_y ? y.squeeze(1) : y, noise_of(model, x.size(0)), mean_of(mean),
                     /*constant_columns=*/true);
    gp.data_.centre = model.doubles("centre", {x.size(1)});
    gp.data_.scale = model.doubles("scale", {x.size(1)});
    for (size_t k = 0; k < gp.data_.scale.size(); ++k) {
      const double s = gp.data_.scale[k];
      if (!(s > 0) || std::isinf(s)) model.refuse("scale", "must be positive and finite");
      if (!std::isfinite(gp.data_.centre[k])) model.refuse("centre", "must be finite");
    }
    gp.data_.form_groups();
    gp.report_.fitted = j.at("fitted").get<bool>();
    numeric::ending_of(j.at("ending").get<std::string>(), &gp.report_.ending);
    gp.report_.gradient_norm = j.at("gradient_norm").is_null()
                                   ? std::numeric_limits<double>::infinity()
                                   : j.at("gradient_norm").get<double>();
    gp.report_.iterations = j.at("iterations").get<int64_t>();
    gp.report_.evaluations = j.at("evaluations").get<int64_t>();
    gp.report_.at_bound = j.at("at_bound").get<std::vector<std::string>>();
  } catch (const json::exception& e) {
    throw Error(ExitCode::kData, std::string("is no process: ") + e.what(), model.path);
  }
  gp.kernel_ = kernel_of(model, gp.data_.dims);
  gp.condition();
  return gp;
}

}  // namespace covary::stat
