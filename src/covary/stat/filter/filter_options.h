// Options of the filters of linear models; see kalman.h.
#pragma once

#include <string>

#include "covary/core/base/error.h"
#include "covary/core/base/options.h"

namespace covary::filter {

struct KalmanOptions {
  // How a step is computed; the results agree to rounding. square-root (QR of roots: covariances
  // stay positive semi-definite whatever happens) | joseph | information (needs F and cov0
  // invertible) | sequential (one scalar observation at a time: cheapest for many observations).
  std::string form = "square-root";

  void describe(OptionList& o) {
    o.add("form", &form, "how a step is computed")
        .choices({"square-root", "joseph", "information", "sequential"});
  }
  // Throws Error(kUsage) naming the field.
  void check() const {
    if (form != "square-root" && form != "joseph" && form != "information" &&
        form != "sequential") {
      throw Error(ExitCode::kUsage, "is square-root, joseph, information or sequential", "form");
    }
  }
};

}  // namespace covary::filter
