// The footprints: what one primitive looks like on the screen. A footprint is one file,
// footprint_NAME.inc, that holds one struct of templates over a number type (lanes.h); it is
// written once for the reference, every SIMD target and CUDA.
//
// To add one that is seen through a covariance: write footprint_NAME.inc beside footprint_gaussian.inc (whose
// comments say what each member must do), include it in footprints.inc, and name it in
// COVARY_GAUSSIAN_FOOTPRINTS below. Nothing else changes: projection, tiles, sorting, compositing and
// gradients are written for any footprint. Another kind of body (convexes) has a projection of its own,
// compute/project/NAME_kernel.cc; all that follows is shared.
//
//   alpha of a pixel = min(0.99, opacity * factor * value(pixel - centre)); skipped below 1/255
#pragma once

#include <string>
#include <vector>

namespace covary::compute {

// name in options, struct
#define COVARY_GAUSSIAN_FOOTPRINTS(X) \
  X("gaussian", GaussianFootprint)    \
  X("analytic", AnalyticFootprint)    \
  X("generalized", GeneralizedFootprint)
#define COVARY_FOOTPRINTS(X)    \
  COVARY_GAUSSIAN_FOOTPRINTS(X) \
  X("convex", ConvexFootprint)

constexpr int kConvexFootprint = 3;  // the index of "convex"

constexpr double kMaxAlpha = 0.99;
constexpr double kMinAlpha = 1.0 / 255.0;
constexpr double kLog2MinAlpha = -7.994353436858858;  // log2(kMinAlpha)

constexpr int kMaxFootprintParams = 32;
constexpr int kMaxFootprintExtras = 8;
constexpr int kMaxFootprintSums = 32;

struct FootprintOptions {  // of those footprints that are point samples
  double dilation = 0.3;   // added to the screen covariance, px^2
  bool antialiased =
      false;  // keep the footprint's total by scaling opacity by sqrt(det / dilated det)
};

std::vector<std::string> footprint_names();
int footprint_index(const std::string& name);  // Error(kUsage) for an unknown name
int footprint_params(
    int footprint);  // numbers a primitive that pixels read beyond centre and opacity
int footprint_extras(
    int footprint);  // numbers a primitive beyond its covariance; convexes: see project.h

}  // namespace covary::compute
