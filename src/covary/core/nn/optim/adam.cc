#include "covary/core/nn/optim/adam.h"

#include <cmath>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/adam/op.h"

namespace covary::nn {

void AdamOptions::check() const {
  const auto refuse = [](const char* field, const char* what) {
    throw Error(ExitCode::kUsage, what, std::string("adam.") + field);
  };
  if (batch < 1) refuse("batch", "must be at least 1");
  const double b = static_cast<double>(batch);
  if (!(beta1 >= 0 && beta1 < 1)) refuse("beta1", "must be in [0, 1)");
  if (!(beta2 >= 0 && beta2 < 1)) refuse("beta2", "must be in [0, 1)");
  if (b * (1 - beta1) > 1) refuse("batch", "times 1 - beta1 must not pass 1");
  if (b * (1 - beta2) > 1) refuse("batch", "times 1 - beta2 must not pass 1");
  if (!(eps > 0) || !std::isfinite(eps)) refuse("eps", "must be positive and finite");
  if (rows != "plain" && rows != "selective") refuse("rows", "must be plain or selective");
}

Adam::Adam(RowTable& table, const AdamOptions& options) : table_(table), options_(options) {
  options_.check();
}

void Adam::step(const NamedTensors& gradients, int64_t step, const at::Tensor& visible) {
  StageTimer stage("adam");
  const auto unseen =
      options_.rows == "selective" ? compute::UnseenRows::kKeep : compute::UnseenRows::kDecay;
  const at::Tensor ids = visible.defined() ? visible.contiguous() : visible;
  const auto tensors = [](const RowTable::Parameter& p) {
    return compute::AdamTensors{p.value.detach(), p.first, p.second, p.multiplier};
  };
  for (const auto& [name, gradient] : gradients) {
    try {
      compute::check_adam_step(tensors(table_.entry(name)), gradient, ids);
    } catch (const Error& error) {
      throw Error(error.code(), error.message(), name, error.hint());
    }
    if (options_.check_finite && !compute::is_finite(gradient)) {
      throw Error(ExitCode::kFailed, "the gradient is not finite at step " + std::to_string(step),
                  name, "a lower learning rate, or look for degenerate input");
    }
  }
  const double batch = static_cast<double>(options_.batch);
  for (const auto& [name, gradient] : gradients) {
    RowTable::Parameter& p = table_.entry(name);
    p.updates += 1;
    const compute::AdamRule rule{.rate = p.rate.at(step) * std::sqrt(batch),
                                 .beta1 = 1 - batch * (1 - options_.beta1),
                                 .beta2 = 1 - batch * (1 - options_.beta2),
                                 .eps = options_.eps / std::sqrt(batch),
                                 .update = p.updates};
    compute::adam_step(rule, tensors(p), gradient, ids, unseen);
    const int64_t rows = p.value.size(0);
    if (rows > 0) stage.add_items(p.value.numel() / rows * (ids.defined() ? ids.numel() : rows));
  }
}

NamedTensors gradients(const RowTable& table) {
  NamedTensors found;
  for (const auto& name : table.names()) {
    const at::Tensor gradient = table.parameter(name).grad();
    if (gradient.defined()) found.emplace(name, gradient);
  }
  return found;
}

void zero_gradients(RowTable& table) {
  for (const auto& name : table.names()) table.entry(name).value.mutable_grad().reset();
}

}  // namespace covary::nn
