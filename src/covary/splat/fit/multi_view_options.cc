#include "covary/splat/fit/multi_view_options.h"

#include "covary/core/base/error.h"

namespace covary::fit {

void MultiViewOptions::describe(OptionList& o) {
  o.add("cross_ray", &cross_ray,
        "clone what lies where the worst parts of a step's views meet in space")
      .common();
  o.add("augment", &augment,
        "half the threshold of growth at refinements whose views are over 60 degrees apart")
      .common();
  o.add("window_width", &window_width, "of the parts that cross_ray compares")
      .range(1, 1 << 20)
      .unit("px");
  o.add("window_height", &window_height, "of the parts that cross_ray compares")
      .range(1, 1 << 20)
      .unit("px");
  o.add("guarded", &guarded, "cross_ray refuses meetings behind a camera, apart, large or unseen");
  o.add("most_cloned", &most_cloned, "share of the Gaussians that cross_ray may clone at once")
      .range(0, 1);
}

void MultiViewOptions::check() const {
  const auto refuse = [](const char* field, const char* what, const char* hint) {
    throw Error(ExitCode::kUsage, what, field, hint);
  };
  if (window_width < 1) refuse("window_width", "is below 1", "use 40");
  if (window_height < 1) refuse("window_height", "is below 1", "use 20");
  if (!(most_cloned >= 0 && most_cloned <= 1)) refuse("most_cloned", "is not in 0..1", "use 0.1");
}

}  // namespace covary::fit
