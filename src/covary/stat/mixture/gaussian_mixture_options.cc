#include "covary/stat/mixture/gaussian_mixture_options.h"

#include <algorithm>

#include "covary/core/base/error.h"

namespace covary::mixture {

const std::vector<std::string> kCovariances = {
    "spherical", "diagonal", "tied", "full", "EII", "VII", "EEI", "VEI", "EVI",     "VVI",
    "EEE",       "VEE",      "EVE",  "VVE",  "EEV", "VEV", "EVV", "VVV", "factors", "diag"};

const std::vector<std::string> kMclustCovariances = {"EII", "VII", "EEI", "VEI", "EVI",
                                                     "VVI", "EEE", "VEE", "EVE", "VVE",
                                                     "EEV", "VEV", "EVV", "VVV"};

void GaussianMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "number of Gaussians").range(1, 1e6).common();
  o.add("covariance", &covariance, "what the covariances may be").choices(kCovariances).common();
  o.add("starts", &starts, "starts; the likeliest goes on").range(1, 10000).common();
  o.add("steps", &steps, "EM steps at most").range(0, 1e9).common();
  o.add("tolerance", &tolerance, "stop when a step gains less mean log-likelihood")
      .range(0, 1e9)
      .unit("nats")
      .common();
  o.add("seed", &seed, "seed").common();
  o.add("init", &init, "where the first components come from")
      .choices({"k-means", "k-means++", "k-means||", "random", "given"});
  describe_details(o);
}

void GaussianMixtureOptions::describe_details(OptionList& o) {
  o.add("init_rows", &init_rows, "rows that starts are made from").range(1, 1e12);
  o.add("floor", &floor, "smallest variance in any direction, as a share of the data's")
      .range(0, 1)
      .common();
  o.add("least_weight", &least_weight, "a component with less is set anew").range(0, 1);
  o.add("online_power", &online_power, "batch t counts (t + 2)^-power").range(0.5, 1);
  o.add("online_gain", &online_gain, "what every batch counts, for laws that drift; 0 = by power")
      .range(0, 1);
  o.add("online_delay", &online_delay, "batches summed before the first step").range(0, 1e9);
  o.add("factors", &factors, "columns of the low-rank part, by --covariance factors").range(1, 1e4);
  o.add("accelerate", &accelerate, "longer strides, kept when they do not fall")
      .choices({"none", "squarem", "anderson"});
  o.add("anderson_depth", &anderson_depth, "steps that --accelerate anderson looks back")
      .range(1, 100);
  o.add("anneal", &anneal, "first inverse temperature; 0 = no annealing").range(0, 1);
  o.add("split_merge", &split_merge, "exchanges tried a round after convergence").range(0, 1e6);
  o.add("prior_rows", &prior_rows, "rows that the prior's mean counts as; 0 = no prior")
      .range(0, 1e12);
  o.add("prior_degrees", &prior_degrees, "degrees of freedom of the prior, less the columns")
      .range(0, 1e12);
  o.add("prior_share", &prior_share, "scale of the prior, as a share of the data's variances")
      .range(0, 1e12);
}

void GaussianMixtureOptions::check() const {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (components < 1) refuse("must be at least 1", "components");
  if (std::find(kCovariances.begin(), kCovariances.end(), covariance) == kCovariances.end()) {
    refuse("is spherical, diagonal, tied, full, factors or a name such as EEV", "covariance");
  }
  if (init != "k-means" && init != "k-means++" && init != "k-means||" && init != "random" &&
      init != "given") {
    refuse("is k-means, k-means++, k-means||, random or given", "init");
  }
  if (starts < 1) refuse("must be at least 1", "starts");
  if (init_rows < 1) refuse("must be at least 1", "init_rows");
  if (steps < 0) refuse("must not be negative", "steps");
  if (!(tolerance >= 0)) refuse("must not be negative", "tolerance");
  if (!(floor >= 0 && floor <= 1)) refuse("must be in [0, 1]", "floor");
  if (!(least_weight >= 0 && least_weight <= 1)) refuse("must be in [0, 1]", "least_weight");
  if (!(online_power > 0.5 && online_power <= 1)) refuse("must be in (0.5, 1]", "online_power");
  if (!(online_gain >= 0 && online_gain <= 1)) refuse("must be in [0, 1]", "online_gain");
  if (online_delay < 0) refuse("must not be negative", "online_delay");
  if (factors < 1) refuse("must be at least 1", "factors");
  if (accelerate != "none" && accelerate != "squarem" && accelerate != "anderson")
    refuse("is none, squarem or anderson", "accelerate");
  if (anderson_depth < 1) refuse("must be at least 1", "anderson_depth");
  const bool plain = covariance == "spherical" || covariance == "diagonal" ||
                     covariance == "diag" || covariance == "tied" || covariance == "full" ||
                     covariance == "VII" || covariance == "VVI" || covariance == "EEE" ||
                     covariance == "VVV";
  if (accelerate != "none" && !plain)
    refuse("serves spherical, diagonal, tied and full covariances", "accelerate");
  if (!(anneal >= 0 && anneal < 1)) refuse("must be in [0, 1)", "anneal");
  if (split_merge < 0) refuse("must not be negative", "split_merge");
  if (!(prior_rows >= 0)) refuse("must not be negative", "prior_rows");
  if (!(prior_degrees >= 0)) refuse("must not be negative", "prior_degrees");
  if (!(prior_share >= 0)) refuse("must not be negative", "prior_share");
  if (prior_rows > 0 && covariance != "full" && covariance != "diagonal" && covariance != "diag" &&
      covariance != "VVV" && covariance != "VVI")
    refuse("a prior serves full and diagonal covariances", "prior_rows");
}

}  // namespace covary::mixture
