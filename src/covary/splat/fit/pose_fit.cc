#include "covary/splat/fit/pose_fit.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/compute/ssim/op.h"
#include "covary/core/eval/image.h"
#include "covary/splat/fit/camera_delta.h"
#include "covary/splat/fit/photo_rows.h"

namespace covary::fit {
namespace {

constexpr double kSsimWeight = 0.2;

}  // namespace

scene::Camera fitted_pose(const render::Primitives& splats, const scene::View& view,
                          const Target& target, const render::RasterizeOptions& rasterize,
                          const scene::Capture& capture, const PoseFitOptions& options) {
  const c10::AutoGradMode with_gradient(true);
  PhotoRows pose({1, 6}, at::kDouble,
                 nn::exponential(options.rate, options.rate * 0.01, options.steps));
  const PoseFrame frame{view.camera.cam_from_world, capture.extent,
                        depth_of_interest(view.camera, capture.points, capture.extent)};
  at::Tensor best = pose.values().select(0, 0).clone();
  double least = 0;
  render::Views views = render::views_of({view.camera});
  const at::Tensor truth = options.any_colours && target.image.scalar_type() == at::kByte
                               ? target.image.to(at::kFloat).div_(255)
                               : target.image;
  for (int64_t step = 1; step <= options.steps; ++step) {
    const at::Tensor delta = pose.row(0);
    views.cam_from_world = moved_pose(delta, frame, at::kFloat);
    at::Tensor image =
        render::rasterize(splats, views, rasterize, target.background).color.squeeze(0);
    if (options.any_colours) {
      const at::Tensor map = eval::colour_map(image.detach(), truth, target.mask).to(at::kFloat);
      image = image.matmul(map.narrow(0, 0, 3)) + map.select(0, 3);
    }
    const at::Tensor loss = compute::photometric_loss(image, truth, kSsimWeight, target.mask).value;
    const double value = loss.item<double>();
    if (step == 1 || value < least) {
      least = value;
      best = delta.detach().clone();
    }
    loss.backward();
    pose.update(step, {}, view.name);
  }
  scene::Camera found = view.camera;
  found.cam_from_world = moved_pose(best.const_data_ptr<double>(), frame);
  return found;
}

}  // namespace covary::fit
