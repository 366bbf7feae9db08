// covary mixture fit|select|inspect for directions: the von Mises-Fisher family.
#pragma once

#include <string>
#include <vector>

#include "covary/cli/mixture_options.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/data/model.h"
#include "covary/stat/mixture/von_mises_fisher_mixture.h"

namespace covary::cli {

Result fit_vmf(const Job& job, const MixtureFitOptions& o, const std::string& output);
Result select_vmf(const Job& job, const MixtureFitOptions& o, const std::string& output);
Result inspect_vmf(const Job& job, const mixture::VonMisesFisherMixture& model,
                   const std::vector<std::string>& columns, const data::Model& file);

}  // namespace covary::cli
