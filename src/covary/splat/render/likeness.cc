#include "covary/splat/render/likeness.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <Eigen/Geometry>

#include "covary/core/eval/image.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/camera_path.h"
#include "covary/splat/scene/middle.h"

namespace covary::render {
namespace {

constexpr double kShareSeen = 0.8;  // of the splats
constexpr double kHeight = 0.35;    // of a view above the equator: tangent of the angle

}  // namespace

std::vector<scene::Camera> sample_views(const scene::Cloud& cloud, int64_t count, int width,
                                        int height) {
  const auto [centre, radius] = scene::middle_ball(cloud.means, kShareSeen);
  const Eigen::Vector3d up(0, -1, 0);
  const scene::Camera like = scene::camera_of_ball(centre, radius, up, width, height);
  const double distance = (like.centre() - centre).norm();
  std::vector<scene::Camera> views;
  for (int64_t i = 0; i < count; ++i) {
    const double angle = 2 * std::numbers::pi * static_cast<double>(i) / static_cast<double>(count);
    const double rise = i % 2 == 0 ? kHeight : -kHeight;
    const Eigen::Vector3d out =
        Eigen::Vector3d(std::sin(angle), -rise, -std::cos(angle)).normalized();
    views.push_back(scene::looking_at(like, centre + distance * out, centre, up));
  }
  return views;
}

Likeness likeness(const scene::Cloud& truth, const scene::Cloud& other,
                  const std::vector<scene::Camera>& views) {
  const at::NoGradGuard no_grad;
  const Primitives a = primitives_of(truth), b = primitives_of(other);
  Likeness l;
  for (const scene::Camera& view : views) {
    PictureOptions how;
    how.antialiased = truth.antialiased;
    const at::Tensor wanted = pictures(a, view, how).color.clamp(0, 1);
    how.antialiased = other.antialiased;
    l.of_view.push_back(eval::psnr(pictures(b, view, how).color, wanted));
    l.mean += l.of_view.back() / static_cast<double>(views.size());
  }
  if (!l.of_view.empty()) l.worst = *std::min_element(l.of_view.begin(), l.of_view.end());
  return l;
}

}  // namespace covary::render
