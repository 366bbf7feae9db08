// How the colours of a photo may differ from those of the scene.
//
//   none       not at all
//   affine     a 3x4 map a photo
//   bilateral  a grid of 3x4 maps a photo, over position and brightness
//   embedding  numbers a photo and numbers a Gaussian, and a network that makes colour offsets of both
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

struct EmbeddingExposureOptions {
  int64_t embedding_size = 16;   // numbers a photo
  int64_t feature_size = 32;     // numbers a Gaussian
  int64_t direction_degree = 2;  // of the SH basis of the viewing direction, 0..3
  double network_rate = 1e-3;    // of the network's weights, at the start
  double embedding_rate = 1e-3;  // of the photos' numbers, a step that sees the photo
  double feature_rate = 2.5e-3;  // of the Gaussians' numbers
  double embedding_rate_final_factor =
      0.01;                       // the last step's rates over the first's, of all three
  double embedding_decay = 1e-6;  // of the photos' numbers: added to their gradient, times them

  double offset_penalty =
      0.1;  // weight of the mean squared offset of the Gaussians that a step sees

  void describe(OptionList& o);
  void check() const;
};

}  // namespace covary::fit
