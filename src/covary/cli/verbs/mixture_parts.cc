#include "covary/cli/verbs/mixture_parts.h"

#include <algorithm>

#include <ATen/ATen.h>

#include "covary/cli/verbs/places.h"

namespace covary::cli {

std::string components_text(const at::Tensor& weights, const at::Tensor& means,
                            const std::vector<double>& kappas,
                            const std::vector<std::string>& names) {
  const int64_t columns = means.size(1), components = means.size(0);
  const int64_t shown = std::min<int64_t>(columns, kappas.empty() ? 6 : 5),
                rows = std::min<int64_t>(components, 20);
  std::string out = "  component    weight";
  if (!kappas.empty()) out += "        kappa";
  for (int64_t j = 0; j < shown; ++j) {
    std::string name = names[static_cast<size_t>(j)].substr(0, 12);
    name.insert(0, 13 - std::min<size_t>(name.size(), 13), ' ');
    out += name;
  }
  out += columns > shown ? "  ...\n" : "\n";
  for (int64_t c = 0; c < rows; ++c) {
    out += number_text("%11.0f", static_cast<double>(c)) +
           number_text("%10.4f", weights[c].item<double>());
    if (!kappas.empty()) out += number_text("%13.6g", kappas[static_cast<size_t>(c)]);
    for (int64_t j = 0; j < shown; ++j) out += number_text("%13.5g", means[c][j].item<double>());
    out += "\n";
  }
  if (components > rows) out += "        ...\n";
  return out;
}

std::string criteria_text(const nlohmann::json& facts) {
  return "log-likelihood " + number_text("%.4f", facts["log_likelihood"]) + ", BIC " +
         number_text("%.3f", facts["bic"]) + ", AIC " + number_text("%.3f", facts["aic"]) +
         ", ICL " + number_text("%.3f", facts["icl"]) + ", " +
         number_text("%.0f parameters, ", facts["parameters"]);
}

}  // namespace covary::cli
