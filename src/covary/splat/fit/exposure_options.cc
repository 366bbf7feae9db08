#include "covary/splat/fit/exposure_options.h"

#include <algorithm>
#include <cmath>

namespace covary::fit {

void AffineExposureOptions::describe(OptionList& o) {
  o.add("affine_rate", &affine_rate,
        "first rate of the colour maps; none: 8 over the steps that see a photo, from 0.01 to 0.06")
      .range(0, 10);
  o.add("affine_rate_final_factor", &affine_rate_final_factor,
        "last rate of the colour maps over the first")
      .range(1e-9, 1);
}

void AffineExposureOptions::check() const {}

double AffineExposureOptions::rate_of(double steps_seen) const {
  return affine_rate.value_or(std::clamp(8 / std::max(1.0, steps_seen), 0.01, 0.06));
}

void BilateralExposureOptions::describe(OptionList& o) {
  o.add("grid_width", &grid_width, "cells of a photo's grid across its width").range(2, 256);
  o.add("grid_height", &grid_height, "cells of a photo's grid across its height").range(2, 256);
  o.add("grid_levels", &grid_levels, "levels of brightness of a photo's grid").range(2, 64);
  o.add("grid_rate", &grid_rate,
        "first rate of the grids; none: 2 over the steps that see a photo, from 2e-3 to 0.02")
      .range(0, 10);
  o.add("grid_rate_final_factor", &grid_rate_final_factor, "last rate of the grids over the first")
      .range(1e-9, 1);
  o.add("grid_warm_up", &grid_warm_up,
        "steps over which the grids' rate rises from a hundredth; none: 1000, or steps/30 when "
        "that is less")
      .range(0, 1e8)
      .unit("steps");
  o.add("grid_variation", &grid_variation, "weight of the grids' total variation").range(0, 1e6);
}

void BilateralExposureOptions::check() const {}

double BilateralExposureOptions::rate_of(double steps_seen) const {
  return grid_rate.value_or(std::clamp(2 / std::max(1.0, steps_seen), 2e-3, 0.02));
}

int64_t BilateralExposureOptions::warm_up_of(int64_t steps) const {
  if (grid_warm_up) return static_cast<int64_t>(std::llround(*grid_warm_up));
  return std::min<int64_t>(1000, steps / 30);
}

}  // namespace covary::fit
