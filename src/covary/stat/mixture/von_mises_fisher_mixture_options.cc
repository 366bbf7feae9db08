#include "covary/stat/mixture/von_mises_fisher_mixture_options.h"

#include "covary/core/base/error.h"

namespace covary::mixture {

void VonMisesFisherMixtureOptions::describe(OptionList& o) {
  o.add("components", &components, "number of directions").range(1, 1e6).common();
  o.add("starts", &starts, "seeds tried; the best goes on").range(1, 10000).common();
  o.add("steps", &steps, "EM steps at most").range(1, 1e9).common();
  o.add("tolerance", &tolerance, "stop when a step gains less").range(0, 1e9).unit("nats").common();
  o.add("seed", &seed, "seed").common();
  describe_details(o);
}

void VonMisesFisherMixtureOptions::describe_details(OptionList& o) {
  o.add("assignment", &assignment,
        "soft: EM; hard: each row to one component; cosine: to the nearest mean, as spherical "
        "k-means")
      .choices({"soft", "hard", "cosine"})
      .common();
  o.add("normalise", &normalise, "scale rows to length 1 first").synonym("normalize").common();
  o.add("max_kappa", &max_kappa, "where kappa of equal rows stops").range(1e-300, 1e12).common();
  o.add("restarts", &restarts, "of components that lost their rows").range(0, 1e6);
}

void VonMisesFisherMixtureOptions::check() const {
  const auto refuse = [](const char* what, const char* field) {
    throw Error(ExitCode::kUsage, what, field);
  };
  if (components < 1) refuse("must be at least 1", "components");
  if (assignment != "soft" && assignment != "hard" && assignment != "cosine")
    refuse("is soft, hard or cosine", "assignment");
  if (starts < 1) refuse("must be at least 1", "starts");
  if (steps < 1) refuse("must be at least 1", "steps");
  if (!(tolerance >= 0)) refuse("must not be negative", "tolerance");
  if (!(max_kappa > 0 && max_kappa <= 1e12)) refuse("must be in (0, 1e12]", "max_kappa");
  if (restarts < 0) refuse("must not be negative", "restarts");
}

}  // namespace covary::mixture
