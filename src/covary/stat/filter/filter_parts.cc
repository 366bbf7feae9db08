#include "covary/stat/filter/filter_parts.h"

#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"

namespace covary::filter {
namespace {

void check_probabilities(const at::Tensor& p, at::IntArrayRef shape, const char* name) {
  if (!p.defined() || p.scalar_type() != at::kDouble || p.sizes() != shape) {
    throw Error(ExitCode::kData, "must be double, one number a model", name,
                "switching is [M,M], start is [M]");
  }
  const bool sums = ((p.sum(-1) - 1).abs() < 1e-9).all().item<bool>();
  if (!sums || !(p >= 0).all().item<bool>()) {
    throw Error(ExitCode::kData, "holds no probabilities", name,
                "each row is not negative and adds up to 1");
  }
}

}  // namespace

VectorXd normals(const Random& random, int64_t element, int64_t n) {
  VectorXd z(n);
  for (int64_t k = 0; k < n; ++k) z(k) = random.normal(static_cast<uint64_t>(element * n + k));
  return z;
}

VectorXd call(const StepFunction& function, const VectorXd& x, int64_t step, int64_t size,
              const char* name) {
  VectorXd out = VectorXd::Zero(size);
  function({x.data(), size_t(x.size())}, step, {out.data(), size_t(size)});
  if (!out.allFinite()) {
    throw Error(ExitCode::kData, "returned something that is not finite",
                std::string(name) + " at step " + std::to_string(step),
                "the state left the region that the model describes, or the start is too wide");
  }
  return out;
}

LinearModel frame_of(const NonlinearModel& m) {
  LinearModel frame;
  frame.f = at::zeros({m.states, m.states}, at::kDouble);
  frame.h = at::zeros({m.observations, m.states}, at::kDouble);
  frame.q = m.q;
  frame.r = m.r;
  frame.mean0 = m.mean0;
  frame.cov0 = m.cov0;
  return frame;
}

std::vector<ModelView> views_of_switching(const std::vector<LinearModel>& models,
                                          const at::Tensor& switching, const at::Tensor& start,
                                          const at::Tensor& y, const at::Tensor& u) {
  if (models.empty()) throw Error(ExitCode::kUsage, "is empty", "models");
  const auto count = static_cast<int64_t>(models.size());
  check_probabilities(switching, {count, count}, "switching");
  check_probabilities(start, {count}, "start");
  std::vector<ModelView> views;
  for (const LinearModel& m : models) {
    views.emplace_back(m, y, u);
    if (views.back().diffuse().cols() > 0) {
      throw Error(ExitCode::kData, "the start is diffuse", "diffuse",
                  "give every model a start with variances");
    }
    if (views.back().states() != views[0].states()) {
      throw Error(ExitCode::kData, "have different numbers of states", "models",
                  "give the smaller ones states without effect");
    }
  }
  return views;
}

}  // namespace covary::filter
