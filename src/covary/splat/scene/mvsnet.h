// One camera of MVSNet's text form, for its reader and its tests. Within scene only; the form is
// described in mvsnet.cc.
#pragma once

#include <string>
#include <string_view>

#include <Eigen/Core>

#include "covary/splat/scene/camera.h"

namespace covary::scene {

struct MvsnetCamera {
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();  // as the file has it
  double fx = 0, fy = 0, cx = 0, cy = 0;                         // px of a size that is not stated
};

// Error(kData) naming the line.
MvsnetCamera parse_mvsnet_camera(std::string_view text, const std::string& where);

// Its lens, for a photo of this size: of the size that the principal point tells. Error(kData) when it
// tells none.
Lens mvsnet_lens(const MvsnetCamera& camera, int photo_width, int photo_height,
                 const std::string& where);

}  // namespace covary::scene
