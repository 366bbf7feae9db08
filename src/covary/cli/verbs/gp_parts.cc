#include "covary/cli/verbs/gp_parts.h"

#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/samples.h"
#include "covary/core/base/file.h"
#include "covary/core/data/model.h"

namespace covary::cli {

using stat::PredictiveScores;

std::string model_name(const std::vector<std::string>& outputs) {
  const std::string file = one_output(outputs);
  if (!file.empty() && !file.ends_with(".json") && !file.ends_with(".cov"))
    throw Error(ExitCode::kUsage, "is no name of a model file", "-o " + file,
                "a model is a FILE.json or a FILE.cov");
  return file;
}

bool was_typed(const Job& job, const std::string& name) {
  const auto& set = job.invocation.set;
  return std::find(set.begin(), set.end(), name) != set.end();
}

bool names_model(const std::string& input) {
  return input != "-" &&
         (input.ends_with(".cov") || input.ends_with(".json") || data::is_model(input));
}

void refuse_fit_options(const Job& job) {
  for (const char* name : {"kernel", "mean", "likelihood", "method", "priors", "fit", "restarts",
                           "inducing", "steps", "batch", "outputs", "weights"})
    if (was_typed(job, name))
      throw Error(ExitCode::kUsage, "the model has its own", std::string("--") + name,
                  "fit it anew: covary gp fit TABLE --target NAME --" + std::string(name) + " ...");
}

void probe(const Job& job, const std::string& output) {
  for (const std::string& file : {output, job.common.report, job.common.plot})
    if (!file.empty() && file != "-") AtomicFile there(file);
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
