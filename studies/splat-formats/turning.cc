// A scene turned at random, seen from a camera that turned with it.
#include <algorithm>

#include <ATen/ATen.h>
#include <Eigen/Geometry>

#include "covary/core/base/random.h"
#include "covary/core/eval/image.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/render/pictures.h"
#include "covary/splat/scene/capture.h"
#include "covary/splat/scene/similarity.h"
#include "studies/core-3dgs/bars.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

std::vector<Bar> turning_bars() {
  const auto measure = [](StudyContext& c) {
    const int turns = c.smoke() ? 3 : 20;
    const scene::Cloud cloud = known_cloud(c.smoke() ? 1000 : 20'000, 3, c.seed());
    const std::vector<scene::Camera> views = render::sample_views(cloud, 4, 160, 120);
    double worst = 1e9, without = 1e9;
    for (int t = 0; t < turns; ++t) {
      const Random random(c.seed(), stream_of("turns", static_cast<uint64_t>(t)));
      const auto z = random.normal4(0), s = random.normal4(1);
      Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
      m.topLeftCorner<3, 3>() =
          std::exp(0.3 * s[3]) *
          Eigen::Quaterniond(z[0], z[1], z[2], z[3]).normalized().toRotationMatrix();
      m.topRightCorner<3, 1>() = Eigen::Vector3d(s[0], s[1], s[2]);
      const scene::Cloud there = scene::transformed(cloud, m);
      scene::Cloud forgotten = there;  // harmonics that did not turn
      forgotten.shN = cloud.shN;
      for (const scene::Camera& view : views) {
        const scene::Camera moved = scene::transformed(view, m);
        const at::Tensor truth =
            render::pictures(render::primitives_of(cloud), view, {}).color.clamp(0, 1);
        const auto psnr = [&](const scene::Cloud& of) {
          return eval::psnr(render::pictures(render::primitives_of(of), moved, {}).color, truth);
        };
        worst = std::min(worst, psnr(there));
        without = std::min(without, psnr(forgotten));
      }
    }
    BarResult r;
    r.baseline = Quantity{.name = "harmonics left as they were", .value = without, .unit = "dB"};
    r.ours = Quantity{.value = worst, .unit = "dB"};
    r.bound = {.text = "PSNR >= 60 dB", .left = worst, .op = ">=", .right = 60};
    r.note = "worst of " + std::to_string(turns) + " turns and 4 views each";
    return r;
  };
  return {eval::bar_of(
      "3", "",
      "degree 3, turned, moved and scaled at random, seen from the camera that moved along", "PSNR",
      "dB", "PSNR >= 60 dB", measure)};
}

}  // namespace covary::studies
