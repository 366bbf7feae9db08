#include "covary/stat/process/regression_options.h"

#include <algorithm>
#include <vector>

#include "covary/core/base/error.h"

namespace covary::stat {
namespace {

using Words = std::vector<std::string>;

bool contains(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

// A word that is there, one that is to come, or none at all.
void check_word(const std::string& flag, const std::string& word, const Words& here,
                const Words& to_come) {
  if (contains(here, word)) return;
  std::string all;
  for (const std::string& w : here) all += (all.empty() ? "" : ", ") + w;
  const std::string hint = "this version has " + all;
  if (contains(to_come, word))
    throw Error(ExitCode::kUsage, "is not in this version", flag + " " + word, hint);
  const std::string near = nearest_word(word, here);
  throw Error(ExitCode::kUsage, "there is no such choice", flag + " " + word,
              near.empty() ? hint : "did you mean " + near + "?");
}

}  // namespace

void RegressionOptions::describe(OptionList& o) {
  o.add("kernel", &kernel,
        "covariance function, e.g. \"matern52(ard)+white\" or "
        "\"rbf + periodic(1)*rbf\"")
      .common();
  o.add("mean", &mean, "mean function, by generalised least squares")
      .choices({"zero", "const", "linear", "quadratic"})
      .common();
  o.add("likelihood", &likelihood,
        "of a value given the function, e.g. poisson or \"student-t(df=4)\"")
      .suggestions({"gaussian", "student-t", "bernoulli", "bernoulli-logit", "bernoulli-probit",
                    "poisson", "neg-binomial", "heteroscedastic", "softmax"})
      .common();
  o.add("method", &method, "how to infer; auto says what it took and why")
      .suggestions({"auto", "exact", "cg", "sgpr", "state-space", "kron", "toeplitz", "hsgp",
                    "vecchia", "svgp", "laplace", "ep", "vi"})
      .common();
  o.add(
       "priors", &priors,
       "of the parameters: weak is felt where the data say nothing, dim-scaled holds length scales "
       "the longer the more columns; auto is gamma with nuts, none of softmax and "
       "heteroscedastic, else dim-scaled with several columns and weak with one")
      .choices({"auto", "none", "weak", "gamma", "dim-scaled"});
  o.add("inference", &inference,
        "of the parameters: the likeliest, or draws of their posterior by the No-U-Turn sampler, "
        "which predictions mix")
      .choices({"point", "nuts"})
      .common();
  o.add("fit", &fit, "fit the parameters; --no-fit takes them as the kernel's text states them");
  o.add("restarts", &restarts, "first guesses that compete").range(1, 1000).common();
  o.add("inducing", &inducing,
        "points that stand for the rows in sgpr (0 = 1000 or all rows) and svgp (0 = 500)")
      .range(0, 1e5)
      .common();
  o.add("variances", &variances,
        "of cg: solve (a solution a point) or near (from above, by the nearest rows, and fast)")
      .choices({"solve", "near"});
  o.add("steps", &steps, "of the search, at most; svgp: tens of batches")
      .range(0, 1e6)
      .synonym("iterations");
  o.add("batch", &batch, "rows a step of svgp").range(1, 1e6).unit("rows");
  o.add("standard_errors", &standard_errors,
        "of the parameters, with intervals, by the curvature at the optimum");
  // The last: help has a heading for it.
  o.group("sampling", sampling).only_when("inference", "nuts");
}

std::string RegressionOptions::prior_preset(int64_t columns) const {
  if (priors != "auto") return priors;
  if (inference == "nuts") return "gamma";
  return columns > 1 ? "dim-scaled" : "weak";
}

void RegressionOptions::check() const {
  check_word("--method", method,
             {"auto", "exact", "cg", "sgpr", "state-space", "kron", "toeplitz", "hsgp", "vecchia",
              "svgp", "laplace", "ep", "vi"},
             {"deep-kernel", "vector-field", "tucker"});
  check_word("--likelihood", likelihood.substr(0, likelihood.find('(')),
             {"gaussian", "student-t", "bernoulli", "bernoulli-logit", "bernoulli-probit",
              "poisson", "neg-binomial", "heteroscedastic", "softmax"},
             {});
  check_word("--mean", mean, {"zero", "const", "linear", "quadratic"}, {"user"});
  if (restarts < 1) throw Error(ExitCode::kUsage, "must be at least 1", "--restarts");
  if (inducing < 0) throw Error(ExitCode::kUsage, "must not be negative", "--inducing");
  if (inducing > 0 && method != "auto" && method != "sgpr" && method != "svgp")
    throw Error(ExitCode::kUsage, "is for sgpr and svgp, the method is " + method, "--inducing",
                "leave it out, or write --method sgpr");
  if (batch < 1) throw Error(ExitCode::kUsage, "must be at least 1", "--batch");
  if (standard_errors && !fit)
    throw Error(ExitCode::kUsage, "needs a fit: they are the curvature at its optimum",
                "--standard-errors", "leave --no-fit out");
  check_word("--inference", inference, {"point", "nuts"}, {});
  if (inference == "nuts") check_sampling();
  for (const char* other : {"cg", "svgp"}) {
    if (standard_errors && method == other)
      throw Error(
          ExitCode::kUsage, "is not told by --method " + method, "--standard-errors",
          "write --method exact, state-space, sgpr, kron, hsgp, vecchia, laplace, ep or vi");
  }
}

void RegressionOptions::check_sampling() const {
  sampling.check();
  const auto refuse = [](const std::string& what, const std::string& where, const char* hint) {
    throw Error(ExitCode::kUsage, what, where, hint);
  };
  if (!likelihood.starts_with("gaussian"))
    refuse("draws the parameters of a gaussian likelihood only, this one is " + likelihood,
           "--inference nuts", "leave --inference out, or --likelihood");
  if (method != "auto" && method != "exact")
    refuse("draws parameters by the exact likelihood only, the method is " + method,
           "--inference nuts", "leave --method out, or write --method exact");
  if (!fit)
    refuse("needs parameters that are free", "--inference nuts",
           "leave --no-fit out; fixed in the kernel holds a single one");
  if (standard_errors)
    refuse("is for the likeliest parameters: draws bring deviations and quantiles of their own",
           "--standard-errors", "leave it out");
}

}  // namespace covary::stat
