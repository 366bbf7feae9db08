// Fits of primitives that carry a shape beside the Gaussian's numbers: generalised exponentials.
//
// r, the shape, starts at 0, which is the Gaussian. kernel "fast": r only scales the primitive, by
// phi(r) = 2 / (1 + exp(-strength r)); what is drawn and saved is a Gaussian. kernel "gef": the
// primitive on the screen is exp(-q^(b/2) / 2), b = 2 + r in [1, 8] (footprint "generalized"), and
// scene.ply has b as the column "shape". Source: Hamdi et al. 2024 (GES); "fast" is what their released
// code does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "covary/core/base/options.h"

namespace covary::fit {

struct GesOptions {
  std::string kernel = "fast";  // fast | gef
  double strength = 0.1;        // of "fast": rho in phi, 1
  double lr_shape = 1e-3;       // of r, a step
  std::optional<double>
      shape_reset_every;  // steps between resets of r to 0; none: 1000, or steps/10
  std::optional<double> shape_reset_stop;  // no reset from here on; none: 15000, or steps/2
  double shape_prune = 0.005;              // of "fast": primitives whose phi is less go; 0: none
  double edge_weight = 0.5;                // share of the loss that edges take from L1; 0: none
  std::string edge_mask_from = "truth";    // truth | render: where edges are looked for

  void describe(OptionList& o);
  void check() const;
  int64_t reset_every_of(int64_t steps) const;
  int64_t reset_stop_of(int64_t steps) const;
};

}  // namespace covary::fit
