#include "covary/splat/render/truth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

#include "covary/core/base/random.h"
#include "covary/core/base/threads.h"
#include "covary/core/geometry/rigid.h"
#include "covary/splat/render/truth_scene.h"
#include "covary/splat/render/truth_views.h"

namespace covary::render {
namespace {

using Eigen::Vector3f;

uint8_t to_srgb(float linear) {
  const float x = std::clamp(linear, 0.f, 1.f);
  const float s = x <= 0.0031308f ? 12.92f * x : 1.055f * std::pow(x, 1 / 2.4f) - 0.055f;
  return static_cast<uint8_t>(std::lround(255 * s));
}

// Rays of a pinhole camera, of length such that distances along them are camera z.
struct Eye {
  Vector3f centre;
  Eigen::Matrix3f world_from_cam;
  float fx, fy, cx, cy;

  explicit Eye(const scene::Camera& c)
      : centre(c.centre().cast<float>()),
        world_from_cam(c.cam_from_world.topLeftCorner<3, 3>().transpose().cast<float>()),
        fx(static_cast<float>(c.fx)),
        fy(static_cast<float>(c.fy)),
        cx(static_cast<float>(c.cx)),
        cy(static_cast<float>(c.cy)) {}
  Vector3f ray(float x, float y) const {
    return world_from_cam * Vector3f((x - cx) / fx, (y - cy) / fy, 1);
  }
};

// One row of a photo; RGBA when alpha is asked for, colours then straight.
void render_row(const Studio& studio, const Eye& eye, int side, const Vector3f& gain,
                data::Image8& image, int y) {
  const float spread = 1 / (eye.fx * static_cast<float>(side));
  for (int x = 0; x < image.width; ++x) {
    Vector3f sum = Vector3f::Zero();
    int hits = 0;
    for (int k = 0; k < side * side; ++k) {
      const float dx = (static_cast<float>(k % side) + 0.5f) / static_cast<float>(side);
      const float dy = (static_cast<float>(k / side) + 0.5f) / static_cast<float>(side);
      const Studio::Seen seen = studio.look(
          eye.centre, eye.ray(static_cast<float>(x) + dx, static_cast<float>(y) + dy), spread);
      if (seen.object == 0) continue;
      sum += tone_map(seen.color.cwiseProduct(gain));
      ++hits;
    }
    uint8_t* pixel = image.at(y, x);
    for (int c = 0; c < 3; ++c) pixel[c] = hits ? to_srgb(sum[c] / static_cast<float>(hits)) : 0;
    if (image.channels == 4)
      pixel[3] = static_cast<uint8_t>(std::lround(255.0 * hits / (side * side)));
  }
}

// Colour over the capture's background, unless that changes every step; as load_capture does with photos.
void split_alpha(const data::Image8& rgba, const scene::Capture& capture, scene::View& view) {
  view.image = data::Image8(rgba.height, rgba.width, 3);
  view.alpha = data::Image8(rgba.height, rgba.width, 1);
  for (size_t i = 0; i < view.alpha.pixels.size(); ++i) {
    const uint8_t* p = rgba.pixels.data() + 4 * i;
    const int a = view.alpha.pixels[i] = p[3];
    for (size_t c = 0; c < 3; ++c) {
      const int under =
          static_cast<int>(std::lround(capture.background[static_cast<Eigen::Index>(c)] * 255));
      view.image.pixels[3 * i + c] =
          capture.random_background
              ? p[c]
              : static_cast<uint8_t>((p[c] * a + under * (255 - a) + 127) / 255);
    }
  }
}

// Points on surfaces that at least two cameras see (or one, of fewer than three), with the mean colour they see.
scene::Points surface_points(const Studio& studio, const std::vector<scene::Camera>& cameras,
                             const SampleViewOptions& options) {
  // More than half of all tries are on hidden sides, or out of every picture when there are few.
  const int64_t tries = options.points == 0 ? 0 : 3 * options.points + 1000;
  const auto samples = studio.sample(tries, static_cast<uint64_t>(options.seed));
  std::vector<Eye> eyes(cameras.begin(), cameras.end());
  const int least = cameras.size() < 3 ? 1 : 2;
  std::vector<Vector3f> colors(samples.size());
  std::vector<uint8_t> visible(samples.size());
  parallel_for(static_cast<int64_t>(samples.size()), 64, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const Studio::SurfacePoint& p = samples[static_cast<size_t>(i)];
      Vector3f sum = Vector3f::Zero();
      int seen_by = 0;
      for (const Eye& eye : eyes) {
        const Vector3f d = p.position - eye.centre, local = eye.world_from_cam.transpose() * d;
        if (local.z() <= 0 || p.normal.dot(d) >= 0) continue;
        const float x = eye.fx * local.x() / local.z() + eye.cx,
                    y = eye.fy * local.y() / local.z() + eye.cy;
        if (x < 0 || y < 0 || x >= 2 * eye.cx || y >= 2 * eye.cy) continue;
        const Studio::Seen seen = studio.look(eye.centre, d, local.z() / eye.fx);
        if (seen.object == 0 || std::abs(seen.distance - 1) > 1e-3f) continue;
        sum += tone_map(seen.color);
        ++seen_by;
      }
      visible[static_cast<size_t>(i)] = seen_by >= least;
      if (seen_by > 0) colors[static_cast<size_t>(i)] = sum / static_cast<float>(seen_by);
    }
  });
  const Random order(static_cast<uint64_t>(options.seed), stream_of("sample.points.order"));
  const Random noise(static_cast<uint64_t>(options.seed), stream_of("sample.points.noise"));
  scene::Points points;
  for (const int64_t k : order.permutation(static_cast<int64_t>(samples.size()))) {
    if (static_cast<int64_t>(points.positions.size()) == options.points) break;
    const size_t i = static_cast<size_t>(k);
    if (!visible[i]) continue;
    const std::array<double, 4> z = noise.normal4(i);
    points.positions.emplace_back(samples[i].position + static_cast<float>(options.noise) *
                                                            Vector3f(static_cast<float>(z[0]),
                                                                     static_cast<float>(z[1]),
                                                                     static_cast<float>(z[2])));
    points.colors.emplace_back(to_srgb(colors[i][0]), to_srgb(colors[i][1]), to_srgb(colors[i][2]));
  }
  return points;
}

}  // namespace

StudioTruth make_studio_truth(const StudioOptions& options,
                              const scene::CaptureOptions& capture_options) {
  options.check();
  const bool room = options.background == "room";
  const Studio& studio = Studio::built(room);
  const std::vector<scene::Camera> exact = dome_cameras(options.camera);
  const std::vector<scene::Camera> given = disturbed_cameras(
      exact, options.camera.pose_noise, options.camera.distance, options.camera.seed);

  StudioTruth truth;
  scene::Capture& capture = truth.capture;
  capture.name = "studio";
  truth.objects = studio.objects();
  scene::Points points = surface_points(studio, exact, options.camera);
  if (static_cast<int64_t>(points.positions.size()) < options.camera.points) {
    capture.notes.push_back("the cameras see " + std::to_string(points.positions.size()) +
                            " of the " + std::to_string(options.camera.points) + " points");
  }
  const std::vector<int64_t> chosen =
      lay_out_sample(capture, given, std::move(points), capture_options);

  const int side = static_cast<int>(std::lround(std::sqrt(static_cast<double>(options.spp))));
  const float scale = static_cast<float>(geometry::similarity_scale(capture.scene_from_capture));
  const Random light(static_cast<uint64_t>(options.camera.seed), stream_of("sample.exposure"));
  const size_t n = chosen.size();
  std::vector<data::Image8> photos(n);
  truth.ids.resize(n);
  for (size_t i = 0; i < n; ++i) {
    const scene::Camera& full = exact[static_cast<size_t>(chosen[i])];
    scene::View& view = capture.views[i];
    photos[i] = data::Image8(full.height, full.width, room ? 3 : 4);
    truth.ids[i] = data::Image8(view.camera.height, view.camera.width, 1);
    if (options.depth) {
      view.depth = data::ImageF(view.camera.height, view.camera.width, 1);
      view.normal = data::ImageF(view.camera.height, view.camera.width, 3);
    }
    const std::array<double, 4> z = light.normal4(static_cast<uint64_t>(chosen[i]));
    Vector3f gain;
    for (int c = 0; c < 3; ++c) {
      gain[c] =
          static_cast<float>(std::exp(options.exposure * (z[3] + 0.1 * z[static_cast<size_t>(c)])));
    }
    truth.gains.push_back(gain);
    const scene::Camera small = full.scaled(view.camera.width, view.camera.height);
    truth.cameras.push_back(scene::transformed(small, capture.scene_from_capture));
  }

  // A task is a band of rows of one view: small enough that the last one keeps no core waiting.
  constexpr int kBand = 16;
  const int height = static_cast<int>(options.camera.height), bands = (height + kBand - 1) / kBand;
  parallel_tasks(static_cast<int64_t>(n) * bands, [&](int64_t task) {
    const size_t i = static_cast<size_t>(task / bands);
    const int first = static_cast<int>(task % bands) * kBand;
    const Eye eye(exact[static_cast<size_t>(chosen[i])]);
    for (int y = first; y < std::min(height, first + kBand); ++y) {
      render_row(studio, eye, side, truth.gains[i], photos[i], y);
    }
  });
  parallel_tasks(static_cast<int64_t>(n), [&](int64_t k) {
    const size_t i = static_cast<size_t>(k);
    scene::View& view = capture.views[i];
    const scene::Camera& full = exact[static_cast<size_t>(chosen[i])];
    const scene::Camera small = full.scaled(view.camera.width, view.camera.height);
    data::Image8 photo = std::move(photos[i]);
    if (small.width != full.width || small.height != full.height) {
      photo = data::resize_area(photo, small.width, small.height);
    }
    if (room) {
      view.image = std::move(photo);
    } else {
      split_alpha(photo, capture, view);
    }
    const Eye eye(small);
    const Eigen::Matrix3f cam_from_world = eye.world_from_cam.transpose();
    for (int y = 0; y < small.height; ++y) {
      for (int x = 0; x < small.width; ++x) {
        const Studio::Seen seen = studio.probe(
            eye.centre, eye.ray(static_cast<float>(x) + 0.5f, static_cast<float>(y) + 0.5f));
        truth.ids[i].at(y, x)[0] = static_cast<uint8_t>(seen.object);
        if (!options.depth || seen.object == 0) continue;
        view.depth.at(y, x)[0] = scale * seen.distance;
        Eigen::Map<Vector3f>(view.normal.at(y, x)) = cam_from_world * seen.normal;
      }
    }
  });
  return truth;
}

scene::Capture make_studio(const StudioOptions& options,
                           const scene::CaptureOptions& capture_options) {
  return make_studio_truth(options, capture_options).capture;
}

}  // namespace covary::render
