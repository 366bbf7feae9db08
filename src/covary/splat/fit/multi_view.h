// What the views of one step say together about where Gaussians are missing.
//
//   MultiView views(options, {.extent = extent, .focus = focus});
//   for each view of a step that refines: views.add(camera, rendered, truth);
//   views.threshold_factor()                    // 0.5 when they are far apart
//   views.inside(means)                         // 1 a row that lies where their worst parts meet
//   views.clear();
//
// Source: Du et al. 2024 (MVGS): cross-ray and multi-view augmented densification. Ours: the guards of
// cross_ray.h, and views are told apart as seen from what the cameras look at, since a frame's origin says nothing.
#pragma once

#include <cstdint>
#include <vector>

#include <ATen/core/Tensor.h>
#include <Eigen/Core>

#include "covary/splat/fit/cross_ray.h"
#include "covary/splat/fit/multi_view_options.h"

namespace covary::fit {

class MultiView {
 public:
  struct Facts {
    double extent = 1;                                // world units
    Eigen::Vector3d focus = Eigen::Vector3d::Zero();  // that the cameras look at
  };
  MultiView(const MultiViewOptions& options, const Facts& facts)
      : options_(options), facts_(facts) {}

  // A view as rendered [H,W,3] float and as it should be [H,W,3], float or uint8; mask [H,W] float or undefined: what does
  // not count is no error.
  void add(const scene::Camera& camera, const at::Tensor& rendered, const at::Tensor& truth,
           const at::Tensor& mask);
  void clear() { views_.clear(); }

  double threshold_factor() const;  // of the gradient that lets a Gaussian grow

  // Where the worst windows of two views meet, worst views first.
  std::vector<Box> boxes() const;

  // 1 where a row of means [N,3] lies in any box.
  std::vector<uint8_t> inside(const at::Tensor& means) const;

 private:
  struct Seen {
    scene::Camera camera;
    ErrorWindow worst;
  };
  MultiViewOptions options_;
  Facts facts_;
  std::vector<Seen> views_;
};

}  // namespace covary::fit
