#include "covary/cli/verbs/gp_parts.h"

#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/core/base/file.h"
#include "covary/core/base/log.h"
#include "covary/core/data/model.h"

namespace covary::cli {

using stat::PredictiveScores;

bool names_model(const std::string& input) {
  return input != "-" &&
         (input.ends_with(".cov") || input.ends_with(".json") || data::is_model(input));
}

void refuse_fit_options(const Job& job) {
  refuse_fit_options(
      job,
      {"kernel", "mean", "likelihood", "method", "priors", "fit", "restarts", "inducing", "steps",
       "batch", "outputs", "weights", "noise", "standard_errors", "inference"},
      "covary gp fit TABLE --target NAME");
}

void leave_if_interrupted(const FitProgress& progress, const std::string& left) {
  if (progress.code() == 0) return;
  log_info(left);
  throw Interrupted{progress.code()};
}

std::string left_in(const FitProgress& progress, const std::string& output) {
  if (output.empty()) return "nothing was kept: -o MODEL keeps the parameters so far";
  return output + (progress.stopped() && progress.drew()
                       ? " has the likeliest parameters; their draws did not come to an end"
                   : progress.stopped() ? " has the parameters so far; the fit did not converge"
                                        : " has the fit, which had ended");
}

std::string scores_text(const std::string& what, const PredictiveScores& s) {
  if (s.labels)
    return what + ": NLPD " + number_text("%.6f nats a row", s.nlpd) + ", labels met " +
           number_text("%.2f %%", 100 * s.accuracy) + ", Brier score " +
           number_text("%.6f", s.brier) + ", " + count_text(s.rows) + " rows\n";
  if (!s.normal)
    return what + ": RMSE " + number_text("%.6g", s.rmse) + ", NLPD " +
           number_text("%.6f nats a row, ", s.nlpd) + count_text(s.rows) + " rows\n";
  return what + ": RMSE " + number_text("%.6g", s.rmse) + ", NLPD " +
         number_text("%.6f nats a row", s.nlpd) + ", CRPS " + number_text("%.6g", s.crps) +
         ", inside 50/80/95 % intervals " + number_text("%.1f", 100 * s.coverage[0]) + "/" +
         number_text("%.1f", 100 * s.coverage[1]) + "/" +
         number_text("%.1f %%", 100 * s.coverage[2]) + ", " + count_text(s.rows) + " rows\n";
}

}  // namespace covary::cli
