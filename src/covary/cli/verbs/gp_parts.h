// What the verbs of Gaussian processes share, of one output and of several.
#pragma once

#include <string>
#include <vector>

#include "covary/cli/verbs/fit_progress.h"
#include "covary/cli/verbs/verb.h"
#include "covary/stat/process/scores.h"

namespace covary::cli {

// Whether a model file is meant, be it there or not; else a table.
bool names_model(const std::string& input);
// A model is what it is: options of a fit beside it are refused.
void refuse_fit_options(const Job& job);
// After a fit that a signal ended: says what is left of it, and leaves the verb. Nothing for a fit
// that came to its end.
void leave_if_interrupted(const FitProgress& progress, const std::string& left);
// Of a fit that goes to this model, or nowhere.
std::string left_in(const FitProgress& progress, const std::string& output);
std::string scores_text(const std::string& what, const stat::PredictiveScores& s);

}  // namespace covary::cli
