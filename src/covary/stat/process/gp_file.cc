// Processes on disk: the kernel as text with bounds and ties, data and report; no factor.
#include <cmath>
#include <limits>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/data/archive.h"
#include "covary/stat/process/gp.h"

namespace covary::stat {
namespace {

constexpr int kVersion = 1;

void write(data::CovWriter& file, const std::string& name, const at::Tensor& t) {
  file.array(name, data::DType::kFloat64, t.sizes().vec(), t.const_data_ptr<double>());
}

at::Tensor read(const data::CovReader& file, const std::string& name, const std::string& where) {
  const data::Array a = file.array(name);
  if (a.dtype != data::DType::kFloat64) {
    throw Error(ExitCode::kData, "must hold doubles", where + ": " + name);
  }
  at::Tensor t = at::empty(a.shape, at::kDouble);
  std::copy_n(a.as<double>(), a.count(), t.data_ptr<double>());
  return t;
}

// JSON has no infinity: null stands for a bound that is not set.
nlohmann::json bound(double value) {
  return std::isfinite(value) ? nlohmann::json(value) : nlohmann::json();
}

}  // namespace

void GaussianProcess::save(const std::filesystem::path& path) const {
  nlohmann::json parameters = nlohmann::json::array();
  for (const KernelParameter& p : kernel_.parameters()) {
    parameters.push_back({{"name", p.name},
                          {"value", p.value},
                          {"lower", p.lower},
                          {"upper", bound(p.upper)},
                          {"fixed", p.fixed},
                          {"tied_to", p.tied_to},
                          {"prior", p.prior.text()}});
  }
  static constexpr const char* kMeans[] = {"zero", "const", "linear"};
  data::CovWriter file(path);
  file.json({{"schema", "covary.process"},
             {"version", kVersion},
             {"kernel", kernel_.text()},
             {"mean", kMeans[static_cast<size_t>(data_.mean)]},
             {"parameters", parameters},
             {"vector_y", data_.vector_y},
             {"fitted", report_.fitted},
             {"ending", numeric::name_of(report_.ending)},
             {"gradient_norm", bound(report_.gradient_norm)},
             {"iterations", report_.iterations},
             {"evaluations", report_.evaluations},
             {"at_bound", report_.at_bound},
             {"log_likelihood", report_.log_likelihood}});
  write(file, "X", data_.x);
  write(file, "y", data_.y);
  if (data_.noise.defined()) write(file, "noise", data_.noise);
  // The mean's columns were scaled by the first data; points that came later did not change that.
  write(file, "centre", at::tensor(data_.centre, at::kDouble));
  write(file, "scale", at::tensor(data_.scale, at::kDouble));
  file.commit();
}

GaussianProcess GaussianProcess::load(const std::filesystem::path& path) {
  const data::CovReader file(path);
  const std::string where = path.string();
  GaussianProcess gp;
  try {
    const nlohmann::json& j = file.json();
    if (j.at("schema") != "covary.process" || j.at("version") != kVersion) {
      throw Error(ExitCode::kData, "is no process of version " + std::to_string(kVersion), where);
    }
    const at::Tensor y = read(file, "y", where);
    gp.data_ = GpData::from(
        read(file, "X", where),
        j.at("vector_y").get<bool>() && y.dim() == 2 && y.size(1) == 1 ? y.squeeze(1) : y,
        file.has("noise") ? read(file, "noise", where) : at::Tensor(),
        mean_of(j.at("mean").get<std::string>()));
    const at::Tensor centre = checked_points(read(file, "centre", where).reshape({1, -1}),
                                             gp.data_.dims, where + ": centre"),
                     scale = checked_points(read(file, "scale", where).reshape({1, -1}),
                                            gp.data_.dims, where + ": scale");
    for (int64_t k = 0; k < gp.data_.dims; ++k) {
      gp.data_.centre[static_cast<size_t>(k)] = centre.const_data_ptr<double>()[k];
      const double s = scale.const_data_ptr<double>()[k];
      if (!(s > 0)) throw Error(ExitCode::kData, "must be positive", where + ": scale");
      gp.data_.scale[static_cast<size_t>(k)] = s;
    }
    gp.data_.form_groups();
    gp.kernel_ = Kernel::parse(j.at("kernel").get<std::string>(), gp.data_.dims);
    std::vector<KernelParameter>& parameters = gp.kernel_.parameters();
    const nlohmann::json& stored = j.at("parameters");
    if (stored.size() != parameters.size()) {
      throw Error(ExitCode::kData, "has parameters that its kernel does not have", where);
    }
    for (size_t i = 0; i < parameters.size(); ++i) {
      const nlohmann::json& p = stored[i];
      const int64_t tied = p.at("tied_to").get<int64_t>();
      const double value = p.at("value").get<double>();
      if (p.at("name") != parameters[i].name || tied >= static_cast<int64_t>(parameters.size()) ||
          !(value > 0) || !std::isfinite(value)) {
        throw Error(ExitCode::kData, "parameter " + std::to_string(i) + " does not fit the kernel",
                    where);
      }
      parameters[i].value = value;
      parameters[i].lower = p.at("lower").get<double>();
      parameters[i].upper = p.at("upper").is_null() ? std::numeric_limits<double>::infinity()
                                                    : p.at("upper").get<double>();
      parameters[i].fixed = p.at("fixed").get<bool>();
      parameters[i].tied_to = tied < 0 ? -1 : tied;
      parameters[i].prior = Prior::parse(p.at("prior").get<std::string>());
    }
    gp.report_.fitted = j.at("fitted").get<bool>();
    for (const auto ending : {numeric::Ending::kConverged, numeric::Ending::kAtBound,
                              numeric::Ending::kLineSearch, numeric::Ending::kIterations}) {
      if (j.at("ending") == numeric::name_of(ending)) gp.report_.ending = ending;
    }
    gp.report_.gradient_norm = j.at("gradient_norm").is_null()
                                   ? std::numeric_limits<double>::infinity()
                                   : j.at("gradient_norm").get<double>();
    gp.report_.iterations = j.at("iterations").get<int64_t>();
    gp.report_.evaluations = j.at("evaluations").get<int64_t>();
    gp.report_.at_bound = j.at("at_bound").get<std::vector<std::string>>();
  } catch (const nlohmann::json::exception& e) {
    throw Error(ExitCode::kData, std::string("its model.json is not a process: ") + e.what(),
                where);
  }
  gp.condition();
  return gp;
}

}  // namespace covary::stat
