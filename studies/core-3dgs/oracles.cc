// Bar 6 of core-3dgs: what must hold exactly, or to rounding. The same at every scale.
#include <algorithm>
#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/file.h"
#include "covary/core/base/random.h"
#include "covary/core/compute/ssim/op.h"
#include "covary/splat/fit/frame.h"
#include "covary/splat/fit/strategy_parts.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/ply.h"
#include "studies/core-3dgs/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::StudyContext;

Bar oracle(const std::string& part, const std::string& title, const std::string& metric,
           double bound, std::function<double(StudyContext&)> error) {
  return eval::at_most("6", part, title, metric, bound, std::move(error),
                       bound == 0 ? "difference" : "error");
}

// A few primitives in double before a small camera.
struct Stage {
  at::Tensor means, quats, scales, opacities, sh0, shN, pose, intrinsics, background;
  int width = 40, height = 30;

  std::vector<at::Tensor*> all() {
    return {&means, &quats, &scales, &opacities, &sh0, &shN, &pose, &intrinsics, &background};
  }
  render::Rendered render(render::RasterizeOptions options = {}) const {
    return render::rasterize({.means = means,
                              .quats = quats,
                              .scales = scales,
                              .covariances = {},
                              .opacities = opacities,
                              .sh0 = sh0,
                              .shN = shN,
                              .features = {},
                              .extras = {}},
                             {pose, intrinsics, width, height}, options, background);
  }
};

Stage stage(at::ScalarType type, int64_t count, uint64_t seed) {
  const render::Primitives p = render::primitives_of(known_cloud(count, 2, seed));
  const auto cameras = ring_of_cameras(3, 40, 30, 3.5);
  const render::Views v = render::views_of({cameras[1]}, type);
  Stage s;
  s.means = p.means.to(type);
  s.quats = p.quats.to(type);
  s.scales = p.scales.to(type);
  s.opacities = (p.opacities * 0.8).to(type);
  s.sh0 = p.sh0.to(type);
  s.shN = p.shN.to(type);
  s.pose = v.cam_from_world;
  s.intrinsics = v.intrinsics;
  s.background = at::tensor({0.2, 0.5, 0.3}, at::kDouble).to(type);
  return s;
}

double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

// Largest error of a gradient over the largest gradient, by tensor; central differences in double.
double gradient_error(StudyContext&) {
  Stage s = stage(at::kDouble, 12, 3);
  // Pictures, depth and alpha all weigh in, each pixel by another number.
  const int64_t pixels = int64_t{s.width} * s.height;
  const at::Tensor weights =
      (at::arange(pixels * 5, at::kDouble) * 12.9898).sin().reshape({s.height, s.width, 5});
  const auto loss = [&] {
    render::RasterizeOptions options;
    options.depth = true;
    options.antialiased = true;
    const render::Rendered r = s.render(options);
    return (at::cat({r.color[0], r.depth[0], r.alpha[0]}, 2) * weights).sum();
  };
  for (at::Tensor* t : s.all()) t->requires_grad_(true);
  loss().backward();
  double worst = 0;
  const at::NoGradGuard no_gradient;
  for (at::Tensor* t : s.all()) {
    const at::Tensor gradient = t->grad().contiguous();
    at::Tensor flat = t->view({-1});
    double error = 0, largest = 0;
    for (int64_t i = 0; i < flat.numel(); ++i) {
      if (t == &s.pose && i >= 12) break;  // the last row of a pose is fixed
      const double before = flat[i].item<double>();
      constexpr double kStep = 1e-6;
      flat[i] = before + kStep;
      const double above = loss().item<double>();
      flat[i] = before - kStep;
      const double below = loss().item<double>();
      flat[i] = before;
      const double expected = (above - below) / (2 * kStep);
      error = std::max(error, std::fabs(gradient.view({-1})[i].item<double>() - expected));
      largest = std::max(largest, std::fabs(expected));
    }
    worst = std::max(worst, error / largest);
  }
  return worst;
}

// One isotropic Gaussian on the optical axis is o exp(-r^2 / 2v) with v = (f s / z)^2 + dilation.
double closed_form_error(StudyContext&) {
  const double s = 0.2, z = 3, o = 0.7, f = 40;
  const int w = 48, h = 32;
  const auto d = at::TensorOptions(at::kDouble);
  const render::Primitives p{.means = at::tensor({0.0, 0.0, z}, d).reshape({1, 3}),
                             .quats = at::tensor({1.0, 0.0, 0.0, 0.0}, d).reshape({1, 4}),
                             .scales = at::full({1, 3}, s, d),
                             .covariances = {},
                             .opacities = at::full({1}, o, d),
                             .sh0 = {},
                             .shN = {},
                             .features = at::tensor({1.0, 0.5, 0.25}, d).reshape({1, 3}),
                             .extras = {}};
  const render::Views v{at::eye(4, d).unsqueeze(0),
                        at::tensor({f, f, w / 2.0, h / 2.0}, d).reshape({1, 4}), w, h};
  const at::Tensor image = render::rasterize(p, v, {}).color[0];
  double worst = 0;
  const double variance = (f * s / z) * (f * s / z) + 0.3;
  for (int y = 0; y < h; ++y) {
    for (int x = 0; x < w; ++x) {
      const double dx = x + 0.5 - w / 2.0, dy = y + 0.5 - h / 2.0;
      double alpha = o * std::exp(-0.5 * (dx * dx + dy * dy) / variance);
      if (alpha < 1.0 / 255) alpha = 0;
      worst = std::max(worst, std::fabs(image[y][x][0].item<double>() - alpha));
      worst = std::max(worst, std::fabs(image[y][x][2].item<double>() - 0.25 * alpha));
    }
  }
  return worst;
}

// Two Gaussians on the axis composite nearest first, whichever is listed first.
double order_error(StudyContext&) {
  const auto d = at::TensorOptions(at::kDouble);
  double worst = 0;
  for (const bool swapped : {false, true}) {
    const double z0 = swapped ? 4 : 3, z1 = swapped ? 3 : 4, o0 = 0.6, o1 = 0.5, s = 0.3, f = 40;
    const render::Primitives p{
        .means = at::tensor({0.0, 0.0, z0, 0.0, 0.0, z1}, d).reshape({2, 3}),
        .quats = at::tensor({1.0, 0.0, 0.0, 0.0}, d).expand({2, 4}).contiguous(),
        .scales = at::full({2, 3}, s, d),
        .covariances = {},
        .opacities = at::tensor({o0, o1}, d),
        .sh0 = {},
        .shN = {},
        .features = at::eye(2, d),
        .extras = {}};
    const render::Views v{at::eye(4, d).unsqueeze(0),
                          at::tensor({f, f, 8.5, 8.5}, d).reshape({1, 4}), 17, 17};
    const at::Tensor centre = render::rasterize(p, v, {}).color[0][8][8];  // exactly on the axis
    const double expect0 = swapped ? o0 * (1 - o1) : o0, expect1 = swapped ? o1 : o1 * (1 - o0);
    worst = std::max({worst, std::fabs(centre[0].item<double>() - expect0),
                      std::fabs(centre[1].item<double>() - expect1)});
  }
  return worst;
}

double permutation_difference(StudyContext&) {
  const Stage s = stage(at::kFloat, 400, 5);
  const std::vector<int64_t> order = Random(9).permutation(400);
  const at::Tensor rows = at::tensor(order, at::kLong);
  Stage t = s;
  for (at::Tensor* x : {&t.means, &t.quats, &t.scales, &t.opacities, &t.sh0, &t.shN})
    *x = x->index_select(0, rows);
  return largest_difference(s.render().color, t.render().color);
}

double rigid_motion_error(StudyContext&) {
  scene::Cloud cloud = known_cloud(300, 3, 11);
  scene::Camera camera = ring_of_cameras(3, 64, 48, 3.5)[1];
  Eigen::Matrix4d motion = Eigen::Matrix4d::Identity();
  motion.topLeftCorner<3, 3>() =
      1.7 * Eigen::AngleAxisd(1.1, Eigen::Vector3d(0.3, -0.5, 0.8).normalized()).toRotationMatrix();
  motion.topRightCorner<3, 1>() = Eigen::Vector3d(0.4, -0.2, 0.9);
  const auto picture = [](const scene::Cloud& c, const scene::Camera& k) {
    return render::rasterize(render::primitives_of(c), render::views_of({k}), {}).color;
  };
  return largest_difference(picture(cloud, camera), picture(fit::transformed(cloud, motion),
                                                            scene::transformed(camera, motion)));
}

double weights_error(StudyContext&) {
  Stage s = stage(at::kDouble, 200, 13);
  render::RasterizeOptions options;
  options.top_k = 200;  // every contribution of a pixel
  const render::Rendered r = s.render(options);
  const at::Tensor sum = r.topk_weights.clamp_min(0).sum(3, true);
  return largest_difference(sum, r.alpha);
}

double batch_difference(StudyContext&) {
  const render::Primitives p = render::primitives_of(known_cloud(500, 2, 17));
  const auto cameras = ring_of_cameras(4, 48, 36, 3.5);
  const at::Tensor together = render::rasterize(p, render::views_of(cameras), {}).color;
  double worst = 0;
  for (size_t i = 0; i < cameras.size(); ++i) {
    worst = std::max(worst, largest_difference(
                                together[static_cast<int64_t>(i)],
                                render::rasterize(p, render::views_of({cameras[i]}), {}).color[0]));
  }
  return worst;
}

// Only the visible rows, packed, against all of them: image and gradients.
double packed_difference(StudyContext&) {
  Stage dense = stage(at::kFloat, 600, 19);
  dense.means = dense.means * 4;  // most lie outside the view
  Stage packed = dense;
  const at::Tensor ids = dense.render().footprints.at(0).ids;
  if (ids.size(0) == 0 || ids.size(0) == 600) return NAN;  // then this shows nothing
  const auto rows = [](Stage& s) {
    return std::vector<at::Tensor*>{&s.means, &s.quats, &s.scales, &s.opacities, &s.sh0, &s.shN};
  };
  for (at::Tensor* t : rows(packed)) *t = t->index_select(0, ids);
  double worst = 0;
  const auto run = [&](Stage& s) {
    for (at::Tensor* t : rows(s)) *t = t->detach().clone().requires_grad_(true);
    const at::Tensor image = s.render().color;
    image.square().sum().backward();
    return image.detach();
  };
  const at::Tensor a = run(dense), b = run(packed);
  worst = largest_difference(a, b);
  for (size_t i = 0; i < rows(dense).size(); ++i) {
    const at::Tensor all = rows(dense)[i]->grad();
    worst = std::max(worst, largest_difference(all.index_select(0, ids), rows(packed)[i]->grad()));
    at::Tensor rest = all.clone();
    rest.index_fill_(0, ids, 0);
    worst = std::max(worst, rest.abs().max().item<double>());
  }
  return worst;
}

// n stacked copies have the original's peak alpha, and its integral along a line.
double relocation_error(StudyContext&) {
  double worst = 0;
  for (const double o : {0.02, 0.3, 0.7, 0.95}) {
    for (int64_t n = 1; n <= fit::kMostCopies; ++n) {
      const fit::Relocated r = fit::relocate(o, n);
      const double peak = 1 - std::pow(1 - r.opacity, static_cast<double>(n));
      // Trapezoid rule on a smooth bell: exact to rounding at this spacing.
      double integral = 0;
      constexpr double kSpacing = 1.0 / 32;
      for (int i = -12 * 32; i <= 12 * 32; ++i) {
        const double x = i * kSpacing / r.scale_factor;
        integral += kSpacing *
                    (1 - std::pow(1 - r.opacity * std::exp(-0.5 * x * x), static_cast<double>(n)));
      }
      const double original = o * std::sqrt(2 * M_PI);
      worst = std::max({worst, std::fabs(peak - o), std::fabs(integral - original) / original});
    }
  }
  return worst;
}

double ply_difference(StudyContext& c) {
  const auto folder = c.folder("ply");
  double differing = 0;
  for (int degree = 0; degree <= 3; ++degree) {
    const auto first = folder / "a.ply", second = folder / "b.ply";
    scene::write_ply(first, known_cloud(257, degree, 23));
    scene::write_ply(second, scene::read_ply(first));
    differing += read_file(first) == read_file(second) ? 0 : 1;
  }
  return differing;
}

double resume_difference(StudyContext& c) {
  const scene::Capture capture =
      photographed(known_cloud(200, 1, 29), ring_of_cameras(8, 48, 36, 3.5));
  fit::TrainOptions o;
  o.steps = 60;
  o.init = "random";
  o.init_count = 300;
  o.max_gaussians = 600;
  o.default_strategy.start = 5;
  o.default_strategy.stop = 50;
  o.default_strategy.every = 10;
  double worst = 0;
  for (const char* strategy : {"default", "mcmc"}) {
    o.strategy = strategy;
    o.mcmc.start = 5;
    o.mcmc.every = 10;
    fit::Trainer through(capture, o);
    through.start(c.seed());
    while (through.steps_done() < o.steps) through.step();
    const auto file = c.folder("resume") / "state.cov";
    {
      fit::Trainer before(capture, o);
      before.start(c.seed());
      while (before.steps_done() < 27) before.step();  // between two refinements
      before.save_checkpoint(file);
    }
    fit::Trainer after(capture, o);
    after.load_checkpoint(file);
    while (after.steps_done() < o.steps) after.step();
    const auto a = through.table().arrays(), b = after.table().arrays();
    for (const auto& [name, tensor] : a) {
      const auto other = b.find(name);
      if (other == b.end() || other->second.sizes() != tensor.sizes()) return INFINITY;
      if (tensor.numel() > 0) worst = std::max(worst, largest_difference(tensor, other->second));
    }
  }
  return worst;
}

// SSIM by its definition: an 11 x 11 window at every pixel, zeros beyond the border.
double direct_ssim(const at::Tensor& a, const at::Tensor& b) {
  const int64_t h = a.size(0), w = a.size(1), channels = a.size(2);
  double window[11][11], total = 0;
  for (int y = 0; y < 11; ++y) {
    for (int x = 0; x < 11; ++x) {
      window[y][x] = std::exp(-((y - 5) * (y - 5) + (x - 5) * (x - 5)) / (2 * 1.5 * 1.5));
      total += window[y][x];
    }
  }
  const auto pa = a.accessor<double, 3>(), pb = b.accessor<double, 3>();
  double sum = 0;
  for (int64_t k = 0; k < channels; ++k) {
    for (int64_t y = 0; y < h; ++y) {
      for (int64_t x = 0; x < w; ++x) {
        double ma = 0, mb = 0, aa = 0, bb = 0, ab = 0;
        for (int64_t j = -5; j <= 5; ++j) {
          for (int64_t i = -5; i <= 5; ++i) {
            if (y + j < 0 || y + j >= h || x + i < 0 || x + i >= w) continue;
            const double g = window[j + 5][i + 5] / total, u = pa[y + j][x + i][k],
                         v = pb[y + j][x + i][k];
            ma += g * u;
            mb += g * v;
            aa += g * u * u;
            bb += g * v * v;
            ab += g * u * v;
          }
        }
        constexpr double kC1 = 0.01 * 0.01, kC2 = 0.03 * 0.03;
        sum += (2 * ma * mb + kC1) * (2 * (ab - ma * mb) + kC2) /
               ((ma * ma + mb * mb + kC1) * (aa - ma * ma + bb - mb * mb + kC2));
      }
    }
  }
  return sum / static_cast<double>(h * w * channels);
}

double ssim_error(StudyContext&) {
  const at::Tensor x = at::arange(29 * 37 * 3, at::kDouble).reshape({29, 37, 3});
  const at::Tensor a = 0.5 + 0.4 * (x * 0.37).sin(), b = (a + 0.2 * (x * 1.71).cos()).clamp(0, 1);
  const double expected = direct_ssim(a, b);
  return std::max(std::fabs(compute::ssim(a, b) - expected),
                  std::fabs(compute::ssim(a.to(at::kFloat), b.to(at::kFloat)) - expected));
}

}  // namespace

std::vector<Bar> oracle_bars() {
  return {
      oracle("a", "gradients of means, quats, scales, opacities, SH, pose, intrinsics, background",
             "relative to double finite differences", 1e-4, gradient_error),
      oracle("b", "one isotropic Gaussian is its closed form", "largest pixel error", 1e-9,
             closed_form_error),
      oracle("c", "compositing order follows depth", "largest error", 1e-9, order_error),
      oracle("d", "permuted inputs give the same bits", "largest difference", 0,
             permutation_difference),
      oracle("e", "similarity of scene and camera, SH turned, leaves the image",
             "largest pixel error", 2e-4, rigid_motion_error),
      oracle("f", "blending weights and transmittance sum to 1", "largest error", 1e-6,
             weights_error),
      oracle("g", "a batch of cameras is the single calls", "largest difference", 0,
             batch_difference),
      oracle("h", "packed visible rows are the dense call, image and gradients",
             "largest difference", 0, packed_difference),
      oracle("i", "relocated copies keep peak and integral, n = 1..51", "largest relative error",
             1e-6, relocation_error),
      oracle("j", ".ply written, read and written again, degrees 0 to 3", "files that differ", 0,
             ply_difference),
      oracle("k", "resumed from a checkpoint, default and MCMC", "largest difference", 0,
             resume_difference),
      oracle("l", "SSIM against its definition in double", "largest error", 1e-6, ssim_error),
  };
}

}  // namespace covary::studies
