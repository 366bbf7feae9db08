// `covary info`: anything on one screen.
#pragma once

#include <cstdint>

#include "covary/core/base/options.h"

namespace covary::cli {

struct InfoOptions {
  int64_t index =
      -1;  // show this Gaussian (row of a scene) or this view (of a capture) in full; -1 = none

  bool plan = false;  // of a capture: what training needs here, measured

  void describe(OptionList& o);
  void check() const {}
};

}  // namespace covary::cli
