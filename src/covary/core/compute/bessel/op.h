// log I_v(x), log K_v(x) and their ratios on tensors; see bessel.h for their meaning, domain and precision.
//
//   at::Tensor value = log_bessel({BesselKind::kK}, order, argument);    // shapes broadcast
//   value.sum().backward();                                              // to order and argument
//
// Gradients reach both the order and the argument, and may be differentiated once more (create_graph); a third derivative
// is refused. Any of float and double; both inputs have the same dtype, CPU.
#pragma once

#include <ATen/core/Tensor.h>

#include "covary/core/compute/bessel/bessel.h"

namespace covary::compute {

// Throws Error(kFailed) when dtypes differ or are neither float nor double, or shapes do not broadcast, and
// Error(kData) when an element lies outside the domain (NaN, a negative argument, a negative order of I that is not
// whole); the message counts them.
at::Tensor log_bessel(const BesselOptions& options, const at::Tensor& order,
                      const at::Tensor& argument);

// I_(v+1)/I_v or K_(v+1)/K_v, no gradient; errors likewise, and any negative order.
at::Tensor bessel_ratio(BesselKind kind, const at::Tensor& order, const at::Tensor& argument);

// For tables with strange elements: nothing is refused, what lies outside the domain is NaN and counted. parts [...,1],
// [...,3] or [...,6] by `derivatives` 0, 1 or 2: value, dv, dx, dvv, dvx, dxx; no gradient.
struct BesselTable {
  at::Tensor parts;
  int64_t outside = 0;
};
BesselTable bessel_table(const BesselOptions& options, const at::Tensor& order,
                         const at::Tensor& argument, int derivatives = 0);
BesselTable bessel_ratio_table(BesselKind kind, const at::Tensor& order,
                               const at::Tensor& argument);

}  // namespace covary::compute
