#include "covary/splat/render/truth_views.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <numbers>
#include <string>
#include <utility>

#include "covary/core/base/random.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/scene/split.h"

namespace covary::render {
namespace {

constexpr double kPi = std::numbers::pi;

std::string view_name(int64_t i) {
  char name[32];
  std::snprintf(name, sizeof name, "view_%04d.png", static_cast<int>(i));
  return name;
}

}  // namespace

std::vector<scene::Camera> dome_cameras(const SampleViewOptions& options) {
  struct Ring {
    double elevation, share;  // degrees above the turntable; of the cameras
  };
  constexpr std::array<Ring, 3> kRings = {{{14, 0.4}, {32, 0.35}, {54, 0.25}}};
  const Eigen::Vector3d middle(0, 0, 0.2);
  const Random rng(static_cast<uint64_t>(options.seed), stream_of("sample.cameras"));
  const double focal = 0.5 * static_cast<double>(options.width) / std::tan(options.fov * kPi / 360);
  std::vector<scene::Camera> cameras;
  double share = 0;
  int64_t given = 0;
  for (size_t r = 0; r < kRings.size(); ++r) {
    share += kRings[r].share;
    const int64_t upto = r + 1 == kRings.size()
                             ? options.views
                             : std::llround(share * static_cast<double>(options.views));
    const int64_t count = upto - given;
    for (int64_t k = 0; k < count; ++k) {
      const uint64_t e = 2 * static_cast<uint64_t>(given + k);
      const std::array<double, 4> z = rng.normal4(e), y = rng.normal4(e + 1);
      const auto vary = [&](double normal) {
        return options.jitter * std::clamp(normal, -2.0, 2.0);
      };
      const double step = 2 * kPi / static_cast<double>(count);
      const double azimuth =
          step * (static_cast<double>(k) + 0.37 * static_cast<double>(r) + vary(z[0]));
      const double elevation = std::max(0.1, kRings[r].elevation * kPi / 180 + 0.5 * vary(z[1]));
      const double distance = options.distance * (1 + 0.6 * vary(z[2]));
      const Eigen::Vector3d target =
          middle + 0.6 * Eigen::Vector3d(vary(y[0]), vary(y[1]), vary(y[2]));
      const Eigen::Vector3d away(std::cos(elevation) * std::cos(azimuth),
                                 std::cos(elevation) * std::sin(azimuth), std::sin(elevation));
      scene::Camera c;
      c.width = static_cast<int>(options.width);
      c.height = static_cast<int>(options.height);
      c.fx = c.fy = focal;
      c.cx = 0.5 * c.width;
      c.cy = 0.5 * c.height;
      c.cam_from_world = geometry::look_at(middle + distance * away, target, {0, 0, 1});
      cameras.push_back(c);
    }
    given = upto;
  }
  return cameras;
}

std::vector<scene::Camera> disturbed_cameras(std::vector<scene::Camera> cameras, double degrees,
                                             double distance, int64_t seed) {
  if (!(degrees > 0)) return cameras;
  const Random rng(static_cast<uint64_t>(seed), stream_of("sample.pose_noise"));
  const double angle = degrees * kPi / 180;
  for (size_t i = 0; i < cameras.size(); ++i) {
    const std::array<double, 4> z = rng.normal4(2 * i), y = rng.normal4(2 * i + 1);
    geometry::Vector6d twist;
    twist << angle * distance * z[0], angle * distance * z[1], angle * distance * z[2],
        angle * y[0], angle * y[1], angle * y[2];
    cameras[i].cam_from_world = geometry::se3_exp(twist) * cameras[i].cam_from_world;
  }
  return cameras;
}

std::vector<int64_t> lay_out_sample(scene::Capture& capture,
                                    const std::vector<scene::Camera>& cameras, scene::Points points,
                                    const scene::CaptureOptions& options) {
  options.check();
  if (options.normalize)
    capture.scene_from_capture = scene::normalising_similarity(cameras, points);
  const Eigen::Matrix4d& frame = capture.scene_from_capture;
  for (Eigen::Vector3f& p : points.positions)
    p = geometry::apply(frame, p.cast<double>()).cast<float>();
  capture.points = std::move(points);

  const std::array<float, 3> color = scene::parse_background(
      options.background == "auto" ? "black" : options.background, &capture.random_background);
  capture.background = {color[0], color[1], color[2]};

  const scene::ViewChoice choice =
      scene::choose_views(static_cast<int64_t>(cameras.size()), {}, options, capture.notes);
  std::vector<scene::Camera> training;
  for (const int64_t i : choice.training) training.push_back(cameras[static_cast<size_t>(i)]);
  const double extent = scene::extent_of(training, frame);
  capture.extent = extent > 1e-9 ? extent : 1;

  std::vector<int64_t> chosen;
  for (const scene::ChosenView& v : choice.loaded) {
    (v.held_out ? capture.test : capture.train).push_back(static_cast<int64_t>(chosen.size()));
    chosen.push_back(v.index);
    scene::View view;
    view.name = view_name(v.index);
    scene::Camera camera = cameras[static_cast<size_t>(v.index)];
    if (options.downscale > 1) {
      const auto divided = [&](int n) {
        return std::max(1, static_cast<int>(std::lround(static_cast<double>(n) /
                                                        static_cast<double>(options.downscale))));
      };
      camera = camera.scaled(divided(camera.width), divided(camera.height));
    }
    view.camera = scene::transformed(camera, frame);
    capture.views.push_back(std::move(view));
  }
  return chosen;
}

}  // namespace covary::render
