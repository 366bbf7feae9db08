// What the options of Bayesian mixtures, variational and sampled, say of their priors, in one place:
// components, prior, concentration, mean_strength, degrees, prior_share. Within mixture only.
#pragma once

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::mixture {

template <class Options>
void describe_priors(Options& of, OptionList& o) {
  o.add("prior", &of.prior, "prior of the weights").choices({"process", "dirichlet"}).common();
  o.add("concentration", &of.concentration, "concentration of the weights' prior")
      .range(1e-12, 1e12)
      .common();
  o.add("mean_strength", &of.mean_strength, "rows that the prior mean counts as")
      .range(1e-12, 1e12);
  o.add("degrees", &of.degrees, "degrees of freedom of the Wishart prior, less d - 1")
      .range(2, 1e12);
  o.add("prior_share", &of.prior_share, "prior covariance, as a share of the data's variances")
      .range(1e-9, 1e9);
}

template <class Options>
void check_priors(const Options& of) {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (of.components < 1) refuse("must be at least 1", "components");
  if (of.prior != "process" && of.prior != "dirichlet") refuse("is process or dirichlet", "prior");
  if (!(of.concentration > 0)) refuse("must be above 0", "concentration");
  if (!(of.mean_strength > 0)) refuse("must be above 0", "mean_strength");
  if (!(of.degrees > 2)) refuse("must be above 2", "degrees");
  if (!(of.prior_share > 0)) refuse("must be above 0", "prior_share");
}

}  // namespace covary::mixture
