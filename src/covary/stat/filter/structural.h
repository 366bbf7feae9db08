// Structural models of a series: level, slope and season as states with a diffuse start.
//
//   const LinearModel nile = local_level(1469.18, 15098.52);
//   const LinearModel m = structural_model({.slope = 0.1, .period = 12, .season = 0.05});
//
//   y_t = level_t + season_t + v_t
//   level_{t+1} = level_t + slope_t + w,    slope_{t+1} = slope_t + w'
//   season_{t+1} = -(season_t + .. + season_{t-period+2}) + w''
//
// States: level; slope, if there is one; period - 1 seasonal effects, the present one first.
// Source: Harvey 1989, sections 2.3 and 4.1; Durbin and Koopman 2012, section 3.2.
#pragma once

#include <cstdint>
#include <optional>

#include "covary/stat/filter/linear_model.h"

namespace covary::filter {

struct StructuralOptions {
  double observation = 1;       // variance of v, units of y squared, >= 0
  double level = 1;             // variance of w, units of y squared, >= 0
  std::optional<double> slope;  // variance of w', none = no slope
  int64_t period = 0;           // steps, 0 = no season, else >= 2
  double season = 1;            // variance of w'', units of y squared, >= 0

  void check() const;  // throws Error(kUsage) naming the field
};

LinearModel structural_model(const StructuralOptions& options);
LinearModel local_level(double level, double observation);
LinearModel local_linear_trend(double level, double slope, double observation);

}  // namespace covary::filter
