// Where most of a scene is, whatever flies far out.
//
//   const Eigen::Vector3d centre = middle_of(cloud.means);
//   const Ball ball = middle_ball(cloud.means, 0.8);        // holds four of five
#pragma once

#include <ATen/core/Tensor.h>
#include <Eigen/Core>

namespace covary::scene {

struct Ball {
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  double radius = 1;
};

// The medians of the centres [N,3], axis by axis; the origin when there are none.
Eigen::Vector3d middle_of(const at::Tensor& means);

// About the middle, through the row of rank share * (N - 1), rounded, by distance; of radius 1 when there are none.
Ball middle_ball(const at::Tensor& means, double share);

}  // namespace covary::scene
