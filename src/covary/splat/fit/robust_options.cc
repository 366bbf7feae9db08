#include "covary/splat/fit/robust_options.h"

#include <algorithm>
#include <cmath>

#include "covary/core/base/error.h"

namespace covary::fit {

void RobustOptions::describe(OptionList& o) {
  o.add("robust", &robust, "leave out of each photo what does not fit the other photos")
      .choices({"off", "mild", "strong"})
      .common();
  o.add("robust_start", &robust_start,
        "steps that believe every pixel; none: 1000, or steps/5 when that is less")
      .range(0, 1e12)
      .unit("steps");
  o.add("robust_over_median", &robust_over_median,
        "a patch goes whose error is over so many medians of its photo; none: 8 mild, 4 strong")
      .range(1, 1e6);
  o.add("robust_least", &robust_least,
        "a patch stays whose mean error is not over this; none: 0.25 mild, 0.16 strong")
      .range(0, 1);
}

void RobustOptions::check() const {
  if (robust != "off" && robust != "mild" && robust != "strong")
    throw Error(ExitCode::kUsage, "is neither off, mild nor strong", "robust", "use strong");
}

int64_t RobustOptions::start_of(int64_t steps) const {
  if (robust_start) return static_cast<int64_t>(std::llround(*robust_start));
  return std::min<int64_t>(1000, steps / 5);
}

RobustRule RobustOptions::rule() const {
  const bool strong = robust == "strong";
  return {.over_median = robust_over_median.value_or(strong ? 4 : 8),
          .least = robust_least.value_or(strong ? 0.16 : 0.25)};
}

}  // namespace covary::fit
