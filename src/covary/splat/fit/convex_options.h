// Fits of smooth convexes (compute/project/convex.h): soft hulls of K points, each with a
// smoothness delta and a sharpness sigma. What the published settings differ in is chosen by one
// word, `settings`; a field that is set otherwise wins.
//
// Published numbers are for scenes of extent 5 and photos of a focal length of about 1000 px; sigma
// at the start, the gradient by sigma and what a split does to sigma are taken to those, and the
// rate of the points is in extents. The published runs have no bound like most_split. Source: Held
// et al. 2025 (3D Convex Splatting), section 3 and the released code.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "covary/core/base/options.h"

namespace covary::fit {

struct ConvexOptions {
  std::string settings = "default";   // default | indoor | outdoor | light
  int64_t points = 6;                 // K of a primitive, 4..8
  double start_radius = 1.2;          // of the sphere of points, over the distance to the 3 nearest
  double start_delta = 0.1;           // times that distance: delta
  std::optional<double> start_sigma;  // of extent 5, focal length 1000 px; none: the settings'
  std::optional<double> lr_points;    // extent a step, at the start; none: the settings'
  double lr_points_final_factor = 0.01;   // last over first
  double lr_delta = 5e-3;                 // of the logarithm
  std::optional<double> lr_sigma;         // of the logarithm; none: the settings'
  double lr_opacities = 1e-2;             // of logits
  double lr_mask = 1e-2;                  // of logits
  double mask_weight = 5e-4;              // in the loss, of the mean mask
  std::optional<double> start;            // steps; none: 500, or steps/10 when that is less
  std::optional<double> stop;             // steps; none: 9000, or 3/10 of steps when that is less
  std::optional<double> every;            // steps; none: 200, or steps/40 when that is less
  std::optional<double> split_threshold;  // mean dL/dsigma, as above; none: the settings'
  double most_split = 0.1;                // rows that one refinement adds, over the count
  double prune_opacity = 0.03;
  double prune_size = 0.3;            // extent; largest axis, after the first reset
  std::optional<double> reset_every;  // steps; none: 3000, or steps/10 when that is less
  double reset_opacity = 0.2;

  // The published settings.
  struct Settings {
    double start_sigma, lr_points, lr_sigma, split_threshold, shrink, sharpen, prune_mask;
  };
  Settings resolved() const;
  int64_t start_of(int64_t steps) const;
  int64_t stop_of(int64_t steps) const;
  int64_t every_of(int64_t steps) const;
  int64_t reset_every_of(int64_t steps) const;

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::fit
