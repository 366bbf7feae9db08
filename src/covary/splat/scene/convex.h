// Smooth convexes as rows of a Cloud (footprint "convex"; compute/project/convex.h says what is drawn).
//
//   Cloud cloud = ...;                               // opacities, sh0, shN
//   set_convexes(cloud, {points, delta, sigma});     // means, quats, scales and the columns
//   Convexes back = convexes_of(cloud);              // [N,K,3] in the scene's coordinates
//
// A convex lies in a cloud as the Gaussian of the mean and covariance of its K points, and beside it
// columns of its own: hull_0 .. hull_(3K-1), the points as they lie in the frame of that Gaussian (p = mean + R diag(exp
// scales) u), hull_delta = ln(delta r) and hull_sigma = ln(sigma r), r the largest exp(scale). So
// whatever moves, turns or scales Gaussians does the same to convexes, and a reader that knows Gaussians alone
// shows nearly the scene. hull_* of whole numbers (int16) are 1 / 8192 of that.
#pragma once

#include <cstdint>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

constexpr const char* kConvex = "convex";  // the footprint
constexpr double kHullStep = 1.0 / 8192;   // of points that are stored as whole numbers

struct Convexes {
  at::Tensor points;  // [N,K,3] double, K in 4..8
  at::Tensor delta;   // [N] double, > 0
  at::Tensor sigma;   // [N] double, > 0
};

// K of a cloud's columns; 0: it has none, or they are not whole.
int64_t convex_points(const Cloud& cloud);
bool is_convex_column(const std::string& name);
Convexes convexes_of(const Cloud& cloud);
// Sets means, quats, scales, columns and footprint; the cloud's other tensors stay. Where points are in a plane or a line, a
// Gaussian is 1e-4 of its largest axis thick.
void set_convexes(Cloud& cloud, const Convexes& convexes);
// The points' columns in 16 bits each, and as floats again.
void store_short(Cloud& cloud);
void store_float(Cloud& cloud);

// What project() takes: [N, 3 K + 2] of the type of the means.
at::Tensor convex_extras(const Cloud& cloud);

// Gaussians as convexes: points on a Fibonacci sphere, `radius` standard deviations from the middle;
// delta = delta_size / d and sigma, d the geometric mean of the standard deviations.
Convexes convexes_of_gaussians(const Cloud& cloud, int64_t points, double radius, double delta_size,
                               double sigma);

}  // namespace covary::scene
