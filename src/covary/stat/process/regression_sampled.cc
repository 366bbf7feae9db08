// Where the parameters are known by draws: predictions mix the processes of some of them.
#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/log.h"
#include "covary/stat/process/regression.h"

namespace covary::stat {

void Regression::sample_parameters(const RegressionOptions& o) {
  if (report_.ending == numeric::name_of(numeric::Ending::kStopped)) return;
  HyperSampleOptions how = o.sampling;
  how.priors = o.prior_preset(x_.size(1));
  how.seed = o.seed;
  how.memory_limit = o.memory_limit;
  HyperSample s = sample_hyperparameters(std::get<GaussianProcess>(process_), how);
  if (s.stopped) {
    report_.ending = numeric::name_of(numeric::Ending::kStopped);
    report_.choice.why += "; its draws were interrupted, the parameters are the likeliest";
    return;
  }
  const std::string warning = s.warning();
  if (!warning.empty()) log_warning("draws of the parameters: " + warning);
  report_.posterior = std::move(s);
}

const HyperSample* Regression::posterior() const {
  return report_.posterior ? &*report_.posterior : nullptr;
}

const HyperSample& Regression::draws() const {
  if (!report_.posterior) {
    throw Error(ExitCode::kUsage, "has no draws of its parameters", "mixture of predictions",
                "fit with inference nuts");
  }
  return *report_.posterior;
}

PredictiveMixture Regression::mixture(const at::Tensor& points, bool noise) const {
  return mix_predictions(std::get<GaussianProcess>(process_), draws(), points, noise);
}

PredictiveMixture Regression::mixture(const at::Tensor& points, const RowNoise& rows) const {
  return mix_predictions(std::get<GaussianProcess>(process_), draws(), points, rows);
}

PredictiveMixture Regression::mixture_left_out() const {
  return mix_left_out(std::get<GaussianProcess>(process_), draws());
}

ValuePrediction Regression::mixed_values(const at::Tensor& points,
                                         const std::vector<double>& quantiles, bool noise) const {
  const PredictiveMixture m = mixture(points, noise);
  const auto [mean, variance] = m.moments();
  ValuePrediction out{mean, variance.sqrt(), {}};
  for (const double q : quantiles) out.quantiles.push_back(m.quantile(q));
  return out;
}

}  // namespace covary::stat
