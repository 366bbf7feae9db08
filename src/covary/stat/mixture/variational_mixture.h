// Gaussian mixtures whose number of components is part of what is inferred: variational Bayes with
// a Dirichlet process (or a finite Dirichlet) over the weights and Gaussian-Wishart priors.
//
//   VariationalMixture m({.components = 20});
//   m.fit(x);                                        // x [n,d], complete
//   m.effective(0.02);                               // components that hold over 2 % of the data
//   at::Tensor log_density = m.score_samples(y);     // of the predictive mixture of Student-t
//
//   VariationalMixture stream({.components = 20});
//   while (next(batch)) stream.partial_fit(batch);   // a stream: one step a batch
//
// Model: v_k ~ Beta(1, gamma), w_k = v_k prod_{j<k} (1 - v_j), the last v = 1; Lambda_k ~ Wishart(
// W_0, nu_0), mu_k ~ N(m_0, (beta_0 Lambda_k)^-1), with m_0 the data's mean and W_0^-1 diagonal, so
// that a covariance's prior mean is prior_share of the data's variances. The posterior is
// approximated by q(z) q(v) prod q(mu_k, Lambda_k) (Blei and Jordan 2006; Bishop 2006, section
// 10.2):
//   q(v_k) = Beta(1 + N_k, gamma + sum_{j>k} N_j)        q(w) = Dirichlet(alpha + N)
//   beta_k = beta_0 + N_k,  nu_k = nu_0 + N_k,  m_k = (beta_0 m_0 + N_k xbar_k) / beta_k
//   W_k^-1 = W_0^-1 + N_k S_k + beta_0 N_k / beta_k (xbar_k - m_0)(xbar_k - m_0)'
// Sticks are put in the order of N_k that makes the bound largest: falling (Kurihara, Welling, Teh
// 2007), but for the last, which the truncation treats apart. The evidence lower bound is computed
// exactly, as
//   sum_i log sum_k rho_ik - KL(q(v) | p(v)) - sum_k KL(q(mu_k, Lambda_k) | p)
// and never falls. It has many maxima, and runs that begin with more clusters than there are end in
// worse ones; so runs begin from few and from many, and the bound decides. The step reuses
// compute/gaussian.h: rho_ik is an unnormalised mixture of covariances W_k^-1 / nu_k.
//
// Streams (stochastic variational inference: Hoffman, Blei, Wang, Paisley 2013). The natural
// parameters of q(v), q(mu_k, Lambda_k) are those of the prior plus sums of r, r x and r x x' over
// rows, so a step of the natural gradient of length rho from batch B mixes sums,
//   s <- (1 - rho) s + rho s_B / |B|,     q from N s,     rho_t = (t + stream_offset)^-stream_power
// with t the batches before and N the rows that the stream stands for: stream_rows, or all seen so
// far. stream_gain instead takes every batch alike and forgets older ones, as laws that drift want;
// about |B| / stream_gain rows then count, which N does not exceed. The first batch is fitted as
// fit does, and makes the prior. A batch of all rows with stream_gain = 1 is a step of fit.
//
// Sample weights count as repeated rows. Errors as in gaussian_mixture.h; missing entries are
// refused.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/stat/mixture/mixture_state.h"
#include "covary/stat/mixture/normal_wishart.h"
#include "covary/stat/mixture/variational_mixture_options.h"

namespace covary::mixture {

struct VariationalReport {
  double bound = 0;            // evidence lower bound, nats
  std::vector<double> bounds;  // of each step
  int64_t steps = 0;
  bool converged = false;
  int64_t constant_columns = 0;      // whose variance the prior had to make up
  int64_t batches = 0;               // of a stream, the first included
  double first_rows = 0;             // weight of the first batch, which `bound` is of
  double stream_rows = 0;            // N above, at the last step
  std::vector<double> batch_bounds;  // the bound a row as each later batch has it before its step
};

class VariationalMixture {
 public:
  explicit VariationalMixture(VariationalMixtureOptions options = {});

  VariationalMixture& fit(const at::Tensor& x, const at::Tensor& weights = {});

  // The next batch of a stream; also after fit, whose rows then are the first batch.
  VariationalMixture& partial_fit(const at::Tensor& x, const at::Tensor& weights = {});

  at::Tensor score_samples(const at::Tensor& x) const;  // log predictive density, [n]
  double score(const at::Tensor& x) const;
  at::Tensor predict(const at::Tensor& x) const;        // [n] int64, largest rho
  at::Tensor predict_proba(const at::Tensor& x) const;  // [n,k]

  at::Tensor weights() const;             // posterior means, [k]
  at::Tensor means() const;               // m_k, [k,d]
  at::Tensor covariances() const;         // posterior means W_k^-1 / (nu_k - d - 1), [k,d,d]
  int64_t effective(double share) const;  // components with N_k above this share of the data
  const VariationalReport& report() const { return report_; }

 private:
  struct Posterior {
    std::vector<int64_t> order;          // component c is that of number order[c] in the sums
    std::vector<double> mass;            // N_k
    std::vector<double> beta, nu, mean;  // [k], [k], [k,d]
    std::vector<double> inverse_scale;   // W_k^-1, [k,d,d]
    std::vector<double> log_weight;      // E log w_k
    double divergence = 0;               // of all of q from the prior
  };
  Posterior posterior(const NormalWishart& prior, const compute::MixtureSums& sums,
                      const std::vector<double>& about) const;
  MixtureState expected_mixture(const Posterior& q) const;
  // Sums about `about` in the order of q's components, about q's means, a unit of weight.
  compute::MixtureSums sums_of(const Posterior& q, const compute::MixtureSums& sums,
                               const std::vector<double>& about, double weight) const;
  void need_fit() const;
  at::Tensor checked_query(const at::Tensor& x) const;

  VariationalMixtureOptions options_;
  int64_t d_ = 0;
  Posterior q_;
  MixtureState state_;
  VariationalReport report_;
  NormalWishart prior_;
  double seen_ = 0;                           // weight of all rows so far
  std::optional<compute::MixtureSums> sums_;  // behind q_: about its means, a unit of weight
};

}  // namespace covary::mixture
