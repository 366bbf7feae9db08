// Colours of a scene changed as a photo editor would: exposure, white balance, tint, saturation.
//
//   Cloud warm = recoloured(cloud, {.exposure = 0.5, .temperature = 0.1});
//
// All of it is one affine map of display colours, c' = M c + b, which acts on spherical harmonics exactly:
// every band by M, the constant also by b. So each view of the new scene is the map of the old view, wherever
// no colour was cut at 0 and nothing shows through.
#pragma once

#include <Eigen/Core>

#include "covary/splat/scene/cloud.h"

namespace covary::scene {

// Applied in this order.
struct Recolour {
  Eigen::Vector3d neutral{1, 1, 1};  // a display colour that is to become grey of its mean
  double exposure = 0;               // stops; display colours are taken to be light^(1/2.2)
  double temperature = 0;            // -1 (blue) .. 1 (orange): red times 1 + t, blue times 1 - t
  Eigen::Vector3d tint{1, 1, 1};     // factor of each channel
  double saturation = 1;             // 0 = grey
  double contrast = 1;               // about 0.5
  double brightness = 0;             // added
  double opacity = 1;                // factor of opacities, which end at 1
};

struct ColourMap {
  Eigen::Matrix3d matrix = Eigen::Matrix3d::Identity();
  Eigen::Vector3d offset = Eigen::Vector3d::Zero();
};
ColourMap colour_map_of(const Recolour& change);

Cloud recoloured(const Cloud& cloud, const ColourMap& map);
Cloud recoloured(const Cloud& cloud, const Recolour& change);

}  // namespace covary::scene
