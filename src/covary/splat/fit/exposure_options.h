// How the colours of a photo may differ from those of the scene.
//
//   none       not at all
//   affine     a 3x4 map a photo
//   bilateral  a grid of 3x4 maps a photo, over position and brightness
//
// Used by exposure.h, which says what each means.
#pragma once

#include <cstdint>
#include <optional>

#include "covary/core/base/options.h"

namespace covary::fit {

struct AffineExposureOptions {
  std::optional<double> affine_rate;       // a step that sees the photo, at the start
  double affine_rate_final_factor = 0.01;  // the last step's rate over the first's

  void describe(OptionList& o);
  void check() const;
  double rate_of(double steps_seen) const;  // of a photo that so many steps see
};

struct BilateralExposureOptions {
  int64_t grid_width = 16, grid_height = 16;  // cells across the photo
  int64_t grid_levels = 8;                    // of brightness
  std::optional<double> grid_rate;            // a step that sees the photo, at the start
  double grid_rate_final_factor = 0.01;       // the last step's rate over the first's
  std::optional<double> grid_warm_up;         // steps
  double grid_variation = 10;                 // weight of the mean squared difference of neighbours

  void describe(OptionList& o);
  void check() const;
  double rate_of(double steps_seen) const;
  int64_t warm_up_of(int64_t steps) const;
};

}  // namespace covary::fit
