// How the families of covary mixture are told alike.
#pragma once

#include <string>
#include <vector>

#include <ATen/core/Tensor.h>
#include <nlohmann/json.hpp>

namespace covary::cli {

// A component a line: weight [k], kappa where there is one [k], and the first entries of means [k,d].
std::string components_text(const at::Tensor& weights, const at::Tensor& means,
                            const std::vector<double>& kappas,
                            const std::vector<std::string>& names);

// "log-likelihood ..., BIC ..., AIC ..., ICL ..., 11 parameters, ".
std::string criteria_text(const nlohmann::json& facts);

// Likelihood, number of parameters and criteria of a fit's report, as columns of a row.
template <class Report>
void put_criteria(nlohmann::ordered_json* row, const Report& r) {
  (*row)["log_likelihood"] = r.log_likelihood;
  (*row)["parameters"] = r.parameters;
  (*row)["bic"] = r.criteria.bic;
  (*row)["aic"] = r.criteria.aic;
  (*row)["icl"] = r.criteria.icl;
}

}  // namespace covary::cli
