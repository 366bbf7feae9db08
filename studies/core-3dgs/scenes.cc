// Scenes whose truth is known, for the bars that need one.
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/splat/render/rasterize.h"
#include "studies/core-3dgs/bars.h"

namespace covary::studies {
namespace {

at::Tensor normals(int64_t rows, int64_t columns, uint64_t seed, const char* name) {
  const Random rng(seed, stream_of(name));
  at::Tensor t = at::empty({rows, columns}, at::kFloat);
  float* p = t.data_ptr<float>();
  for (int64_t i = 0; i < rows * columns; ++i)
    p[i] = static_cast<float>(rng.normal(static_cast<uint64_t>(i)));
  return t;
}

}  // namespace

scene::Cloud known_cloud(int64_t count, int sh_degree, uint64_t seed) {
  scene::Cloud c;
  const at::Tensor direction = normals(count, 3, seed, "known.direction");
  const Random rng(seed, stream_of("known.radius"));
  at::Tensor radius = at::empty({count, 1}, at::kFloat);
  for (int64_t i = 0; i < count; ++i) {
    radius.data_ptr<float>()[i] =
        static_cast<float>(std::cbrt(rng.uniform(static_cast<uint64_t>(i))));
  }
  c.means = direction / direction.norm(2, 1, true).clamp_min(1e-6) * radius;
  c.quats = normals(count, 4, seed, "known.quats");
  c.quats = c.quats / c.quats.norm(2, 1, true).clamp_min(1e-6);
  // The whole stays about as dense at any count.
  const double size = 0.75 / std::cbrt(static_cast<double>(count));
  c.scales = normals(count, 3, seed, "known.scales") * 0.4 + std::log(size);
  c.opacities = normals(count, 1, seed, "known.opacities").squeeze(1) + 0.8;
  c.sh0 = normals(count, 3, seed, "known.sh0").unsqueeze(1) * 0.9;
  const int64_t rest = (sh_degree + 1) * (sh_degree + 1) - 1;
  c.shN = normals(count, 3 * rest, seed, "known.shN").reshape({count, rest, 3}) * 0.1;
  return c;
}

std::vector<scene::Camera> ring_of_cameras(int count, int width, int height, double distance) {
  std::vector<scene::Camera> cameras;
  for (int i = 0; i < count; ++i) {
    // Golden-angle steps: neighbours in the list see different sides, so that every n-th is a fair sample.
    const double z = 0.7 * (2.0 * (i + 0.5) / count - 1);
    const double turn = i * std::numbers::pi * (3 - std::sqrt(5.0));
    const double r = std::sqrt(1 - z * z);
    const Eigen::Vector3d eye =
        distance * Eigen::Vector3d(r * std::cos(turn), r * std::sin(turn), z);
    const Eigen::Vector3d forward = -eye.normalized();
    const Eigen::Vector3d right = forward.cross(Eigen::Vector3d::UnitZ()).normalized();
    const Eigen::Vector3d down = forward.cross(right);
    scene::Camera c;
    c.width = width;
    c.height = height;
    c.fx = c.fy = 0.55 * distance * std::min(width, height);  // the unit ball fills the image
    c.cx = 0.5 * width;
    c.cy = 0.5 * height;
    c.cam_from_world.setIdentity();
    c.cam_from_world.block<1, 3>(0, 0) = right.transpose();
    c.cam_from_world.block<1, 3>(1, 0) = down.transpose();
    c.cam_from_world.block<1, 3>(2, 0) = forward.transpose();
    c.cam_from_world.block<3, 1>(0, 3) = -c.cam_from_world.block<3, 3>(0, 0) * eye;
    cameras.push_back(c);
  }
  return cameras;
}

scene::Capture photographed(const scene::Cloud& cloud, const std::vector<scene::Camera>& cameras) {
  const at::NoGradGuard no_gradient;
  scene::Capture capture;
  capture.name = "known";
  const render::Primitives primitives = render::primitives_of(cloud);
  for (size_t i = 0; i < cameras.size(); ++i) {
    render::RasterizeOptions options;
    options.antialiased = cloud.antialiased;
    const at::Tensor image =
        render::rasterize(primitives, render::views_of({cameras[i]}), options).color[0];
    const at::Tensor bytes = image.clamp(0, 1).mul(255).round().to(at::kByte).contiguous();
    scene::View view;
    view.name = "view_" + std::to_string(1000 + i) + ".png";
    view.camera = cameras[i];
    view.image = data::Image8(cameras[i].height, cameras[i].width, 3);
    std::copy_n(bytes.const_data_ptr<uint8_t>(), view.image.pixels.size(),
                view.image.pixels.begin());
    capture.views.push_back(std::move(view));
    (i % 4 == 0 ? capture.test : capture.train).push_back(static_cast<int64_t>(i));
  }
  Eigen::Vector3d middle = Eigen::Vector3d::Zero();
  for (const auto& c : cameras) middle += c.centre() / static_cast<double>(cameras.size());
  double far = 0;
  for (const auto& c : cameras) far = std::max(far, (c.centre() - middle).norm());
  capture.extent = 1.1 * far;
  return capture;
}

}  // namespace covary::studies
