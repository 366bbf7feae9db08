// Mixtures of von Mises-Fisher distributions: clusters of directions, with a concentration each.
//
//   VonMisesFisherMixture m({.components = 10, .normalise = true});
//   m.fit(features);                            // [n,d], a direction a row
//   at::Tensor labels = m.predict(features);    // [n] int64
//   m.weights(), m.means(), m.kappas()          // [k], [k,d] of length 1, [k]
//   const auto s = select_von_mises_fisher(features, {1, 2, 3}, "bic");
//
// Starts from k-means++ seeds on the cosine dissimilarity 1 - x . y. Soft EM maximises the log-likelihood, hard EM the
// classification likelihood; spherical k-means (assignment cosine) is hard EM with equal weights and one kappa. The objective
// never falls, but where a component lost all its rows: it is then started again at the row that the model explains worst,
// at most once a step and `restarts` times in all. A component of equal rows stops at max_kappa, one whose rows cancel is
// uniform (kappa 0); report().notes say so. Cost: 4 n k d flops a step, by BLAS, and 8 n (d + 2 k) bytes of memory. Same
// seed, same bits at any number of threads. Source: Banerjee et al. 2005 (movMF).
//
// Rows are directions: of length 1 within 1e-6, or of any but 0 with normalise, which a model keeps for the rows that it is
// asked about. Errors are Error(kData) naming the row for those that are not, not finite or zero, and when there are
// fewer rows of positive weight than components; Error(kUsage) for options; Error(kFailed) for a model that is not fitted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "covary/core/data/model.h"
#include "covary/stat/mixture/criteria.h"
#include "covary/stat/mixture/von_mises_fisher.h"
#include "covary/stat/mixture/von_mises_fisher_mixture_options.h"

namespace covary::mixture {

struct VonMisesFisherReport {
  double log_likelihood = 0;  // of all rows, weighted, nats
  double entropy = 0;         // of the responsibilities
  double rows = 0, weight = 0;
  double parameters = 0;           // k d + k - 1: directions, concentrations, weights
  Criteria criteria;               // with n = weight
  std::vector<double> objective;   // mean a weight, after each step
  std::vector<int64_t> restarted;  // steps whose model was changed by a restart
  bool converged = false;
  std::vector<std::string> notes;  // components at the cap, uniform, without rows
};

class VonMisesFisherMixture {
 public:
  explicit VonMisesFisherMixture(VonMisesFisherMixtureOptions options = {});

  // x [n,d]; weights [n] >= 0, or none.
  VonMisesFisherMixture& fit(const at::Tensor& x, const at::Tensor& weights = {});
  // weights [k] (any positive sum), means [k,d] (any length but 0), kappas [k] >= 0.
  VonMisesFisherMixture& set_parameters(const at::Tensor& weights, const at::Tensor& means,
                                        const at::Tensor& kappas);

  at::Tensor score_samples(const at::Tensor& x) const;  // log density on the sphere, [n]
  double score(const at::Tensor& x, const at::Tensor& weights = {}) const;  // its mean
  at::Tensor predict(const at::Tensor& x) const;                            // [n] int64
  at::Tensor predict_proba(const at::Tensor& x) const;                      // [n,k]
  // [n,d]; row i depends on (seed, i) and the model alone.
  at::Tensor sample(int64_t n, int64_t seed) const;
  at::Tensor sample(int64_t n, int64_t seed, at::Tensor& labels) const;

  // The parameters as a model file's content (schema covary.mixture, family vmf), and back, to the
  // bit; the report is not kept.
  data::Model model() const;
  static VonMisesFisherMixture of_model(const data::Model& model);

  at::Tensor weights() const;  // [k], sum 1
  at::Tensor means() const;    // [k,d]
  at::Tensor kappas() const;   // [k]
  const std::vector<VonMisesFisher>& parts() const { return parts_; }
  int64_t components() const { return static_cast<int64_t>(parts_.size()); }
  int64_t columns() const { return parts_.empty() ? 0 : parts_[0].dimension(); }
  const VonMisesFisherMixtureOptions& options() const { return options_; }
  const VonMisesFisherReport& report() const { return report_; }

 private:
  struct Step;
  void run(const at::Tensor& x, const at::Tensor& weights, int64_t seed);
  at::Tensor log_joint(const at::Tensor& rows) const;  // log(weight_k density_k(row)), [n,k]
  at::Tensor checked_query(const at::Tensor& x) const;

  VonMisesFisherMixtureOptions options_;
  std::vector<double> log_weights_;  // [k]
  std::vector<VonMisesFisher> parts_;
  VonMisesFisherReport report_;
};

// Fits each number of components. criterion: bic | aic | icl.
struct VonMisesFisherSelection {
  struct Row {
    int64_t components = 0;
    VonMisesFisherReport report;
  };
  std::vector<Row> rows;  // in the order asked
  size_t best = 0;        // index into rows
  VonMisesFisherMixture model;
};
VonMisesFisherSelection select_von_mises_fisher(const at::Tensor& x,
                                                const std::vector<int64_t>& components,
                                                const std::string& criterion = "bic",
                                                const VonMisesFisherMixtureOptions& options = {},
                                                const at::Tensor& weights = {});

// k-means++ seeds: row indices [k], drawn in proportion to weight times cosine dissimilarity from the seeds so far.
std::vector<int64_t> cosine_seeds(const at::Tensor& unit_rows, const at::Tensor& weights, int64_t k,
                                  uint64_t seed);

}  // namespace covary::mixture
