#include "covary/stat/filter/gaussian_sum.h"

#include <cmath>
#include <limits>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

GaussianSumFiltered gaussian_sum_filter(const NonlinearModel& model,
                                        const std::vector<GaussianStart>& starts,
                                        const at::Tensor& y, const NonlinearOptions& options) {
  double sum = 0;
  for (const GaussianStart& s : starts) {
    if (!(s.weight >= 0)) throw Error(ExitCode::kData, "has a negative weight", "starts");
    sum += s.weight;
  }
  if (!(std::abs(sum - 1) < 1e-9)) {
    throw Error(ExitCode::kData, "weights add up to " + std::to_string(sum), "starts",
                "they are probabilities and add up to 1");
  }
  const int64_t count = static_cast<int64_t>(starts.size()), n = model.states;
  std::vector<NonlinearFiltered> parts;
  for (const GaussianStart& s : starts) {
    NonlinearModel one = model;
    one.mean0 = s.mean0;
    one.cov0 = s.cov0;
    parts.push_back(nonlinear_filter(one, y, options));
  }
  const int64_t steps = y.size(0);
  GaussianSumFiltered out{
      at::empty({steps, n}, at::kDouble),           at::empty({steps, n, n}, at::kDouble),
      at::empty({steps, count}, at::kDouble),       at::empty({steps, count, n}, at::kDouble),
      at::empty({steps, count, n, n}, at::kDouble), 0};
  VectorXd logs(count);
  for (int64_t k = 0; k < count; ++k) logs(k) = std::log(starts[size_t(k)].weight);
  for (int64_t t = 0; t < steps; ++t) {
    for (int64_t k = 0; k < count; ++k)
      logs(k) += parts[size_t(k)].log_likelihoods.const_data_ptr<double>()[t];
    const double highest = logs.maxCoeff();
    if (!std::isfinite(highest)) {
      throw Error(ExitCode::kData, "no component explains the observation",
                  "step " + std::to_string(t), "cover the start with more of them");
    }
    VectorXd weight = (logs.array() - highest).exp();
    weight /= weight.sum();
    VectorXd mean = VectorXd::Zero(n);
    MatrixXd cov = MatrixXd::Zero(n, n);
    for (int64_t k = 0; k < count; ++k) mean += weight(k) * vector_at(parts[size_t(k)].mean, t);
    for (int64_t k = 0; k < count; ++k) {
      const VectorXd own = vector_at(parts[size_t(k)].mean, t), off = own - mean;
      const MatrixXd own_cov = matrix_at(parts[size_t(k)].cov, t);
      cov += weight(k) * (own_cov + off * off.transpose());
      put(out.component_mean, t * count + k, own);
      put(out.component_cov, t * count + k, own_cov);
    }
    put(out.mean, t, mean);
    put(out.cov, t, cov);
    put(out.weight, t, weight);
  }
  if (steps > 0) {
    const double highest = logs.maxCoeff();
    out.log_likelihood = highest + std::log((logs.array() - highest).exp().sum());
  }
  return out;
}

}  // namespace covary::filter
