// Options of kernel densities; see kde.h.
#pragma once

#include <cstdint>
#include <string>

#include "covary/core/base/options.h"

namespace covary::mixture {

struct KernelDensityOptions {
  std::string kernel = "gaussian";  // gaussian | epanechnikov | tophat | exponential | linear |
                                    // cosine, all radial
  std::string bandwidth =
      "scott";                  // scott | silverman | isj | lcv | lscv: one width a column; or a
                                // number, the width of every column in its unit
  double rtol = 0;              // relative error allowed of each density; 0 = none
  double atol = 0;              // absolute error allowed of each density, 1 / volume
  std::string engine = "auto";  // auto | exact | tree | moments (one column, gaussian)

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::mixture
