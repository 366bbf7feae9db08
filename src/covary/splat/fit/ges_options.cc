#include "covary/splat/fit/ges_options.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"

namespace covary::fit {

void GesOptions::describe(OptionList& o) {
  o.add("kernel", &kernel,
        "of ges: fast (the shape scales a Gaussian), gef (the generalised exponential itself)")
      .choices({"fast", "gef"})
      .common();
  o.add("strength", &strength, "of kernel fast: how much the shape scales").range(1e-3, 10);
  o.add("lr_shape", &lr_shape, "rate of the shapes").range(0, 10);
  o.add("shape_reset_every", &shape_reset_every,
        "steps between resets of the shapes; none: 1000, or steps/10 when that is less")
      .range(1, 1e12)
      .unit("steps");
  o.add("shape_reset_stop", &shape_reset_stop,
        "no reset of the shapes from here on; none: 15000, or steps/2 when that is less")
      .range(0, 1e12)
      .unit("steps");
  o.add("shape_prune", &shape_prune,
        "of kernel fast: primitives that their shape makes smaller than this share go; 0: none")
      .range(0, 1);
  o.add("edge_weight", &edge_weight, "share of the loss that L1 on edges takes from plain L1")
      .range(0, 1)
      .synonym("lambda-omega");
  o.add("edge_mask_from", &edge_mask_from, "where edges are looked for")
      .choices({"truth", "render"});
}

void GesOptions::check() const {
  if (kernel != "fast" && kernel != "gef")
    throw Error(ExitCode::kUsage, "is neither fast nor gef", "ges.kernel", "use gef");
  if (edge_mask_from != "truth" && edge_mask_from != "render")
    throw Error(ExitCode::kUsage, "is neither truth nor render", "ges.edge_mask_from", "use truth");
}

int64_t GesOptions::reset_every_of(int64_t steps) const {
  if (shape_reset_every) return static_cast<int64_t>(std::llround(*shape_reset_every));
  return std::max<int64_t>(1, std::min<int64_t>(1000, steps / 10));
}

int64_t GesOptions::reset_stop_of(int64_t steps) const {
  if (shape_reset_stop) return static_cast<int64_t>(std::llround(*shape_reset_stop));
  return std::min<int64_t>(15000, steps / 2);
}

}  // namespace covary::fit
