#include "covary/stat/mixture/gibbs_mixture_options.h"

#include "covary/core/base/error.h"

namespace covary::mixture {

void GibbsMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "most components there can be").range(1, 1e6).common();
  o.add("prior", &prior, "prior of the weights").choices({"process", "dirichlet"}).common();
  o.add("concentration", &concentration, "concentration of the weights' prior")
      .range(1e-12, 1e12)
      .common();
  o.add("mean_strength", &mean_strength, "rows that the prior mean counts as").range(1e-12, 1e12);
  o.add("degrees", &degrees, "degrees of freedom of the Wishart prior, less d - 1").range(2, 1e12);
  o.add("prior_share", &prior_share, "prior covariance, as a share of the data's variances")
      .range(1e-9, 1e9);
  o.add("burn", &burn, "sweeps before the first draw").range(0, 1e9).common();
  o.add("draws", &draws, "draws that are kept").range(1, 1e7).common();
  o.add("thin", &thin, "sweeps a draw").range(1, 1e6);
  o.add("runs", &runs, "annealed runs for the evidence").range(1, 1e6).common();
  o.add("particles", &particles, "particles of a run").range(1, 1e6).common();
  o.add("sweeps", &sweeps, "sweeps of a particle after each row it takes").range(0, 1e6).common();
  o.add("seed", &seed, "seed").common();
}

void GibbsMixtureOptions::check() const {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (components < 1) refuse("must be at least 1", "components");
  if (prior != "process" && prior != "dirichlet") refuse("is process or dirichlet", "prior");
  if (!(concentration > 0)) refuse("must be above 0", "concentration");
  if (!(mean_strength > 0)) refuse("must be above 0", "mean_strength");
  if (!(degrees > 2)) refuse("must be above 2", "degrees");
  if (!(prior_share > 0)) refuse("must be above 0", "prior_share");
  if (burn < 0) refuse("must not be negative", "burn");
  if (draws < 1) refuse("must be at least 1", "draws");
  if (thin < 1) refuse("must be at least 1", "thin");
  if (runs < 1) refuse("must be at least 1", "runs");
  if (particles < 1) refuse("must be at least 1", "particles");
  if (sweeps < 0) refuse("must not be negative", "sweeps");
}

}  // namespace covary::mixture
