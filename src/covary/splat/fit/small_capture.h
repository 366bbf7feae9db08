// A capture for tests: a ring of small pictures of a known cloud, rendered by ourselves.
#pragma once

#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/splat/fit/activate.h"
#include "covary/splat/fit/evaluate.h"
#include "covary/splat/scene/capture.h"

namespace covary::fit {

// n soft Gaussians in a ball of radius 1/2, with colour that turns with the direction.
inline scene::Cloud small_cloud(int64_t n = 60, int degree = 1) {
  const Random random(11);
  scene::Cloud c;
  c.means = at::empty({n, 3});
  c.quats = at::empty({n, 4});
  c.scales = at::empty({n, 3});
  c.opacities = at::empty({n});
  c.sh0 = at::empty({n, 1, 3});
  c.shN = at::empty({n, (degree + 1) * (degree + 1) - 1, 3});
  uint64_t e = 0;
  for (at::Tensor* t : {&c.means, &c.quats, &c.scales, &c.opacities, &c.sh0, &c.shN})
    for (int64_t i = 0; i < t->numel(); ++i)
      t->data_ptr<float>()[i] = static_cast<float>(random.normal(e++));
  c.means.mul_(0.2);
  c.scales.mul_(0.3).sub_(2.6);
  c.opacities.add_(1);
  c.shN.mul_(0.15);
  return c;
}

inline scene::Camera ring_camera(double angle, int width = 48, int height = 36) {
  scene::Camera camera;
  camera.width = width;
  camera.height = height;
  camera.fx = camera.fy = 1.1 * width;
  camera.cx = width / 2.0;
  camera.cy = height / 2.0;
  const Eigen::Vector3d centre(2 * std::cos(angle), 0.6 * std::sin(2 * angle), 2 * std::sin(angle));
  const Eigen::Vector3d z = -centre.normalized();
  const Eigen::Vector3d x = Eigen::Vector3d(0, 1, 0).cross(z).normalized();
  Eigen::Matrix3d rotation;
  rotation << x.transpose(), z.cross(x).transpose(), z.transpose();
  camera.cam_from_world.topLeftCorner<3, 3>() = rotation;
  camera.cam_from_world.topRightCorner<3, 1>() = -rotation * centre;
  return camera;
}

inline at::Tensor drawn_by(const scene::Cloud& cloud, const scene::Camera& camera) {
  const at::NoGradGuard no_gradient;
  return render::rasterize(activated(cloud), render::views_of({camera}), {}).color.squeeze(0);
}

// Views 0, 4, ... are held out; the points are the cloud's means, a little off.
inline scene::Capture small_capture(int64_t views = 8, const scene::Cloud& cloud = small_cloud()) {
  scene::Capture capture;
  capture.name = "small";
  for (int64_t i = 0; i < views; ++i) {
    scene::View view;
    view.name = "view" + std::to_string(i) + ".png";
    view.camera =
        ring_camera(2 * 3.14159265358979 * static_cast<double>(i) / static_cast<double>(views));
    view.image = picture(drawn_by(cloud, view.camera));
    capture.views.push_back(std::move(view));
    (i % 4 == 0 ? capture.test : capture.train).push_back(i);
  }
  capture.extent = 2.2;
  const Random random(12);
  const float* mean = cloud.means.const_data_ptr<float>();
  for (int64_t i = 0; i < cloud.size(); ++i) {
    Eigen::Vector3f p;
    for (int k = 0; k < 3; ++k)
      p[k] = mean[3 * i + k] +
             static_cast<float>(0.02 * random.normal(static_cast<uint64_t>(3 * i + k)));
    capture.points.positions.push_back(p);
    capture.points.colors.emplace_back(128, 128, 128);
  }
  return capture;
}

}  // namespace covary::fit
