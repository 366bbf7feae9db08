// Floaters planted into a trained scene, and how many of them and of the rest are removed.
#include <algorithm>
#include <cmath>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/splat/render/floaters.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/format.h"
#include "studies/core-3dgs/bars.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

namespace {

// In front of what the training cameras see: each on the ray of a random pixel, at 0.15 to `farthest` of the depth
// there, 1 to 8 px large along each axis, half to fully opaque, with the colours of splats drawn at random.
scene::Cloud floaters_before(const scene::Cloud& cloud, const std::vector<scene::Camera>& cameras,
                             int64_t count, double farthest, uint64_t seed) {
  const at::NoGradGuard no_grad;
  render::RasterizeOptions options;
  options.median_depth = true;
  const render::Primitives g = render::primitives_of(cloud);
  std::vector<at::Tensor> depths;
  for (const scene::Camera& c : cameras)
    depths.push_back(
        render::rasterize(g, render::views_of({c}), options).median_depth[0].contiguous());
  at::Tensor like = at::empty({count}, at::kLong);
  const Random choice(seed, stream_of("floaters.like"));
  for (int64_t i = 0; i < count; ++i)
    like.data_ptr<int64_t>()[i] = static_cast<int64_t>(
        choice.below(static_cast<uint64_t>(cloud.size()), static_cast<uint64_t>(i)));
  scene::Cloud f = scene::select(cloud, like);
  for (int64_t i = 0; i < count; ++i) {
    const Random random(seed, stream_of("floaters", static_cast<uint64_t>(i)));
    uint64_t draw = 0;
    const auto uniform = [&](double low, double high) {
      return low + (high - low) * random.uniform(draw++);
    };
    double depth = 0;
    size_t view = 0;
    double px = 0, py = 0;
    while (depth <= 0) {
      view = static_cast<size_t>(random.below(cameras.size(), draw++));
      const scene::Camera& c = cameras[view];
      px = uniform(0, c.width);
      py = uniform(0, c.height);
      depth = depths[view][std::min<int64_t>(static_cast<int64_t>(py), c.height - 1)]
                    [std::min<int64_t>(static_cast<int64_t>(px), c.width - 1)][0]
                        .item<double>();
    }
    const scene::Camera& c = cameras[view];
    const double z = depth * uniform(0.15, farthest);
    const Eigen::Vector3d ray = c.ray(px, py);
    const Eigen::Vector3d at = c.centre() + ray * (z / ray.dot(c.forward()));
    const auto turn = random.normal4(1000);
    for (int k = 0; k < 3; ++k) {
      f.means[i][k] = at[k];
      f.scales[i][k] = std::log(std::exp(uniform(0, std::log(8.0))) * z / c.fx);
    }
    for (int k = 0; k < 4; ++k) f.quats[i][k] = turn[static_cast<size_t>(k)];
    const double o = uniform(0.5, 0.99);
    f.opacities[i] = std::log(o / (1 - o));
  }
  return f;
}

// For smoke runs: a ball of opaque splats.
scene::Cloud ball(uint64_t seed) {
  scene::Cloud c = known_cloud(3000, 0, seed);
  c.means = c.means / c.means.norm(2, {1}, true).clamp_min(1e-6);
  c.scales.fill_(std::log(0.03f));
  c.opacities.fill_(3);
  return c;
}

struct Removal {
  double found = 0, lost = 0;  // shares of the floaters, of the rest
};

const Removal& removal(StudyContext& c) {
  return c.shared<Removal>("removal", [&] {
    const scene::Cloud clean = c.smoke() ? ball(c.seed()) : trained_scene(c).cloud;
    const std::vector<scene::Camera> cameras =
        c.smoke() ? ring_of_cameras(12, 120, 90, 4) : trained_scene(c).cameras();
    const int64_t count = c.smoke() ? 40 : 2000, n = clean.size();
    const scene::Cloud dirty = scene::merged(
        {clean, floaters_before(clean, cameras, count, c.smoke() ? 0.45 : 0.7, c.seed())});
    const at::Tensor rows = render::find_floaters(dirty, cameras, {}).rows;
    Removal r;
    r.found = rows.narrow(0, n, count).to(at::kDouble).mean().item<double>();
    r.lost = rows.narrow(0, 0, n).to(at::kDouble).mean().item<double>();
    if (c.smoke()) return r;
    const TrainedScene& t = trained_scene(c);
    c.table(
        {.name = std::to_string(count) + " floaters planted, held-out photos",
         .columns = {"before dB", "with them dB", "removed dB", "found", "of the rest"},
         .rows = {{held_out_psnr(t, clean), held_out_psnr(t, dirty),
                   held_out_psnr(t, scene::select(dirty, rows.logical_not())), r.found, r.lost}}});
    return r;
  });
}

}  // namespace

std::vector<Bar> floater_bars() {
  return {
      eval::bar_of(
          "4", "d", "planted floaters that are removed", "share", "1", "ours >= 0.95",
          [](StudyContext& c) {
            BarResult r;
            r.ours = Quantity{.value = removal(c).found};
            r.bound = {.text = "ours >= 0.95", .left = removal(c).found, .op = ">=", .right = 0.95};
            return r;
          }),
      eval::bar_of(
          "4", "e", "other splats that go with them", "share", "1", "ours <= 0.005",
          [](StudyContext& c) {
            BarResult r;
            r.ours = Quantity{.value = removal(c).lost};
            r.bound = {
                .text = "ours <= 0.005", .left = removal(c).lost, .op = "<=", .right = 0.005};
            return r;
          }),
  };
}

}  // namespace covary::studies
