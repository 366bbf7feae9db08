// A model's scale, north and place on Earth from the positions that photos carry.
//
//   if (const auto g = fit_gps(positions, poses)) transform(model, g->metric_from_model);
//
// Positions by satellite err by metres, so only captures larger than that gain: at least 5 photos with a position, spread
// over 20 m or more by the fit, which must explain them to a fifth of that; else nothing is returned. The model must
// stand upright (z up) already: gravity is known better from how the photos were held than from altitudes, so only scale,
// turn about the vertical and shift are fitted, robustly. Source: WGS 84.
#pragma once

#include <map>
#include <optional>
#include <string>

#include <Eigen/Core>

#include "covary/splat/capture/agreement.h"

namespace covary::capture {

struct GpsFit {
  // Similarity; the new frame is in metres, x east, y north, z up, about `origin`.
  Eigen::Matrix4d metric_from_model = Eigen::Matrix4d::Identity();
  Eigen::Vector3d origin = {0, 0, 0};  // latitude, longitude in degrees, altitude in m
  double residual_m = 0;               // median horizontal distance of a camera from its position
  int photos = 0;                      // with a position
};

// Latitude and longitude in degrees, altitude in m, by the photo's name.
using GpsPositions = std::map<std::string, Eigen::Vector3d>;

std::optional<GpsFit> fit_gps(const GpsPositions& positions, const Poses& poses);

// East, north and up in m from `origin`; exact to millimetres within kilometres.
Eigen::Vector3d east_north_up(const Eigen::Vector3d& position, const Eigen::Vector3d& origin);

}  // namespace covary::capture
