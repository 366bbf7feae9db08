#include "covary/stat/filter/imm.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/filter_parts.h"
#include "covary/stat/filter/model_view.h"
#include "covary/stat/filter/steps.h"

namespace covary::filter {
namespace {

// Mean and covariance of a mixture of beliefs.
Belief<double> mixture(const std::vector<Belief<double>>& parts, const VectorXd& weights) {
  Belief<double> b{VectorXd::Zero(parts[0].mean.size()),
                   MatrixXd::Zero(parts[0].mean.size(), parts[0].mean.size())};
  for (size_t k = 0; k < parts.size(); ++k) b.mean += weights(Eigen::Index(k)) * parts[k].mean;
  for (size_t k = 0; k < parts.size(); ++k) {
    const VectorXd off = parts[k].mean - b.mean;
    b.cov += weights(Eigen::Index(k)) * (parts[k].cov + off * off.transpose());
  }
  return b;
}

}  // namespace

ImmFiltered imm_filter(const std::vector<LinearModel>& models, const at::Tensor& switching,
                       const at::Tensor& start, const at::Tensor& y, const at::Tensor& u) {
  const std::vector<ModelView> views = views_of_switching(models, switching, start, y, u);
  const auto count = static_cast<int64_t>(models.size());
  const int64_t steps = views[0].steps(), n = views[0].states();
  const MatrixXd chain = matrix_of(switching);
  ImmFiltered out{at::empty({steps, n}, at::kDouble), at::empty({steps, n, n}, at::kDouble),
                  at::empty({steps, count}, at::kDouble), 0};
  VectorXd probability = vector_of(start);
  std::vector<Belief<double>> beliefs;
  for (const ModelView& v : views) beliefs.push_back({v.mean0(), v.cov0()});
  for (int64_t t = 0; t < steps; ++t) {
    if (t > 0) {
      const VectorXd next = chain.transpose() * probability;
      std::vector<Belief<double>> mixed;
      for (int64_t j = 0; j < count; ++j) {
        // A model that cannot be entered keeps its own belief.
        if (!(next(j) > 0)) {
          mixed.push_back(beliefs[size_t(j)]);
        } else {
          mixed.push_back(mixture(beliefs, chain.col(j).cwiseProduct(probability) / next(j)));
        }
        const ModelView& v = views[size_t(j)];
        joseph_predict<double>(mixed.back(), v.f(t - 1), v.q(t - 1), v.input(t - 1));
      }
      beliefs = std::move(mixed);
      probability = next;
    }
    if (!views[0].present(t).empty()) {
      VectorXd logs(count);
      for (int64_t j = 0; j < count; ++j) {
        Scores<double> s;
        const Observation o = observation_at(views[size_t(j)], t);
        if (!joseph_update<double>(beliefs[size_t(j)], o.h, o.r, o.y, s)) {
          sequential_update<double>(beliefs[size_t(j)], o.h, o.r, o.y, s);
        }
        logs(j) = probability(j) > 0 ? std::log(probability(j)) + s.log_likelihood
                                     : -std::numeric_limits<double>::infinity();
      }
      const double highest = logs.maxCoeff();
      if (!std::isfinite(highest)) {
        throw Error(ExitCode::kData, "no model explains the observation",
                    "step " + std::to_string(t), "give some model more variance");
      }
      probability = (logs.array() - highest).exp();
      const double total = probability.sum();
      out.log_likelihood += highest + std::log(total);
      probability /= total;
    }
    const Belief<double> all = mixture(beliefs, probability);
    put(out.mean, t, all.mean);
    put(out.cov, t, all.cov);
    put(out.probability, t, probability);
  }
  return out;
}

}  // namespace covary::filter
