// A Bayesian mixture of Gaussians with weights, means and precisions integrated out: what is left
// is the law of the labels, p(z) p(X | z), and a chain that draws from it. Within mixture
// only; see gibbs_mixture.h for what it is good for.
//
//   const CollapsedMixture m(x, prior, {.components = 20, .process = true, .concentration = 1});
//   CollapsedChain chain(m, seed, stream);
//   for (i < n) chain.append();              // row by row, log p(x_i | rows and labels before)
//   for (...) chain.sweep();                 // every label anew, one after another
//   chain.log_likelihood();                  // log p(X | z)
//
// With n_c rows of label c, beta = beta_0 + n_c, nu = nu_0 + n_c and the posterior scale
// S_c = W_0^-1 + scatter + beta_0 n_c / beta (xbar - m_0)(xbar - m_0)' (Murphy 2007, sections 8, 9):
//   log p(X_c) = -n_c d/2 log pi + log Gamma_d(nu/2) - log Gamma_d(nu_0/2) + nu_0/2 log |W_0^-1|
//                - nu/2 log |S_c| + d/2 log(beta_0 / beta)
//   p(x | X_c) = Student-t of nu - d + 1 degrees, mean m_c, scale S_c (beta + 1) / (beta (nu - d + 1))
// The factor of S_c follows a row that comes or goes by a rank-one change, and is made anew from
// the rows once a sweep, so that rounding does not add up.
//
// Labels of the truncated process have p(z) = prod_{c<k} B(1 + n_c, gamma + n_{>c}) / B(1, gamma),
// which depends on the order of the sticks: after the rows each sweep offers neighbouring sticks an
// exchange (Papaspiliopoulos and Roberts 2008), else a chain would keep the order that it began
// with. Those of the finite Dirichlet: Gamma(k a) / Gamma(k a + n) prod Gamma(a + n_c) / Gamma(a).
//
// One label at a time seldom joins or parts whole groups, so each sweep also proposes kExchanges
// splits or merges (Dahl 2005, sequentially allocated): of two rows i, j drawn at random, sharing a
// component, the other rows of it go to i's half or to j's, one after another, by n p(x | half);
// j's half takes one of the E components without rows. Of two in different components, those
// become one. A split is accepted with the ratio of p(z) p(X | z) times E over the probability
// of the allocation, a merge with the inverse for the way back.
//
// Cost a sweep: n (labels in use) d^2 / 2; memory (n + k d) d. A chain's draws depend on (seed,
// stream) alone; several chains may run on one model at once.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/base/random.h"
#include "covary/stat/mixture/normal_wishart.h"

namespace covary::mixture {

constexpr int kExchanges = 4;

struct CollapsedLaw {
  int64_t components = 20;
  bool process = true;  // sticks, or a finite Dirichlet
  double concentration = 1;
};

class CollapsedMixture {
 public:
  // x [n,d], checked, double, contiguous.
  CollapsedMixture(const at::Tensor& x, const NormalWishart& prior, const CollapsedLaw& law);

  int64_t rows() const { return n_; }
  int64_t columns() const { return d_; }
  const CollapsedLaw& law() const { return law_; }
  // Points [m,d] in the units that the chain works in: (x - m_0) / sqrt(diagonal of W_0^-1).
  std::vector<double> scaled(const at::Tensor& x) const;
  // log |d scaled / d x|, once a row.
  double log_jacobian() const { return log_jacobian_; }

 private:
  friend class CollapsedChain;
  double log_sticks(int64_t own,
                    int64_t after) const;  // log B(1 + own, gamma + after) / B(1, gamma)

  int64_t n_ = 0, d_ = 0;
  CollapsedLaw law_;
  double beta_ = 0, nu_ = 0, log_jacobian_ = 0;
  std::vector<double> origin_, scale_;  // [d]
  std::vector<double> x_;               // [n,d], scaled
  // By the number of rows that a component has, 0 to n.
  std::vector<double> evidence_;    // log p(X_c) + nu/2 log |S_c|
  std::vector<double> predictive_;  // log p(x | X_c) at x = m_c, + 1/2 log |S_c|
  std::vector<double> log_one_, log_gamma_, log_both_;  // lgamma of 1 + j, gamma + j, 1 + gamma + j
  std::vector<double> prior_log_;  // [n], log p(x_i) of a component without rows
};

class CollapsedChain {
 public:
  CollapsedChain(const CollapsedMixture& model, uint64_t seed, uint64_t stream);

  // The state of another chain on the same model; draws go on from this one's own stream.
  void take(const CollapsedChain& other);
  // Takes the next row, its label drawn given those before: log p(x | rows, labels before), scaled.
  double append();
  void set_labels(std::span<const int32_t> labels);  // of all rows, each in [0, components)
  void sweep();                                      // over the rows taken so far

  double log_prior() const;                 // log p(z) of the rows taken
  double log_likelihood() const;            // log p(X | z)
  std::vector<int32_t> labels() const;      // [n], places on the stick
  std::vector<int64_t> row_counts() const;  // [components], by place

  // log p(y | X, z) of points [m,d] as CollapsedMixture::scaled gives them, without the jacobian.
  void log_predictive(std::span<const double> points, std::span<double> out) const;

 private:
  double* factor(int64_t slot) { return factors_.data() + slot * m_.d_ * m_.d_; }
  const double* factor(int64_t slot) const { return factors_.data() + slot * m_.d_ * m_.d_; }
  void rebuild_all();
  void clear(int64_t slot);
  void copy(int64_t from, int64_t to);
  double log_evidence(int64_t slot) const;
  double allocate(int64_t i, int64_t j, int64_t forced);
  void split_or_merge();
  void add(int64_t slot, const double* x);
  void remove(int64_t slot, int64_t row);
  void finish(int64_t slot);  // log |S| from the factor
  double log_density(int64_t slot, const double* x, double* work) const;
  double weigh_places(int64_t row);
  int64_t draw_place(double total);
  void places_of_next(std::span<double> out) const;  // p(next label = place | labels)
  void exchange_sticks();

  const CollapsedMixture& m_;
  Random random_;
  uint64_t draw_ = 0;
  int64_t taken_ = 0;  // rows
  // Components live in slots; the stick's places point to them, so that an exchange moves no row.
  std::vector<int32_t> slot_of_row_;  // -1: none at the moment
  std::vector<int64_t> slot_at_;      // [k], by place
  // By slot; the last two are the halves of a proposed split.
  std::vector<int64_t> counts_;                             // [k+2]
  std::vector<double> means_, factors_, log_determinants_;  // [k+2,d], [k+2,d,d], [k+2]
  std::vector<int64_t> members_;                            // rows of a proposed split but two
  std::vector<char> to_second_;                             // which half each goes to
  std::vector<double> work_, joint_, places_, kept_;
};

}  // namespace covary::mixture
