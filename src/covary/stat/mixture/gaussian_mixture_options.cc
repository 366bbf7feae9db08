#include "covary/stat/mixture/gaussian_mixture_options.h"

#include "covary/core/base/error.h"

namespace covary::mixture {

void GaussianMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "number of Gaussians").range(1, 1e6).common();
  o.add("covariance", &covariance, "what the covariances may be")
      .choices({"spherical", "diagonal", "tied", "full"})
      .common();
  o.add("starts", &starts, "starts; the likeliest goes on").range(1, 10000).common();
  o.add("steps", &steps, "EM steps at most").range(0, 1e9).common();
  o.add("tolerance", &tolerance, "stop when a step gains less mean log-likelihood")
      .range(0, 1e9)
      .unit("nats")
      .common();
  o.add("seed", &seed, "seed").common();
  describe_details(o);
}

void GaussianMixtureOptions::describe_details(OptionList& o) {
  o.add("init", &init, "where the first components come from")
      .choices({"k-means", "random", "given"});
  o.add("init_rows", &init_rows, "rows that starts are made from").range(1, 1e12);
  o.add("floor", &floor, "smallest variance in any direction, as a share of the data's")
      .range(0, 1)
      .common();
  o.add("least_weight", &least_weight, "a component with less is set anew").range(0, 1);
  o.add("online_power", &online_power, "batch t counts (t + 2)^-power").range(0.5, 1);
}

void GaussianMixtureOptions::check() const {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (components < 1) refuse("must be at least 1", "components");
  if (covariance != "spherical" && covariance != "diagonal" && covariance != "tied" &&
      covariance != "full") {
    refuse("is spherical, diagonal, tied or full", "covariance");
  }
  if (init != "k-means" && init != "random" && init != "given") {
    refuse("is k-means, random or given", "init");
  }
  if (starts < 1) refuse("must be at least 1", "starts");
  if (init_rows < 1) refuse("must be at least 1", "init_rows");
  if (steps < 0) refuse("must not be negative", "steps");
  if (!(tolerance >= 0)) refuse("must not be negative", "tolerance");
  if (!(floor >= 0 && floor <= 1)) refuse("must be in [0, 1]", "floor");
  if (!(least_weight >= 0 && least_weight <= 1)) refuse("must be in [0, 1]", "least_weight");
  if (!(online_power > 0.5 && online_power <= 1)) refuse("must be in (0.5, 1]", "online_power");
}

}  // namespace covary::mixture
