// Which cameras move while a scene is fitted, and how far they can.
//
//   RefineOptions refine;
//   refine.pose_opt = true;
//   refine.pose_rate_of(steps_a_camera)     // the resolved rate
//
// A camera moves only at steps that see it, and a lens at every step that sees one of its photos. Rates of
// "none" give each the same way to go in runs of any length and number of photos: see the help.
#pragma once

#include <optional>

#include "covary/core/base/options.h"

namespace covary::fit {

struct RefineOptions {
  bool pose_opt = false;            // every training camera's pose moves
  bool intrinsics_opt = false;      // fx fy cx cy of every lens move
  std::optional<double> pose_rate;  // radian and extent a step that sees the camera, at the start
  std::optional<double> intrinsics_rate;  // share of the focal length and of the sides, likewise
  double rate_final_factor = 0.01;        // the last step's rate over the first's
  double weight_decay = 1e-6;             // toward the given cameras

  void describe(OptionList& o);
  void check() const;

  // The rates of something that so many steps of the run see.
  double pose_rate_of(double steps_seen) const;
  double intrinsics_rate_of(double steps_seen) const;
};

}  // namespace covary::fit
