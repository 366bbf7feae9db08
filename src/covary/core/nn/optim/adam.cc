#include "covary/core/nn/optim/adam.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/adam/op.h"

namespace covary::nn {

namespace {

// The values of a sparse gradient at the rows ids, [M,...]; rows that it does not name are 0. Sums in
// the order of the entries.
template <class T>
void gather_rows(const at::Tensor& indices, const at::Tensor& values, const at::Tensor& ids,
                 at::Tensor& out) {
  const int64_t width = out.size(0) > 0 ? out.numel() / out.size(0) : 0;
  const int64_t *index = indices.const_data_ptr<int64_t>(), *id = ids.const_data_ptr<int64_t>();
  const T* from = values.const_data_ptr<T>();
  T* to = out.mutable_data_ptr<T>();
  for (int64_t e = 0; e < indices.numel(); ++e) {
    const int64_t* at = std::lower_bound(id, id + ids.numel(), index[e]);
    if (at == id + ids.numel() || *at != index[e]) {
      throw Error(ExitCode::kFailed,
                  "a sparse gradient names row " + std::to_string(index[e]) +
                      ", which is not among the visible ones",
                  "adam step");
    }
    T* row = to + (at - id) * width;
    for (int64_t k = 0; k < width; ++k) row[k] += from[e * width + k];
  }
}

// A gradient that the kernel takes: dense, or compact for the rows ids.
at::Tensor strided(const at::Tensor& gradient, const at::Tensor& ids) {
  if (!gradient.defined() || !gradient.is_sparse()) return gradient;
  if (!ids.defined() || gradient.sparse_dim() != 1) return gradient.to_dense();
  const at::Tensor indices = gradient._indices().select(0, 0).contiguous(),
                   values = gradient._values().contiguous();
  if (indices.is_same_size(ids) &&
      (indices.const_data_ptr() == ids.const_data_ptr() || at::equal(indices, ids))) {
    return values;
  }
  std::vector<int64_t> shape = values.sizes().vec();
  shape[0] = ids.numel();
  at::Tensor out = at::zeros(shape, values.options());
  if (values.scalar_type() == at::kDouble) {
    gather_rows<double>(indices, values, ids, out);
  } else {
    gather_rows<float>(indices, values, ids, out);
  }
  return out;
}

}  // namespace

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
  NamedTensors rows_of;
  if (!gradients.empty()) compute::check_adam_ids(ids, table_.rows());
  for (const auto& [name, given] : gradients) {
    at::Tensor& gradient = rows_of[name];
    try {
      gradient = strided(given, ids);
      compute::check_adam_tensors(tensors(table_.entry(name)), gradient, ids);
    } catch (const Error& error) {
      throw Error(error.code(), error.message(), name, error.hint());
    }
    if (options_.check_finite && !compute::is_finite(gradient)) {
      throw Error(ExitCode::kFailed, "the gradient is not finite at step " + std::to_string(step),
                  name, "a lower learning rate, or look for degenerate input");
    }
  }
  const double batch = static_cast<double>(options_.batch);
  for (const auto& [name, gradient] : rows_of) {
    RowTable::Parameter& p = table_.entry(name);
    p.updates += 1;
    const compute::AdamRule rule{.rate = p.rate.at(step) * std::sqrt(batch),
                                 .beta1 = 1 - batch * (1 - options_.beta1),
                                 .beta2 = 1 - batch * (1 - options_.beta2),
                                 .eps = options_.eps / std::sqrt(batch),
                                 .update = p.updates};
    compute::checked_adam_step(rule, tensors(p), gradient, ids, unseen);
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
