// Adam over the parameters of a RowTable, in one fused sweep a tensor.
//
//   AdamOptions options;                       // betas 0.9, 0.999; eps 1e-15
//   Adam adam(table, options);                 // the table holds all state
//   loss.backward();
//   adam.step(gradients(table), step);         // every row moves; step counts from 1
//   adam.step({{"means", g}, {"shN", c}}, step, visible);  // int64 [M], ascending and distinct
//
// A gradient is dense ([N,...], the parameter's shape) or, when `visible` is given, may be compact
// ([M,...]: row i belongs to parameter row visible[i]), or a sparse COO tensor of the parameter's
// shape (rows as values, those of a repeated index are summed in their order): where its indices are
// `visible`, nothing is copied. A parameter without a gradient does not
// move and its update count stays. Rows outside `visible`: under "plain" they have gradient 0, so
// moments decay and the row still moves; under "selective" they are not touched at all. Without
// `visible` both are the same.
//
// The rate of a parameter is rate.at(step) x multiplier. With batch B > 1 (B views a step) it is
// scaled by sqrt(B), betas become 1 - B (1 - beta), eps is divided by sqrt(B). Source: Kingma and
// Ba 2015; selective rows: Mallick et al. 2024; batch scaling: Malladi et al. 2022 (square-root
// rule).
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/nn/optim/rows.h"

namespace covary::nn {

struct AdamOptions {
  double beta1 = 0.9;          // decay of the first moment, a step
  double beta2 = 0.999;        // decay of the second moment, a step
  double eps = 1e-15;          // added to the root of the second moment
  int64_t batch = 1;           // views a step, for the scaling above
  std::string rows = "plain";  // what unseen rows do: plain, selective
  bool check_finite = true;    // refuse a gradient that is not finite, before anything moves

  void check() const;  // Error(kUsage) naming the field
};

class Adam {
 public:
  Adam(RowTable& table, const AdamOptions& options);

  // One update. Error(kFailed) naming the parameter when a shape is wrong, visible is not ascending
  // in [0, N), or (check_finite) a gradient is not finite, before anything has moved.
  void step(const NamedTensors& gradients, int64_t step, const at::Tensor& visible = {});

  const AdamOptions& options() const { return options_; }

 private:
  RowTable& table_;
  AdamOptions options_;
};

// The .grad() of every parameter that has one, for Adam::step.
NamedTensors gradients(const RowTable& table);
// Drops every .grad().
void zero_gradients(RowTable& table);

}  // namespace covary::nn
