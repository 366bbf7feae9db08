// The Bayesian mixture that variational_mixture.h approximates, by sampling: the same model and
// prior, without the approximation. Slow, and right in the limit: the oracle of the variational
// bound.
//
//   GibbsMixture g({.components = 20});
//   g.fit(x);                                        // x [n,d], complete
//   g.score_samples(y);                              // log posterior mean density, [m]
//   g.co_clustering();                               // [n,n], P(rows i and j share a component)
//   g.components_share(0.02);                        // P(0, 1, 2, ... components above 2 %)
//   const Evidence e = g.log_evidence(x);            // log p(x) and its standard error
//
// Sticks (or finite weights), means and precisions are integrated out; a sweep draws the label of
// each row given all others,
//   p(z_i = c | z_-i, X) ~ p(z_i = c | z_-i) t(x_i | rows of c without i)
// proposes to split or merge components (Dahl 2005), and offers neighbouring sticks an exchange
// (MacEachern 1994; Neal 2000, algorithm 3, for the truncated model; collapsed_mixture.h has every
// formula). The density at y is the mean over draws
// of sum_c p(z_new = c | z) t(y | rows of c). Labels begin at a draw of the prior that is annealed as
// below, then run through the burn-in: one chain, whose draws depend on one another.
//
// Evidence by annealed importance sampling (Neal 2001). With theta integrated out the law of the
// labels is a discrete one, and the path from prior to posterior tempers its likelihood,
//   f_t(z) = p(z) p(X | z)^t,      0 = t_0 < t_1 < ... < t_T = 1.
// A sweep at t that weighs places by p(z_i = c | z_-i) t(x_i | rows of c)^t leaves f_t unchanged:
// p(X | z) is a product over components, so what depends on z_i = c is
// [p(X_c with x_i) / p(X_c without)]^t, which is the Student-t to the power t; splits and merges
// are accepted by f_t; exchanges of sticks leave p(X | z) as it is. f_0 = p(z) is drawn exactly, row by row, and sums to 1; f_1 sums to
// sum_z p(z) p(X | z) = p(X). So with z_j from the sweep at t_j, started at z_(j-1),
//   log w = sum_(j=0)^(T-1) (t_(j+1) - t_j) log p(X | z_j),     E w = p(X),
// without bias at any number of temperatures. What is reported is the log of the mean of w over
// runs and its standard error, deviation / (mean sqrt(runs)); the log of a mean lies below the
// truth on average, and more so the fewer `effective` runs there are.
//
// Cost: (burn + draws thin + temperatures) sweeps for fit, runs temperatures sweeps for the
// evidence (runs in parallel), each n (components in use) d^2 / 2. Same seed, same bits at any
// number of threads. Sample weights do not exist here: a row has one label.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/mixture/gibbs_mixture_options.h"
#include "covary/stat/mixture/normal_wishart.h"

namespace covary::mixture {

struct GibbsReport {
  std::vector<double> log_joint;  // log p(X, z) of each draw: whether the chain has settled
  std::vector<int64_t> occupied;  // components with a row, of each draw
  int64_t constant_columns = 0;   // whose variance the prior had to make up
};

struct Evidence {
  double value = 0, standard_error = 0;  // log p(X), nats
  double effective = 0;                  // runs' worth: (sum w)^2 / sum w^2
  std::vector<double> log_weights;       // log w of each run
};

class GibbsMixture {
 public:
  explicit GibbsMixture(GibbsMixtureOptions options = {});

  GibbsMixture& fit(const at::Tensor& x);
  // Of rows x under the prior that x itself suggests, as fit and VariationalMixture::fit take it. No
  // fit is needed.
  Evidence log_evidence(const at::Tensor& x) const;

  at::Tensor score_samples(const at::Tensor& x) const;  // log posterior mean density, [m]
  double score(const at::Tensor& x) const;              // its mean
  at::Tensor co_clustering() const;                     // [n,n]
  at::Tensor labels() const;                            // [draws,n] int64, places on the stick
  // [components + 1]: the share of draws with 0, 1, 2, ... components that hold more than this share
  // of the rows.
  std::vector<double> components_share(double share) const;
  const GibbsReport& report() const { return report_; }

 private:
  void need_fit() const;

  GibbsMixtureOptions options_;
  at::Tensor x_;  // [n,d]
  NormalWishart prior_;
  std::vector<std::vector<int32_t>> labels_;  // of each draw
  GibbsReport report_;
};

}  // namespace covary::mixture
