#include "covary/stat/filter/batch.h"

#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/kalman/kalman.h"

namespace covary::filter {
namespace {

using compute::KalmanMatrix;

// The view of the model's matrix, or of the series' own. `hold` keeps contiguous copies alive.
KalmanMatrix view_of(const at::Tensor& shared, const at::Tensor& own, const char* name,
                     at::IntArrayRef shape, int64_t series, int64_t steps,
                     std::vector<at::Tensor>& hold) {
  int64_t size = 1;
  for (const int64_t n : shape) size *= n;
  if (!own.defined()) {
    hold.push_back(shared.contiguous());
    const bool by_step = shared.dim() > static_cast<int64_t>(shape.size());
    return {hold.back().const_data_ptr<double>(), 0, by_step ? size : 0};
  }
  std::vector<int64_t> constant{series}, by_step{series, steps};
  constant.insert(constant.end(), shape.begin(), shape.end());
  by_step.insert(by_step.end(), shape.begin(), shape.end());
  const bool steps_own = own.sizes() == at::IntArrayRef(by_step);
  if (own.scalar_type() != at::kDouble || !own.device().is_cpu() ||
      (!steps_own && own.sizes() != at::IntArrayRef(constant))) {
    throw Error(ExitCode::kData, "must be double on the CPU, one matrix a series", name,
                "give it the shape of the model's matrix with the series before it");
  }
  if (!at::isfinite(own).all().item<bool>()) {
    throw Error(ExitCode::kData, "is not finite", name, "only observations may be missing");
  }
  hold.push_back(own.contiguous());
  return {hold.back().const_data_ptr<double>(), steps_own ? steps * size : size,
          steps_own ? size : 0};
}

}  // namespace

BatchFiltered kalman_filter_batch(const LinearModel& model, const at::Tensor& y,
                                  const SeriesMatrices& own, bool want_mean, bool want_cov) {
  model.check(y.dim() == 3 ? y.size(1) : -1);
  const int64_t n = model.states(), p = model.observations();
  if (n > compute::kKalmanStates || p > compute::kKalmanObservations) {
    throw Error(ExitCode::kUsage, "the batch holds at most 16 states and 8 observations", "model",
                "take kalman_filter, series by series");
  }
  if (model.b.defined() || model.diffuse.defined()) {
    throw Error(ExitCode::kUsage, "is not for batches", model.b.defined() ? "B" : "diffuse",
                "take kalman_filter, series by series");
  }
  if (y.dim() != 3 || y.size(2) != p || y.scalar_type() != at::kDouble || !y.device().is_cpu()) {
    throw Error(ExitCode::kData, "must be double [B,T," + std::to_string(p) + "] on the CPU", "y",
                "one row a step, one column an observation");
  }
  const int64_t series = y.size(0), steps = y.size(1);
  std::vector<at::Tensor> hold;
  hold.reserve(7);
  compute::KalmanBatch b{.series = series,
                         .steps = steps,
                         .states = static_cast<int>(n),
                         .observations = static_cast<int>(p)};
  b.f = view_of(model.f, own.f, "F", {n, n}, series, steps, hold);
  b.q = view_of(model.q, own.q, "Q", {n, n}, series, steps, hold);
  b.h = view_of(model.h, own.h, "H", {p, n}, series, steps, hold);
  b.r = view_of(model.r, own.r, "R", {p, p}, series, steps, hold);
  b.mean0 = view_of(model.mean0, own.mean0, "mean0", {n}, series, steps, hold);
  b.cov0 = view_of(model.cov0, own.cov0, "cov0", {n, n}, series, steps, hold);
  hold.push_back(y.contiguous());
  b.y = hold.back().const_data_ptr<double>();
  BatchFiltered out;
  out.log_likelihood = at::empty({series}, at::kDouble);
  if (want_mean) out.mean = at::empty({series, steps, n}, at::kDouble);
  if (want_cov) out.cov = at::empty({series, steps, n, n}, at::kDouble);
  std::vector<int64_t> failed(static_cast<size_t>(series));
  compute::kalman_batch(b,
                        {out.log_likelihood.mutable_data_ptr<double>(),
                         want_mean ? out.mean.mutable_data_ptr<double>() : nullptr,
                         want_cov ? out.cov.mutable_data_ptr<double>() : nullptr, failed.data()});
  const double* likelihood = out.log_likelihood.const_data_ptr<double>();
  for (int64_t i = 0; i < series; ++i) {
    const int64_t t = failed[static_cast<size_t>(i)];
    if (t < 0 && std::isfinite(likelihood[i])) continue;
    const std::string where = "series " + std::to_string(i);
    // An infinite observation leaves no finite likelihood: y is searched only then.
    if (t < 0 && at::isinf(y[i]).any().item<bool>()) {
      throw Error(ExitCode::kData, "is infinite somewhere", "y of " + where,
                  "write NaN for what is missing");
    }
    throw Error(ExitCode::kData,
                t < 0 ? "the likelihood is not finite" : "an innovation has no variance",
                t < 0 ? where : where + ", step " + std::to_string(t),
                "take kalman_filter for it, or give Q, R or cov0 some variance");
  }
  return out;
}

}  // namespace covary::filter
