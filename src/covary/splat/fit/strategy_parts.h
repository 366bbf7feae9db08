// What the built-in strategies share: drawing, rotating, relocating.
#pragma once

#include <cstdint>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/splat/fit/strategy.h"

namespace covary::fit {

std::unique_ptr<Strategy> make_default_strategy(const TrainOptions& options);
std::unique_ptr<Strategy> make_mcmc_strategy(const TrainOptions& options);
// What "default" is of convexes, on the rows of convex.h.
std::unique_ptr<Strategy> make_convex_strategy(const TrainOptions& options);

// Rotation matrix, row-major, of a quaternion wxyz of any norm; the identity for norm 0.
void rotation_of(const float* quat, double r[9]);

double logistic(double x);
double logit(double p);

// Opacities fall to at most this, and their moments to 0: what a reset of them is.
void reset_opacities(nn::RowTable& table, double most);

// n draws in [0, weights.size()) with replacement, in proportion to the weights (>= 0, not all 0). Draw i depends on
// (random, i) and the weights alone.
std::vector<int64_t> draw_by_weight(const std::vector<double>& weights, int64_t n,
                                    const Random& random);

// What each of n Gaussians at one place must be, so that together they look like the one with this opacity: the peak of the
// combined alpha and its integral along a line stay. n is clamped to kMostCopies.
// Source: Kheradmand et al. 2024 (3D Gaussian Splatting as Markov chain Monte Carlo), eq. 9.
constexpr int64_t kMostCopies = 51;
struct Relocated {
  double opacity = 0;
  double scale_factor = 1;  // of the standard deviations
};
Relocated relocate(double opacity, int64_t copies);

}  // namespace covary::fit
