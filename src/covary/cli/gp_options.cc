#include "covary/cli/gp_options.h"

#include "covary/core/base/error.h"

namespace covary::cli {

void GpFitOptions::describe(OptionList& o) {
  o.add("target", &target, "column that is explained, or several: a,b; a model has its own")
      .common();
  o.add("outputs", &outputs,
        "how several targets are one process: icm:RANK, lmc:KERNELS, independent; icm:1")
      .suggestions({"icm:1", "lmc:2", "independent"});
  o.add("columns", &columns, "columns that explain it; all that are left").common();
  o.add("noise", &noise, "column of noise variances, in units of the target's square")
      .synonym("noise_column");
  o.add("weights", &weights,
        "column of weights: a row of weight w has noise / w, or w times its log density");
  process.describe(o);
}

void GpFitOptions::check() const { process.check(); }

void GpPredictOptions::describe(OptionList& o) {
  o.add("quantiles", &quantiles, "of a new value: .05,.95").range(0, 1).common();
  o.add("with_noise", &with_noise, "of a new value; --no-with-noise: of the function").common();
  GpFitOptions::describe(o);
}

void GpPredictOptions::check() const {
  GpFitOptions::check();
  for (const double q : quantiles)
    if (!(q > 0 && q < 1))
      throw Error(ExitCode::kUsage, "must lie between 0 and 1", "--quantiles",
                  "write --quantiles .05,.95");
}

void GpUpdateOptions::describe(OptionList& o) {
  o.add("target", &target, "column of the new values; the model's").common();
  o.add("columns", &columns, "columns that explain it; the model's").common();
  o.add("noise", &noise, "column of noise variances; the model's").synonym("noise_column");
  o.add("weights", &weights, "column of weights; the model's");
  o.add("refit", &refit, "fit the parameters again, from where they are").common();
}

void GpSampleOptions::describe(OptionList& o) {
  o.add("samples", &samples, "draws of the function").range(0, 1e6).synonym("n").common();
  GpFitOptions::describe(o);
}

}  // namespace covary::cli
