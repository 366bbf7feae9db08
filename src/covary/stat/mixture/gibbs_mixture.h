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
// of sum_c p(z_new = c | z) t(y | rows of c). Labels begin at the end of a run as below, then go
// through the burn-in: one chain, whose draws depend on one another.
//
// Evidence by annealed importance sampling (Neal 2001) along the rows. With theta integrated out the
// laws of the first m labels,
//   f_m(z_1..m) = p(z_1..m) p(x_1..m | z_1..m),      m = 0, 1, ..., n
// (the marginal of the labels' prior, in any order of the rows), sum to p(x_1..m), so that f_0 = 1 and
// f_n sums to the evidence p(X). From labels z of the first m - 1 rows the next label is drawn from
// its conditional, p(z_m = c | z) t(x_m | rows of c) / s, and the weight is multiplied by the sum
//   s_m = sum_c p(z_m = c | z) t(x_m | rows of c) = p(x_m | x_1..m-1, z),
// for f_m / (f_m-1 conditional) = s_m. Then sweeps that leave f_m unchanged, the ones above on m rows,
// give z time to forget what was unlucky. Hence
//   log w = sum_m log s_m,     E w = p(X),
// without bias at any number of sweeps; without any it is sequential imputation (Kong, Liu, Wong
// 1994). One chain's s_m differ by a nat or so a row, so a run moves many particles and draws them anew
// by weight when fewer than half of them count (Del Moral, Doucet, Jasra 2006): the product of the
// mean weights between such draws is an estimate of p(X) without bias too. Each run takes the rows in
// an order of its own. Tempering p(X | z) instead is exact as well, but where clusters lie apart all of
// them form at one temperature, at which runs differ by many nats; rows bring them one by one. What is
// reported is the log of the mean over runs and its standard error, deviation / (mean sqrt(runs));
// the log of a mean lies below the truth on average, and more so the fewer `effective` runs there are.
//
// Cost: burn + draws thin + sweeps n / 2 sweeps for fit, runs particles sweeps n / 2 for the evidence
// (runs in parallel), each n (components in use) d^2 / 2 and as much again for splits and merges. Same seed, same bits at any
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
  std::vector<double> log_weights;       // log of each run's estimate
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
