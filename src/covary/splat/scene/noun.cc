#include "covary/splat/scene/noun.h"

#include "covary/splat/scene/convex.h"

namespace covary::scene {

Noun noun_of(const std::string& footprint) {
  if (footprint == kConvex) return {"convex", "convexes"};
  if (footprint == "generalized") return {"shaped primitive", "shaped primitives"};
  return {"Gaussian", "Gaussians"};
}

}  // namespace covary::scene
