// covary gp behind a likelihood of several functions a row: --likelihood heteroscedastic or softmax,
// and models that came of it.
#pragma once

#include <string>

#include "covary/cli/gp_options.h"
#include "covary/cli/verbs/verb.h"

namespace covary::cli {

bool is_model_of_rows(const std::string& input);
// Such a likelihood, or such a model: the functions below serve.
bool has_rows(const Job& job, const GpFitOptions& o);

Result fit_rows(const Job& job, const GpFitOptions& o);
Result predict_rows(const Job& job, const GpPredictOptions& o);
Result update_rows(const Job& job, const GpUpdateOptions& o);
Result sample_rows(const Job& job, const GpSampleOptions& o);
Result score_rows(const Job& job, const GpFitOptions& o);
Result inspect_rows(const Job& job, const GpFitOptions& o);

}  // namespace covary::cli
