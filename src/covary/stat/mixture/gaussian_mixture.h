// Mixtures of Gaussians: p(x) = sum_k w_k N(x | m_k, S_k).
//
//   GaussianMixture m({.components = 3});
//   m.fit(x);                                   // x [n,d]; NaN = missing
//   at::Tensor labels = m.predict(y);           // [n] int64
//   at::Tensor log_density = m.score_samples(y);
//   at::Tensor draws = m.sample(1000, seed);
//   const Selection s = select_mixture(x, {1, 2, 3}, {"tied", "full"}, "bic");
//
// fit is EM (Dempster, Laird, Rubin 1977) in the form that compute/gaussian.h describes: no
// responsibility is stored, sums are centred and in double, and the same seed gives the same bits
// at any number of threads, in memory and in chunks. Covariances are kept above a floor relative to
// the data's own variances, column by column, by the constrained maximum (mixture_state.h), so the
// likelihood never falls and a change of a column's unit changes nothing else. A component that
// loses its data is set anew at the least likely point; report() says so.
//
// Tensors may be float or double, on any device; work is in double on the CPU. Constant columns,
// duplicates, n < d and one row are fine: the floor holds, and report().floored counts the
// covariances at it. Errors are Error(kData) with row and column for infinities, bad weights, and
// n < components; Error(kUsage) for options; Error(kFailed) for a model that is not fitted.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "covary/core/data/model.h"
#include "covary/stat/mixture/criteria.h"
#include "covary/stat/mixture/em.h"
#include "covary/stat/mixture/gaussian_mixture_options.h"
#include "covary/stat/mixture/mixture_state.h"
#include "covary/stat/mixture/rows.h"

namespace covary::mixture {

struct FitReport {
  double log_likelihood = 0;  // of all rows, weighted, nats; what is missing integrated out
  double entropy = 0;         // of the responsibilities
  double rows = 0, weight = 0;
  double parameters = 0;         // free ones
  Criteria criteria;             // with n = weight
  int64_t constant_columns = 0;  // whose variance the floor had to make up
  EmTrace trace;
  EmTrace start;  // of the start that was kept, on at most init_rows rows; empty by one start
};

class GaussianMixture {
 public:
  explicit GaussianMixture(GaussianMixtureOptions options = {});

  // x [n,d]; sample weights [n] >= 0 or none.
  GaussianMixture& fit(const at::Tensor& x, const at::Tensor& weights = {});
  // The same result to the bit as fit of all chunks in one, whatever their lengths; chunks are
  // passed through once a step.
  GaussianMixture& fit_chunks(const ChunkSource& source);
  // Incremental EM (Neal and Hinton 1998): a step after every one of `blocks` equal stretches of
  // rows, on the newest sums of all of them. Steps count passes; the stop looks at the gain of a
  // pass. The maxima are fit's. In memory, no NaN, no prior.
  GaussianMixture& fit_incremental(const at::Tensor& x, const at::Tensor& weights = {},
                                   int64_t blocks = 16);
  // Online EM (Cappe and Moulines 2009): the running sums move to this batch's by
  // (t + 2)^-online_power, or by online_gain, which forgets. The first batch makes the start, and
  // the floor; after online_delay batches steps begin.
  GaussianMixture& partial_fit(const at::Tensor& x, const at::Tensor& weights = {});

  // weights [k] (any positive sum), means [k,d], covariances [k] | [k,d] | [d,d] | [k,d,d] by type.
  GaussianMixture& set_parameters(const at::Tensor& weights, const at::Tensor& means,
                                  const at::Tensor& covariances);

  // The same from the inverses of the covariances.
  GaussianMixture& set_precisions(const at::Tensor& weights, const at::Tensor& means,
                                  const at::Tensor& precisions);

  // What the next fit begins from, of the rows x that it will be given (or some like them). The
  // number of components becomes what the start has, init becomes given.
  //   labels [n]              0, 1, ...; a row with -1 belongs to nobody yet
  //   responsibilities [n,k]  >= 0; each row is scaled to sum 1, one of zeros belongs to nobody
  //   means [k,d]             kept; weights and covariances are those of the rows nearest to each, in
  //                           columns scaled to unit variance
  // A component without rows begins with the data's variances and the weight of one row.
  GaussianMixture& start_from_labels(const at::Tensor& x, const at::Tensor& labels,
                                     const at::Tensor& weights = {});
  GaussianMixture& start_from_responsibilities(const at::Tensor& x,
                                               const at::Tensor& responsibilities,
                                               const at::Tensor& weights = {});
  GaussianMixture& start_from_means(const at::Tensor& x, const at::Tensor& means,
                                    const at::Tensor& weights = {});

  at::Tensor score_samples(const at::Tensor& x) const;  // log p(x), [n]; of the observed entries
  double score(const at::Tensor& x, const at::Tensor& weights = {}) const;  // mean log p
  at::Tensor predict(const at::Tensor& x) const;                            // [n] int64
  at::Tensor predict_proba(const at::Tensor& x) const;                      // [n,k]
  at::Tensor sample(int64_t n, int64_t seed) const;                         // [n,d]
  at::Tensor sample(int64_t n, int64_t seed, at::Tensor& labels) const;

  // p(columns), and p(all other columns | columns = values); both with full covariances.
  GaussianMixture marginal(const std::vector<int64_t>& columns) const;
  GaussianMixture conditional(const std::vector<int64_t>& columns, const at::Tensor& values) const;
  // Fewer components by merging the pair that costs least, keeping mean and covariance of the whole
  // (Runnalls 2007, IEEE TAES 43(3), equation 21). Full covariances.
  GaussianMixture merged(int64_t components) const;

  // The parameters as a model file's content (schema covary.mixture), and back, to the bit; the
  // report is not kept.
  data::Model model() const;
  static GaussianMixture of_model(const data::Model& model);

  at::Tensor weights() const;           // [k], sum 1
  at::Tensor means() const;             // [k,d]
  at::Tensor covariances() const;       // by type
  at::Tensor full_covariances() const;  // [k,d,d], whatever the type
  int64_t components() const { return state_.k; }
  int64_t columns() const { return state_.d; }
  const GaussianMixtureOptions& options() const { return options_; }
  const FitReport& report() const { return report_; }

 private:
  GaussianMixture& fit_rows(const Rows& rows);
  void need_fit() const;
  at::Tensor checked_query(const at::Tensor& x) const;
  static GaussianMixture of_state(MixtureState state);
  GaussianMixture& start_from(const at::Tensor& x, const at::Tensor& responsibilities,
                              const at::Tensor& weights, const at::Tensor& means);

  GaussianMixtureOptions options_;
  MixtureState state_;
  FitReport report_;
  // Online: sums a unit of weight, about the current means.
  std::vector<compute::MixtureSums> running_;
  VarianceFloor floor_;
  int64_t batches_ = 0;
};

struct Selection {
  struct Row {
    int64_t components = 0;
    std::string covariance;
    FitReport report;
  };
  std::vector<Row> rows;  // every combination, in the order asked
  size_t best = 0;        // index into rows
  GaussianMixture model;  // the best one
};

// Fits every combination. criterion: bic | aic | icl. A combination with a covariance at the floor
// is chosen only when all have one: its likelihood is the floor's, not the data's.
Selection select_mixture(const at::Tensor& x, const std::vector<int64_t>& components,
                         const std::vector<std::string>& covariances,
                         const std::string& criterion = "bic",
                         const GaussianMixtureOptions& options = {},
                         const at::Tensor& weights = {});

}  // namespace covary::mixture
