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

void EmbeddingExposureOptions::describe(OptionList& o) {
  o.add("embedding_size", &embedding_size, "numbers of a photo's embedding").range(1, 256);
  o.add("feature_size", &feature_size, "numbers of a Gaussian's feature").range(1, 256);
  o.add("direction_degree", &direction_degree,
        "degree of the spherical harmonics by which the network knows the viewing direction")
      .range(0, 3);
  o.add("network_rate", &network_rate, "first rate of the network's weights").range(0, 10);
  o.add("embedding_rate", &embedding_rate, "first rate of the photos' embeddings").range(0, 10);
  o.add("feature_rate", &feature_rate, "first rate of the Gaussians' features").range(0, 10);
  o.add("embedding_rate_final_factor", &embedding_rate_final_factor,
        "last rate of network, embeddings and features over the first")
      .range(1e-9, 1);
  o.add("offset_penalty", &offset_penalty,
        "weight of the mean squared offset of the Gaussians that a step sees")
      .range(0, 1e6);
  o.add("embedding_decay", &embedding_decay, "weight decay of the photos' embeddings")
      .range(0, 1e3);
}

void EmbeddingExposureOptions::check() const {}

}  // namespace covary::fit
