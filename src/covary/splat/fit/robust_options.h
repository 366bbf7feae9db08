// What a fit does with things that moved through some of the photos and have no mask: robust.h.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "covary/core/base/options.h"

namespace covary::fit {

// When a patch of a photo is left out of a step.
struct RobustRule {
  double over_median = 0;  // its mean error is over so many medians of the photo's patches, ...
  double least = 0;        // ... and over this, in [0, 1]
};

struct RobustOptions {
  std::string robust = "off";                // off | mild | strong
  std::optional<double> robust_start;        // steps
  std::optional<double> robust_over_median;  // instead of the level's
  std::optional<double> robust_least;        // likewise

  void describe(OptionList& o);
  void check() const;
  bool on() const { return robust != "off"; }
  int64_t start_of(int64_t steps) const;  // the last step that believes all
  RobustRule rule() const;
};

}  // namespace covary::fit
