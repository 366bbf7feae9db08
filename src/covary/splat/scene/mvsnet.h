// One camera of MVSNet's text form, for its reader and its tests. Within scene only; the form is
// described in mvsnet.cc.
#pragma once

#include <string>
#include <string_view>

#include <Eigen/Core>

namespace covary::scene {

struct MvsnetCamera {
  Eigen::Matrix4d cam_from_world = Eigen::Matrix4d::Identity();  // as the file has it
  double fx = 0, fy = 0, cx = 0, cy = 0;                         // px of a size that is not stated
};

// Error(kData) naming the line.
MvsnetCamera parse_mvsnet_camera(std::string_view text, const std::string& where);

}  // namespace covary::scene
