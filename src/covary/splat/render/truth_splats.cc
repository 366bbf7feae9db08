#include "covary/splat/render/truth_splats.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "covary/core/base/random.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/render/truth_views.h"

namespace covary::render {
namespace {

at::Tensor tensor_of(const std::vector<float>& values, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kFloat);
  std::memcpy(t.data_ptr<float>(), values.data(), values.size() * sizeof(float));
  return t;
}

uint8_t to_byte(double x) {
  return static_cast<uint8_t>(std::lround(255 * std::clamp(x, 0.0, 1.0)));
}

data::Image8 to_image(const at::Tensor& hwc) {
  const at::Tensor t = hwc.contiguous();
  data::ImageF image(static_cast<int>(t.size(0)), static_cast<int>(t.size(1)),
                     static_cast<int>(t.size(2)));
  std::memcpy(image.pixels.data(), t.data_ptr<float>(), image.pixels.size() * sizeof(float));
  return data::to_bytes(image);
}

}  // namespace

SplatsTruth make_splats(const SplatsOptions& options,
                        const scene::CaptureOptions& capture_options) {
  options.check();
  const at::NoGradGuard no_grad;
  const uint64_t seed = static_cast<uint64_t>(options.camera.seed);
  const int64_t n = options.count, bands = (options.sh_degree + 1) * (options.sh_degree + 1);
  const Random shape(seed, stream_of("sample.splats.shape")),
      color(seed, stream_of("sample.splats.color")), noise(seed, stream_of("sample.splats.noise"));

  // Centres first: the frame depends on them.
  std::vector<Eigen::Vector3d> means;
  std::vector<std::array<double, 3>> base;
  scene::Points points;
  const int64_t given_points = options.camera.points == 0 ? n : std::min(n, options.camera.points);
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t e = static_cast<uint64_t>(i);
    const auto z = shape.normal4(4 * e);
    const double radius = std::cbrt(shape.uniform(4 * e + 1));
    means.push_back(Eigen::Vector3d(0, 0, 0.2) +
                    radius * Eigen::Vector3d(z[0], z[1], z[2]).normalized());
    const auto c = color.words(e << 8);
    base.push_back(
        {0.1 + 0.8 * c[0] * 0x1p-32, 0.1 + 0.8 * c[1] * 0x1p-32, 0.1 + 0.8 * c[2] * 0x1p-32});
    if (i >= given_points) continue;
    const auto dp = noise.normal4(2 * e), dc = noise.normal4(2 * e + 1);
    points.positions.push_back(
        (means.back() + options.camera.noise * Eigen::Vector3d(dp[0], dp[1], dp[2])).cast<float>());
    points.colors.emplace_back(to_byte(base.back()[0] + options.color_noise * dc[0]),
                               to_byte(base.back()[1] + options.color_noise * dc[1]),
                               to_byte(base.back()[2] + options.color_noise * dc[2]));
  }

  SplatsTruth truth;
  scene::Capture& capture = truth.capture;
  capture.name = "splats";
  const std::vector<scene::Camera> exact = dome_cameras(options.camera);
  const std::vector<int64_t> chosen =
      lay_out_sample(capture,
                     disturbed_cameras(exact, options.camera.pose_noise, options.camera.distance,
                                       options.camera.seed),
                     std::move(points), capture_options);

  const Eigen::Matrix4d& frame = capture.scene_from_capture;
  const double unit = geometry::similarity_scale(frame);
  const Eigen::Vector4d turn = geometry::quat_from_matrix(geometry::similarity_rotation(frame));
  std::vector<float> mean_values, quats, scales, opacities, sh0, shN;
  for (int64_t i = 0; i < n; ++i) {
    const uint64_t e = static_cast<uint64_t>(i);
    const Eigen::Vector3d p = geometry::apply(frame, means[static_cast<size_t>(i)]);
    const auto q = shape.normal4(4 * e + 2), s = shape.normal4(4 * e + 3);
    const Eigen::Vector4d turned =
        geometry::quat_product(turn, geometry::quat_normalized({q[0], q[1], q[2], q[3]}));
    for (int k = 0; k < 4; ++k) quats.push_back(static_cast<float>(turned[k]));
    for (int k = 0; k < 3; ++k) {
      const size_t c = static_cast<size_t>(k);
      mean_values.push_back(static_cast<float>(p[k]));
      scales.push_back(
          static_cast<float>(std::log(options.scale * unit) + 0.4 * std::clamp(s[c], -2.5, 2.5)));
      sh0.push_back(static_cast<float>((base[static_cast<size_t>(i)][c] - 0.5) / compute::kShC0));
    }
    opacities.push_back(static_cast<float>(1.2 + s[3]));
    for (int64_t b = 1; b < bands; ++b) {
      const auto z = color.normal4((e << 8) + static_cast<uint64_t>(b));
      for (size_t c = 0; c < 3; ++c) shN.push_back(static_cast<float>(0.12 * z[c]));
    }
  }
  truth.cloud.means = tensor_of(mean_values, {n, 3});
  truth.cloud.quats = tensor_of(quats, {n, 4});
  truth.cloud.scales = tensor_of(scales, {n, 3});
  truth.cloud.opacities = tensor_of(opacities, {n});
  truth.cloud.sh0 = tensor_of(sh0, {n, 1, 3});
  truth.cloud.shN = tensor_of(shN, {n, bands - 1, 3});

  const Primitives primitives = primitives_of(truth.cloud);
  const at::Tensor background =
      tensor_of({capture.background[0], capture.background[1], capture.background[2]}, {3});
  for (size_t i = 0; i < chosen.size(); ++i) {
    scene::View& view = capture.views[i];
    const scene::Camera full = scene::transformed(exact[static_cast<size_t>(chosen[i])], frame);
    truth.cameras.push_back(full.scaled(view.camera.width, view.camera.height));
    const Rendered out = rasterize(primitives, views_of({full}), {}, background);
    at::Tensor color_image = out.color[0];
    data::Image8 alpha;
    if (capture.random_background) {  // straight colours, for any background to come
      color_image = color_image / out.alpha[0].clamp_min(1e-6);
      alpha = to_image(out.alpha[0]);
    }
    data::Image8 photo = to_image(color_image);
    if (view.camera.width != full.width || view.camera.height != full.height) {
      photo = data::resize_area(photo, view.camera.width, view.camera.height);
      if (!alpha.empty()) alpha = data::resize_area(alpha, view.camera.width, view.camera.height);
    }
    view.image = std::move(photo);
    view.alpha = std::move(alpha);
  }
  return truth;
}

}  // namespace covary::render
