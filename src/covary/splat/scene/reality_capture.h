// The rows of RealityCapture's CSV of camera parameters, for its reader and its tests. Within scene
// only; columns and angles are described in reality_capture.cc.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include <Eigen/Core>

namespace covary::scene {

struct RealityCamera {
  std::string name, where;
  Eigen::Vector3d place = Eigen::Vector3d::Zero();  // east, north, up
  double heading = 0, pitch = 0, roll = 0;          // degrees
  double f = 0;                                     // mm of 35 mm film
  double px = 0, py = 0;                            // of the larger side, from the centre
  std::array<double, 4> k{};
  std::array<double, 2> t{};
};

// Whether a file that begins with this line is one.
bool is_reality_capture_header(std::string_view line);

// Error(kData) naming line and column.
std::vector<RealityCamera> parse_reality_capture(std::string_view text, const std::string& where);

}  // namespace covary::scene
