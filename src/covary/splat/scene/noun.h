// What messages and reports call the primitives of a scene.
#pragma once

#include <string>

namespace covary::scene {

struct Noun {
  std::string one, many;
};
// {"Gaussian", "Gaussians"} but for other shapes. Of a Cloud's footprint, or of what a fit's primitive is called, where
// ges is one of Gaussians.
Noun noun_of(const std::string& footprint);

}  // namespace covary::scene
