// covary gp on several outputs of one table: --target a,b [--outputs icm:1|lmc:2|independent], and
// models that came of it.
#pragma once

#include <string>

#include "covary/cli/gp_options.h"
#include "covary/cli/verbs/verb.h"

namespace covary::cli {

bool is_model_of_outputs(const std::string& input);
// Several targets, --outputs, or such a model: the functions below serve.
bool has_outputs(const Job& job, const GpFitOptions& o);

Result fit_outputs(const Job& job, const GpFitOptions& o);
Result predict_outputs(const Job& job, const GpPredictOptions& o);
Result update_outputs(const Job& job, const GpUpdateOptions& o);
Result sample_outputs(const Job& job, const GpSampleOptions& o);
Result score_outputs(const Job& job, const GpFitOptions& o);
Result inspect_outputs(const Job& job, const GpFitOptions& o);

}  // namespace covary::cli
