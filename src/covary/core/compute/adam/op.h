// The Adam step on tensors, in place; see adam.h for what it computes.
//
//   adam_step({.rate = 1e-3, .update = 1}, {value, first, second}, gradient);
//   adam_step(rule, {value, first, second}, compact, ids, UnseenRows::kKeep);
//
// float tensors take the SIMD kernel, double tensors the reference. No gradient flows through.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/core/compute/adam/adam.h"

namespace covary::compute {

struct AdamTensors {
  at::Tensor value, first, second;  // [N,...] contiguous, one shape and dtype
  at::Tensor multiplier;            // the same shape, or undefined
};

// gradient: [N,...], or with ids also [M,...] (compact). ids: int64 [M], ascending and distinct, in
// [0, N). When M = N both readings agree. Throws Error(kFailed) when a shape, dtype or id is wrong,
// before anything is written.
void adam_step(const AdamRule& rule, const AdamTensors& rows, const at::Tensor& gradient,
               const at::Tensor& ids = {}, UnseenRows unseen = UnseenRows::kDecay);

// What adam_step would refuse, in two parts; to be asked first when several tensors must move
// together or not at all. The second looks at no id but counts them.
void check_adam_ids(const at::Tensor& ids, int64_t rows);
void check_adam_tensors(const AdamTensors& rows, const at::Tensor& gradient, const at::Tensor& ids);

// adam_step of what has passed both checks.
void checked_adam_step(const AdamRule& rule, const AdamTensors& rows, const at::Tensor& gradient,
                       const at::Tensor& ids, UnseenRows unseen);

// Whether every element is finite (float or double).
bool is_finite(const at::Tensor& values);

}  // namespace covary::compute
