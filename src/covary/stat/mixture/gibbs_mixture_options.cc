#include "covary/stat/mixture/gibbs_mixture_options.h"

#include "covary/core/base/error.h"
#include "covary/stat/mixture/weight_prior_options.h"

namespace covary::mixture {

void GibbsMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "most components there can be").range(1, 1e6).common();
  describe_priors(*this, o);
  o.add("burn", &burn, "sweeps before the first draw").range(0, 1e9).common();
  o.add("draws", &draws, "draws that are kept").range(1, 1e7).common();
  o.add("thin", &thin, "sweeps a draw").range(1, 1e6);
  o.add("runs", &runs, "annealed runs for the evidence").range(1, 1e6).common();
  o.add("particles", &particles, "particles of a run").range(1, 1e6).common();
  o.add("sweeps", &sweeps, "sweeps of a particle after each row it takes").range(0, 1e6).common();
  o.add("seed", &seed, "seed").common();
}

void GibbsMixtureOptions::check() const {
  check_priors(*this);
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (burn < 0) refuse("must not be negative", "burn");
  if (draws < 1) refuse("must be at least 1", "draws");
  if (thin < 1) refuse("must be at least 1", "thin");
  if (runs < 1) refuse("must be at least 1", "runs");
  if (particles < 1) refuse("must be at least 1", "particles");
  if (sweeps < 0) refuse("must not be negative", "sweeps");
}

}  // namespace covary::mixture
