#include "covary/stat/filter/fading_memory.h"

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/stat/filter/model_view.h"

namespace covary::filter {

Filtered fading_memory_filter(const LinearModel& model, const at::Tensor& y, double factor,
                              const at::Tensor& u) {
  if (!(factor >= 1) || !(factor < 1e6)) {
    throw Error(ExitCode::kUsage, "must be at least 1", "factor", "1.02 forgets 4 % a step");
  }
  if (model.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "the start is diffuse", "diffuse", "give it a covariance");
  }
  const ModelView v(model, y, u);
  const int64_t steps = v.steps();
  if (steps == 0) return kalman_filter(model, y, u);
  // factor^2 F P F' + Q is the step of a model with factor F, but for its mean: that one is set
  // right by an input, which needs the mean. So the filter goes row by row.
  LinearModel now = model;
  std::vector<Filtered> rows;
  for (int64_t t = 0; t < steps; ++t) {
    now.f = tensor_of(MatrixXd(factor * v.f(t)));
    now.q = tensor_of(v.q(t));
    now.h = tensor_of(v.h(t));
    now.r = tensor_of(v.r(t));
    now.b = at::Tensor();
    Filtered one = kalman_filter(now, y.slice(0, t, t + 1));
    one.next_mean = tensor_of(VectorXd(v.f(t) * vector_at(one.mean, 0) + v.input(t)));
    now.mean0 = one.next_mean;
    now.cov0 = one.next_cov;
    rows.push_back(std::move(one));
  }
  const auto joined = [&](at::Tensor Filtered::* field) {
    std::vector<at::Tensor> parts;
    for (const Filtered& r : rows) parts.push_back(r.*field);
    return at::cat(parts).contiguous();
  };
  Filtered out = rows.back();
  for (at::Tensor Filtered::* field :
       {&Filtered::mean, &Filtered::cov, &Filtered::predicted_mean, &Filtered::predicted_cov,
        &Filtered::innovation, &Filtered::innovation_cov, &Filtered::nis, &Filtered::observed,
        &Filtered::log_likelihoods}) {
    out.*field = joined(field);
  }
  out.log_likelihood = out.log_likelihoods.sum().item<double>();
  return out;
}

}  // namespace covary::filter
