#include "covary/core/compute/adam/op.h"

#include <cmath>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/threads.h"

namespace covary::compute {
namespace {

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ExitCode::kFailed, what, "adam step");
}

std::string shape_of(const at::Tensor& t) {
  std::string s = "[";
  for (const int64_t n : t.sizes()) s += (s.size() > 1 ? "," : "") + std::to_string(n);
  return s + "]";
}

template <class T>
AdamRows<T> rows_of(const AdamTensors& t) {
  const int64_t n = t.value.size(0);
  return {t.value.data_ptr<T>(),
          t.first.data_ptr<T>(),
          t.second.data_ptr<T>(),
          t.multiplier.defined() ? t.multiplier.data_ptr<T>() : nullptr,
          n,
          n > 0 ? t.value.numel() / n : 0};
}

template <class T>
AdamGradient<T> gradient_of(const at::Tensor& gradient, const at::Tensor& ids, int64_t rows) {
  if (!ids.defined()) return {gradient.data_ptr<T>(), nullptr, 0, false};
  return {gradient.data_ptr<T>(), ids.data_ptr<int64_t>(), ids.numel(), gradient.size(0) != rows};
}

}  // namespace

void check_adam_ids(const at::Tensor& ids, int64_t rows) {
  if (!ids.defined()) return;
  if (ids.dim() != 1 || ids.scalar_type() != at::kLong || !ids.is_contiguous()) {
    refuse("ids must be contiguous int64 [M]");
  }
  const int64_t* id = ids.const_data_ptr<int64_t>();
  int64_t before = -1;
  for (int64_t i = 0; i < ids.numel(); ++i) {
    if (id[i] <= before || id[i] >= rows) {
      refuse("ids must be ascending, distinct and below " + std::to_string(rows));
    }
    before = id[i];
  }
}

void check_adam_tensors(const AdamTensors& rows, const at::Tensor& gradient,
                        const at::Tensor& ids) {
  const at::Tensor& value = rows.value;
  if (!value.defined() || value.dim() < 1) refuse("value needs a row dimension");
  if (value.scalar_type() != at::kFloat && value.scalar_type() != at::kDouble) {
    refuse("value must be float or double");
  }
  if (!value.is_contiguous()) refuse("value must be contiguous");
  for (const at::Tensor* t : {&rows.first, &rows.second, &rows.multiplier}) {
    if (!t->defined() && t == &rows.multiplier) continue;
    if (!t->defined() || t->sizes() != value.sizes() || t->scalar_type() != value.scalar_type() ||
        !t->is_contiguous()) {
      refuse("moments and multiplier must be contiguous and like the value " + shape_of(value));
    }
  }
  if (!gradient.defined() || gradient.scalar_type() != value.scalar_type() ||
      gradient.dim() != value.dim() || gradient.sizes().slice(1) != value.sizes().slice(1)) {
    refuse("the gradient " + (gradient.defined() ? shape_of(gradient) : "(undefined)") +
           " does not fit the value " + shape_of(value));
  }
  const bool compact = ids.defined() && gradient.size(0) == ids.numel();
  if (gradient.size(0) != value.size(0) && !compact) {
    refuse("the gradient " + shape_of(gradient) + " has neither the rows of the value " +
           shape_of(value) + " nor one row an id");
  }
}

void adam_step(const AdamRule& rule, const AdamTensors& rows, const at::Tensor& gradient,
               const at::Tensor& ids, UnseenRows unseen) {
  check_adam_tensors(rows, gradient, ids);
  check_adam_ids(ids, rows.value.size(0));
  checked_adam_step(rule, rows, gradient, ids, unseen);
}

void checked_adam_step(const AdamRule& rule, const AdamTensors& rows, const at::Tensor& gradient,
                       const at::Tensor& ids, UnseenRows unseen) {
  if (rows.value.numel() == 0) return;
  const at::Tensor g = gradient.contiguous();
  const int64_t n = rows.value.size(0);
  if (rows.value.scalar_type() == at::kFloat) {
    adam(rule, rows_of<float>(rows), gradient_of<float>(g, ids, n), unseen);
  } else {
    adam_reference(rule, rows_of<double>(rows), gradient_of<double>(g, ids, n), unseen);
  }
}

bool is_finite(const at::Tensor& values) {
  const at::Tensor v = values.contiguous();
  if (v.scalar_type() == at::kFloat) return all_finite(v.data_ptr<float>(), v.numel());
  const double* x = v.data_ptr<double>();
  bool finite = true;
  for (int64_t i = 0; i < v.numel(); ++i) finite = finite && std::isfinite(x[i]);
  return finite;
}

}  // namespace covary::compute
