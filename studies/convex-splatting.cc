// convex-splatting: smooth convexes as primitives. Held et al. 2025, measured on two CPU cores: flat pictures, a room with
// hard edges, a real and a rendered capture and a plane against plain Gaussians; speed; what must hold exactly.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/random.h"
#include "covary/core/compute/project/convex.h"
#include "covary/core/compute/project/op.h"
#include "covary/core/compute/project/project.h"
#include "covary/core/compute/rasterize/op.h"
#include "covary/core/compute/rasterize/rasterize.h"
#include "covary/core/eval/study.h"
#include "covary/splat/fit/convex.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/convex.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/similarity.h"
#include "covary/splat/surface/hull_mesh.h"
#include "studies/convex-splatting/toy.h"
#include "studies/core-3dgs/bars.h"
#include "studies/core-3dgs/training.h"
#include "studies/shared/photo.h"
#include "studies/shared/timing.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::Quantity;
using eval::StudyContext;

// --- 1: flat pictures --------------------------------------------------------------------------

BarResult toy_bar(StudyContext& c, const std::string& shape, int64_t convexes, int64_t gaussians,
                  double most) {
  const int size = c.smoke() ? 32 : 128, seeds = c.smoke() ? 1 : 5;
  const int64_t steps = c.smoke() ? 60 : 1000;
  const at::Tensor truth = drawn_shape(shape, size);
  double ours = 0, base = 0;
  for (int s = 0; s < seeds; ++s) {
    ours += toy_error(truth, true, convexes, c.seed() + static_cast<uint64_t>(s), steps) / seeds;
    base += toy_error(truth, false, gaussians, c.seed() + static_cast<uint64_t>(s), steps) / seeds;
  }
  BarResult r;
  r.baseline = Quantity{.name = "Gaussians", .value = base, .unit = "1", .n = seeds};
  r.ours = Quantity{.value = ours, .unit = "1", .n = seeds};
  char text[48];
  std::snprintf(text, sizeof(text), "ours <= %g * baseline", most);
  r.bound = {text, ours, "<=", (c.smoke() ? 20 : most) * base};
  return r;
}

// --- scenes that are traced --------------------------------------------------------------------

struct Slab {
  Eigen::Vector3d low, high;
  Eigen::Vector3f color;
};
struct Hit {
  Eigen::Vector3f color = Eigen::Vector3f::Zero();
  double depth = 1e9;
};
// The nearest slab; `stripes`: faces are of two shades, by squares of that edge.
Hit seen(const std::vector<Slab>& slabs, double squares, const Eigen::Vector3d& origin,
         const Eigen::Vector3d& direction) {
  Hit hit;
  for (const Slab& slab : slabs) {
    double first = 1e-6, last = 1e9;
    int axis = 0;
    for (int k = 0; k < 3; ++k) {
      double a = (slab.low[k] - origin[k]) / direction[k],
             b = (slab.high[k] - origin[k]) / direction[k];
      if (a > b) std::swap(a, b);
      if (a > first) {
        first = a;
        axis = k;
      }
      last = std::min(last, b);
    }
    if (first >= last || first >= hit.depth) continue;
    hit.depth = first;
    const Eigen::Vector3d p = origin + (first + 1e-6) * direction;
    const Eigen::Vector3d cell = (p / squares).array().floor();
    const bool even = static_cast<int64_t>(cell.sum()) % 2 == 0;
    hit.color = slab.color * ((even ? 1.0f : 0.55f) * (1 - 0.15f * static_cast<float>(axis)));
  }
  return hit;
}

// Photos of slabs from a ring of cameras, four fifths of them for training, and points on their faces.
scene::Capture traced(const std::vector<Slab>& slabs, double squares, int views, int size,
                      int points) {
  constexpr int kSamples = 3;
  const auto cameras = ring_of_cameras(views, size, size, 3);
  scene::Capture capture = photographed(known_cloud(1, 0, 1), cameras);
  capture.train.clear();
  capture.test.clear();
  for (size_t i = 0; i < capture.views.size(); ++i) {
    (i % 5 == 2 ? capture.test : capture.train).push_back(static_cast<int64_t>(i));
    const scene::Camera& camera = cameras[i];
    const Eigen::Matrix3d to_world = camera.cam_from_world.topLeftCorner<3, 3>().transpose();
    for (int y = 0; y < size; ++y)
      for (int x = 0; x < size; ++x) {
        Eigen::Vector3f sum = Eigen::Vector3f::Zero();
        for (int s = 0; s < kSamples * kSamples; ++s) {
          const double px = x + (s % kSamples + 0.5) / kSamples,
                       py = y + (s / kSamples + 0.5) / kSamples;
          const Eigen::Vector3d d((px - camera.cx) / camera.fx, (py - camera.cy) / camera.fy, 1);
          sum += seen(slabs, squares, camera.centre(), to_world * d).color;
        }
        for (int k = 0; k < 3; ++k)
          capture.views[i].image.pixels[static_cast<size_t>(3 * (y * size + x) + k)] =
              static_cast<uint8_t>(std::lround(255 * sum[k] / (kSamples * kSamples)));
      }
  }
  const Random random(7);
  capture.points.positions.clear();
  capture.points.colors.clear();
  for (int i = 0; i < points; ++i) {
    const Slab& slab = slabs[static_cast<size_t>(i) % slabs.size()];
    Eigen::Vector3d p;
    for (int k = 0; k < 3; ++k)
      p[k] = slab.low[k] +
             (slab.high[k] - slab.low[k]) * random.uniform(static_cast<uint64_t>(4 * i + k));
    const int side = (i / static_cast<int>(slabs.size())) % 6;
    p[side % 3] = side < 3 ? slab.low[side % 3] : slab.high[side % 3];
    capture.points.positions.push_back(p.cast<float>());
    const Eigen::Vector3f color = 200 * slab.color;
    capture.points.colors.push_back(color.cast<uint8_t>());
  }
  return capture;
}

// Boxes and slabs on a floor before two walls.
std::vector<Slab> room() {
  return {{{-1, 0.6, -1}, {1, 0.7, 1}, {0.8f, 0.75f, 0.7f}},
          {{-1, -0.6, 0.9}, {1, 0.6, 1}, {0.6f, 0.7f, 0.9f}},
          {{-0.7, -0.2, -0.5}, {-0.2, 0.6, 0}, {0.9f, 0.3f, 0.2f}},
          {{0.1, 0.1, -0.6}, {0.7, 0.18, 0.4}, {0.9f, 0.8f, 0.3f}},
          {{0.15, 0.18, -0.55}, {0.22, 0.6, -0.48}, {0.3f, 0.2f, 0.1f}},
          {{0.58, 0.18, 0.28}, {0.65, 0.6, 0.35}, {0.3f, 0.2f, 0.1f}},
          {{-0.6, 0.3, 0.3}, {0.0, 0.6, 0.7}, {0.2f, 0.7f, 0.4f}}};
}

constexpr double kPlate = 0.02;  // thickness of the plane, whose faces are y = 0 and y = this

const scene::Capture& capture_of(StudyContext& c, const std::string& name) {
  return c.shared<scene::Capture>(name, [&] {
    if (name == "room")
      return traced(room(), 1e6, c.smoke() ? 10 : 50, c.smoke() ? 40 : 150, c.smoke() ? 150 : 2000);
    if (name == "plane")
      return traced({{{-1, 0.0, -1}, {1, kPlate, 1}, {0.9f, 0.8f, 0.6f}}}, 0.25,
                    c.smoke() ? 10 : 30, c.smoke() ? 40 : 100, c.smoke() ? 150 : 1000);
    if (c.smoke())
      return scene::load_capture("sample:studio,views=12,width=64,height=48,points=400", {});
    scene::CaptureOptions options;
    options.downscale = name == "chair" ? 4 : 8;
    if (name == "fox") options.test_every = 8;
    return scene::load_capture(c.data(name).string(), options);
  });
}

struct Fit {
  FitFigures figures;
  double bytes = 0;       // of scene.ply
  double edge_error = 0;  // mean |gradient magnitude of the picture - that of the photo|
};

at::Tensor steepness(const at::Tensor& image) {
  const at::Tensor grey = image.mean(2);
  const int64_t h = grey.size(0) - 1, w = grey.size(1) - 1;
  const at::Tensor here = grey.narrow(0, 0, h).narrow(1, 0, w),
                   dx = grey.narrow(0, 0, h).narrow(1, 1, w) - here,
                   dy = grey.narrow(0, 1, h).narrow(1, 0, w) - here;
  return (dx * dx + dy * dy).sqrt();
}
double edge_error(const scene::Cloud& cloud, const scene::Capture& capture) {
  const at::NoGradGuard no_gradient;
  const render::Primitives p = render::primitives_of(cloud);
  const at::Tensor background = background_of(capture);
  double sum = 0;
  for (const int64_t i : capture.test) {
    const scene::View& view = capture.views[static_cast<size_t>(i)];
    const at::Tensor drawn =
        render::rasterize(p, render::views_of({view.camera}), {}, background).color[0].clamp(0, 1);
    sum += (steepness(drawn) - steepness(photo_of(view, capture))).abs().mean().item<double>();
  }
  return sum / static_cast<double>(capture.test.size());
}

// kind: "gaussian", "convex" or "light".
const Fit& fitted(StudyContext& c, const std::string& name, const std::string& kind) {
  return c.shared<Fit>(name + " " + kind, [&] {
    const bool made = name == "room" || name == "plane";
    fit::TrainOptions o;
    o.steps = c.smoke() ? 40 : made ? 3000 : 5000;
    o.sh_degree = made ? 0 : 3;
    o.max_gaussians = 40000;
    if (!made && !c.smoke()) o.init_count = 5000;
    if (kind != "gaussian") {
      const auto base = static_cast<double>(fitted(c, name, "gaussian").figures.count);
      o.primitive = "convex";
      if (kind == "light") o.convex.settings = "light";
      // fewer than there are Gaussians: half in the room
      o.max_gaussians =
          std::max<int64_t>(50, static_cast<int64_t>((name == "room" ? 0.5 : 0.9) * base));
      o.init_count = std::min(o.init_count, o.max_gaussians);
    }
    Fit f{fit_figures(capture_of(c, name), o, c.seed())};
    const auto file = c.folder("scenes") / (name + "-" + kind + ".ply");
    scene::save_cloud(file, f.figures.cloud);
    f.bytes = static_cast<double>(scene::bytes_on_disk(file));
    f.edge_error = edge_error(f.figures.cloud, capture_of(c, name));
    c.table({.name = name + ", " + kind,
             .columns = {"PSNR dB", "SSIM", "primitives", "bytes", "edge error", "wall s"},
             .rows = {{f.figures.psnr, f.figures.ssim, f.figures.count, f.bytes, f.edge_error,
                       f.figures.wall_s}}});
    return f;
  });
}

// --- 4: flatness -------------------------------------------------------------------------------

// A point of a hull, even in its volume: of one of the tetrahedra between its centre and its triangles, drawn by volume.
// The first of `draws` picks it, the others are even on the simplex of its corners.
Eigen::Vector3d point_within(const std::vector<Eigen::Vector3d>& points,
                             const std::vector<Eigen::Vector3i>& triangles,
                             const std::array<double, 4>& draws) {
  Eigen::Vector3d centre = Eigen::Vector3d::Zero();
  for (const Eigen::Vector3d& p : points) centre += p / static_cast<double>(points.size());
  const auto corner = [&](const Eigen::Vector3i& t, int k) -> const Eigen::Vector3d& {
    return points[static_cast<size_t>(t[k])];
  };
  std::vector<double> up_to;
  double volume = 0;
  for (const Eigen::Vector3i& t : triangles) {
    const Eigen::Vector3d a = corner(t, 0) - centre, b = corner(t, 1) - centre,
                          c = corner(t, 2) - centre;
    up_to.push_back(volume += std::abs(a.dot(b.cross(c))));
  }
  const auto found = std::upper_bound(up_to.begin(), up_to.end() - 1, draws[0] * volume);
  const Eigen::Vector3i& t = triangles[static_cast<size_t>(found - up_to.begin())];
  // the gaps between three sorted draws
  double cut[3] = {draws[1], draws[2], draws[3]};
  std::sort(cut, cut + 3);
  return cut[0] * corner(t, 0) + (cut[1] - cut[0]) * corner(t, 1) +
         (cut[2] - cut[1]) * corner(t, 2) + (1 - cut[2]) * centre;
}

// Median distance from the nearer face of the plane of points drawn from the primitives, weighted by opacity: of a Gaussian by its
// density, of a convex evenly in its hull. Hulls without volume, which hold no points, are left out: the bar is no easier.
double median_distance(const scene::Cloud& cloud) {
  constexpr int kEach = 16;
  const Random random(11, 3);
  const int64_t n = cloud.size();
  const at::Tensor weights = cloud.opacities.to(at::kDouble).sigmoid().contiguous();
  std::vector<std::pair<double, double>> all;  // distance, weight
  const auto distance = [](double y) { return std::min(std::abs(y), std::abs(y - kPlate)); };
  uint64_t next = 0;
  if (cloud.footprint == scene::kConvex) {
    const scene::Convexes convexes = scene::convexes_of(cloud);
    const at::Tensor all_points = convexes.points.contiguous();
    const int64_t count = all_points.size(1);
    std::vector<Eigen::Vector3d> points(static_cast<size_t>(count));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t k = 0; k < count; ++k)
        points[static_cast<size_t>(k)] = Eigen::Map<const Eigen::Vector3d>(
            all_points.const_data_ptr<double>() + 3 * (i * count + k));
      const std::vector<Eigen::Vector3i> triangles = surface::hull_triangles(points);
      if (triangles.empty()) continue;
      for (int s = 0; s < kEach; ++s) {
        std::array<double, 4> draws;
        for (double& d : draws) d = random.uniform(next++);
        all.emplace_back(distance(point_within(points, triangles, draws).y()),
                         weights.const_data_ptr<double>()[i]);
      }
    }
  } else {
    const at::Tensor scales = cloud.scales.to(at::kDouble).exp().contiguous(),
                     quats = cloud.quats.to(at::kDouble).contiguous(),
                     means = cloud.means.to(at::kDouble).contiguous();
    for (int64_t i = 0; i < n; ++i) {
      const double* q = quats.const_data_ptr<double>() + 4 * i;
      const Eigen::Matrix3d r =
          Eigen::Quaterniond(q[0], q[1], q[2], q[3]).normalized().toRotationMatrix();
      for (int s = 0; s < kEach; ++s) {
        double y = means.const_data_ptr<double>()[3 * i + 1];
        for (int a = 0; a < 3; ++a)
          y += r(1, a) * scales.const_data_ptr<double>()[3 * i + a] * random.normal(next++);
        all.emplace_back(distance(y), weights.const_data_ptr<double>()[i]);
      }
    }
  }
  std::sort(all.begin(), all.end());
  double total = 0, up_to = 0;
  for (const auto& [d, w] : all) total += w;
  for (const auto& [d, w] : all)
    if ((up_to += w) >= 0.5 * total) return d;
  return NAN;
}

// --- 5: speed ----------------------------------------------------------------------------------

// Gaussians of a ball and convexes about them, in float.
struct Pair {
  scene::Cloud gaussians, convexes;
  scene::Camera camera;
};
const Pair& speed_pair(StudyContext& c) {
  return c.shared<Pair>("speed", [&] {
    Pair p;
    const int size = c.smoke() ? 96 : 480;
    p.gaussians = known_cloud(c.smoke() ? 500 : 8000, 0, 4);
    p.gaussians.scales = p.gaussians.scales - 0.5;
    p.camera = ring_of_cameras(1, size, size, 3)[0];
    p.convexes = fit::convexes_at_start(p.gaussians, {}, 3, p.camera.fx);
    return p;
  });
}
double step_seconds(StudyContext& c, const scene::Cloud& cloud, int64_t turns) {
  const Pair& pair = speed_pair(c);
  render::Primitives p = render::primitives_of(cloud);
  const render::Views views = render::views_of({pair.camera});
  render::RasterizeOptions o;
  o.absolute_gradients = false;
  for (at::Tensor* t : {&p.means, &p.opacities, &p.sh0, &p.extras, &p.quats, &p.scales})
    if (t->defined()) *t = t->detach().clone().requires_grad_(true);
  return median_seconds(turns, [&] { render::rasterize(p, views, o).color.sum().backward(); });
}

// Forward and backward of the convexes in float: projection, tile lists, compositing and the way back, by the SIMD kernels or
// by the scalar code that they are tested against.
double kernel_seconds(StudyContext& c, bool simd, int64_t turns) {
  const Pair& pair = speed_pair(c);
  const render::Primitives p = render::primitives_of(pair.convexes);
  const at::Tensor extras = p.extras.contiguous(), opacities = p.opacities.contiguous(),
                   colors = p.sh0.contiguous();
  const int64_t n = extras.size(0), width = extras.size(1);
  const scene::Camera& from = pair.camera;
  compute::CameraParameters camera{.cam_from_world = {},
                                   .fx = from.fx,
                                   .fy = from.fy,
                                   .cx = from.cx,
                                   .cy = from.cy,
                                   .width = from.width,
                                   .height = from.height};
  for (int i = 0; i < 16; ++i) camera.cam_from_world[i] = from.cam_from_world(i / 4, i % 4);
  compute::ProjectOptions o;
  o.footprint = compute::kConvexFootprint;
  compute::ProjectInput<float> input;
  input.count = n;
  input.opacities = opacities.const_data_ptr<float>();
  input.extras = extras.const_data_ptr<float>();
  input.extras_width = static_cast<int>(width);
  const compute::TileGrid grid{.width = from.width, .height = from.height};
  const auto pixels = static_cast<size_t>(from.width) * static_cast<size_t>(from.height),
             each = static_cast<size_t>(compute::footprint_params(o.footprint));
  return median_seconds(turns, [&] {
    const compute::Projection<float> q =
        simd ? compute::project(camera, input, o) : compute::project_reference(camera, input, o);
    const auto m = static_cast<size_t>(q.count());
    const compute::TileLists lists =
        compute::build_tile_lists(grid,
                                  compute::TileSplats<float>{.count = q.count(),
                                                             .footprint = o.footprint,
                                                             .centres = q.centres.data(),
                                                             .depths = q.depths.data(),
                                                             .params = q.params.data(),
                                                             .extents = q.extents.data(),
                                                             .halves = q.halves.data()},
                                  true);
    std::vector<float> features(3 * m), image(3 * pixels), transmittance(pixels);
    for (size_t i = 0; i < m; ++i)
      std::copy_n(colors.const_data_ptr<float>() + 3 * q.ids[i], 3, features.data() + 3 * i);
    const compute::RasterInput<float> in{.count = q.count(),
                                         .footprint = o.footprint,
                                         .channels = 3,
                                         .grid = grid,
                                         .lists = &lists,
                                         .centres = q.centres.data(),
                                         .params = q.params.data(),
                                         .opacities = q.opacities.data(),
                                         .extents = q.extents.data(),
                                         .features = features.data()};
    const compute::RasterOutput<float> out{image.data(), transmittance.data()};
    const std::vector<float> ones(3 * pixels, 1.0f);
    const compute::RasterGradients<float> by_image{ones.data(), nullptr};
    std::vector<float> by_centres(2 * m), by_params(each * m), by_opacities(m), by_features(3 * m);
    const compute::RasterInputGradients<float> by{
        by_centres.data(),  by_params.data(), by_opacities.data(),
        by_features.data(), nullptr,          nullptr};
    if (simd) {
      compute::rasterize(in, out);
      compute::rasterize_vjp(in, out, by_image, by);
    } else {
      compute::rasterize_reference(in, out);
      compute::rasterize_vjp_reference(in, out, by_image, by);
    }
    std::vector<float> to_extras(static_cast<size_t>(n * width)),
        to_opacities(static_cast<size_t>(n));
    compute::ProjectInputGradients<float> to;
    to.extras = to_extras.data();
    to.opacities = to_opacities.data();
    const compute::ProjectGradients<float> back{by_centres.data(), nullptr, by_params.data(),
                                                by_opacities.data()};
    if (simd) {
      compute::project_vjp(camera, input, o, q, back, to);
    } else {
      compute::project_vjp_reference(camera, input, o, q, back, to);
    }
  });
}

// Pairs of primitives and tiles, ours and those of the release's square box: half-size
// ceil(max(1.1 * farthest corner, mean distance of the corners moved outward)).
struct Pairs {
  double ours = 0, square = 0, gaussians = 0;
  double difference = 0;         // ours against all tiles
  double square_difference = 0;  // ours against the square
};
const Pairs& pairs_of(StudyContext& c) {
  return c.shared<Pairs>("pairs", [&] {
    const at::NoGradGuard no_gradient;
    const Pair& pair = speed_pair(c);
    const render::Primitives g = render::primitives_of(pair.convexes);
    const render::Views views = render::views_of({pair.camera});
    compute::ProjectOptions o;
    o.footprint = compute::kConvexFootprint;
    compute::ProjectedTensors splats = compute::project(
        {g.means, {}, {}, {}, g.opacities, g.extras, views.cam_from_world[0], views.intrinsics[0]},
        views.width, views.height, 0, o);
    const compute::TileGrid grid{.width = views.width, .height = views.height};
    const at::Tensor features = g.sh0.squeeze(1).index_select(0, splats.ids);
    const auto exact = compute::tile_lists(splats, o.footprint, grid, true);
    const at::Tensor image =
        compute::composite(splats, features, {}, o.footprint, grid, exact).image;
    splats.halves = at::full_like(splats.halves, 1e4);
    const auto all = compute::tile_lists(splats, o.footprint, grid, false);
    const at::Tensor whole = compute::composite(splats, features, {}, o.footprint, grid, all).image;
    const compute::ProjectedTensors plain =
        compute::project({pair.gaussians.means,
                          pair.gaussians.quats,
                          pair.gaussians.scales.exp(),
                          {},
                          g.opacities,
                          {},
                          views.cam_from_world[0],
                          views.intrinsics[0]},
                         views.width, views.height, 0, compute::ProjectOptions());
    // lines a . q + d of each convex about its centre: corners are where two meet
    splats.halves = splats.halves.clone();
    const int64_t width = splats.params.size(1);
    for (int64_t i = 0; i < splats.ids.numel(); ++i) {
      const float* p = splats.params.const_data_ptr<float>() + i * width;
      const int edges = static_cast<int>(p[0]);
      const auto meet = [&](int j, int k, double out) {
        const float *e = p + 2 + 3 * j, *f = p + 2 + 3 * k;
        const double det = static_cast<double>(e[0]) * f[1] - static_cast<double>(f[0]) * e[1];
        const double a = out - e[2], b = out - f[2];
        return Eigen::Vector2d((a * f[1] - b * e[1]) / det, (e[0] * b - f[0] * a) / det);
      };
      double farthest = 0, sum = 0;
      int counted = 0;
      for (int j = 0; j < edges; ++j) {
        const int k = (j + 1) % edges;
        farthest = std::max(farthest, meet(j, k, 0).norm());
        const Eigen::Vector2d a(p[2 + 3 * j], p[3 + 3 * j]), b(p[2 + 3 * k], p[3 + 3 * k]);
        const double turn = std::acos(std::clamp(a.normalized().dot(b.normalized()), -1.0, 1.0));
        if (turn <= 0.1 || turn >= 3) continue;
        sum += meet(j, k, 2.1 / p[1]).norm();
        ++counted;
      }
      const double radius = std::ceil(std::max(1.1 * farthest, counted ? sum / counted : 0.0));
      for (int k = 0; k < 2; ++k)
        splats.halves.data_ptr<float>()[2 * i + k] = static_cast<float>(radius);
    }
    const auto square = compute::tile_lists(splats, o.footprint, grid, false);
    const at::Tensor other =
        compute::composite(splats, features, {}, o.footprint, grid, square).image;
    return Pairs{static_cast<double>(exact->pairs()), static_cast<double>(square->pairs()),
                 static_cast<double>(compute::tile_lists(plain, 0, grid, true)->pairs()),
                 (whole - image).abs().max().item<double>(),
                 (other - image).abs().max().item<double>()};
  });
}

// -----------------------------------------------------------------------------------------------

BarResult compared(double ours, double base, const std::string& name, const std::string& unit,
                   const std::string& text, const std::string& op, double right,
                   const std::string& note = "") {
  BarResult r;
  r.baseline = Quantity{.name = name, .value = base, .unit = unit};
  r.ours = Quantity{.value = ours, .unit = unit};
  r.bound = {text, ours, op, right};
  r.note = note;
  return r;
}

std::vector<Bar> bars() {
  std::vector<Bar> all;
  const auto add = [&](auto&&... words) {
    all.push_back(eval::bar_of(std::forward<decltype(words)>(words)...));
  };
  add("1", "a", "pentagon: one convex against two Gaussians, 18 numbers each", "squared error", "1",
      "ours <= 0.2 * baseline", [](StudyContext& c) { return toy_bar(c, "pentagon", 1, 2, 0.2); });
  add("1", "b", "square: one convex against two Gaussians, 18 numbers each", "squared error", "1",
      "ours <= 0.2 * baseline", [](StudyContext& c) { return toy_bar(c, "square", 1, 2, 0.2); });
  add("1", "c", "star: 5 convexes (90 numbers) against 10 Gaussians (90)", "squared error", "1",
      "ours <= 1 * baseline", [](StudyContext& c) { return toy_bar(c, "star", 5, 10, 1); });
  add("1", "d", "chair: 8 convexes (144 numbers) against 20 Gaussians (180)", "squared error", "1",
      "ours <= 1 * baseline", [](StudyContext& c) { return toy_bar(c, "chair", 8, 20, 1); });
  add("2", "a", "room with hard edges, at most half the primitives: quality", "PSNR", "dB",
      "ours >= baseline + 0.5 dB", [](StudyContext& c) {
        const Fit &base = fitted(c, "room", "gaussian"), &ours = fitted(c, "room", "convex");
        return compared(
            ours.figures.psnr, base.figures.psnr, "Gaussians", "dB", "ours >= baseline + 0.5 dB",
            ">=", base.figures.psnr + (c.smoke() ? -8 : 0.5),
            std::to_string(ours.figures.count) + " of " + std::to_string(base.figures.count));
      });
  add("2", "b", "room: bytes of the scene's file", "bytes", "bytes", "ours <= 0.6 * baseline",
      [](StudyContext& c) {
        const double base = fitted(c, "room", "gaussian").bytes,
                     ours = fitted(c, "room", "convex").bytes;
        return compared(ours, base, "Gaussians", "bytes", "ours <= 0.6 * baseline",
                        "<=", (c.smoke() ? 3 : 0.6) * base);
      });
  add("2", "c", "room: error of the pictures' gradients", "mean |error|", "1",
      "ours <= 0.95 * baseline", [](StudyContext& c) {
        const double base = fitted(c, "room", "gaussian").edge_error,
                     ours = fitted(c, "room", "convex").edge_error;
        return compared(ours, base, "Gaussians", "1", "ours <= 0.95 * baseline",
                        "<=", (c.smoke() ? 3 : 0.95) * base);
      });
  for (const char* name : {"chair", "fox"}) {
    const std::string of = name, part = of == "chair" ? "abc" : "def";
    add("3", part.substr(0, 1), of + ": quality with fewer primitives", "PSNR", "dB",
        "ours >= baseline - 0.2 dB", [of](StudyContext& c) {
          const Fit &base = fitted(c, of, "gaussian"), &ours = fitted(c, of, "convex");
          return compared(
              ours.figures.psnr, base.figures.psnr, "Gaussians", "dB", "ours >= baseline - 0.2 dB",
              ">=", base.figures.psnr - (c.smoke() ? 8 : 0.2),
              std::to_string(ours.figures.count) + " of " + std::to_string(base.figures.count));
        });
    add("3", part.substr(1, 1), of + ": bytes of light", "bytes", "bytes",
        "ours <= 0.25 * baseline", [of](StudyContext& c) {
          const double base = fitted(c, of, "gaussian").bytes, ours = fitted(c, of, "light").bytes;
          return compared(ours, base, "Gaussians", "bytes", "ours <= 0.25 * baseline",
                          "<=", (c.smoke() ? 3 : 0.25) * base);
        });
    add("3", part.substr(2, 1), of + ": quality of light", "PSNR", "dB",
        "ours >= baseline - 0.7 dB", [of](StudyContext& c) {
          const double base = fitted(c, of, "gaussian").figures.psnr,
                       ours = fitted(c, of, "light").figures.psnr;
          return compared(ours, base, "Gaussians", "dB", "ours >= baseline - 0.7 dB",
                          ">=", base - (c.smoke() ? 8 : 0.7));
        });
  }
  add("3", "g", "better on one of the two at least, with fewer primitives", "PSNR over Gaussians",
      "dB", "ours > 0", [](StudyContext& c) {
        double most = -INFINITY;
        std::string note;
        for (const char* name : {"chair", "fox"}) {
          const double gain =
              fitted(c, name, "convex").figures.psnr - fitted(c, name, "gaussian").figures.psnr;
          most = std::max(most, gain);
          char text[48];
          std::snprintf(text, sizeof(text), "%s%s %+.2f dB", note.empty() ? "" : ", ", name, gain);
          note += text;
        }
        BarResult r;
        r.ours = Quantity{.value = most, .unit = "dB"};
        r.bound = {"ours > 0", most, ">", c.smoke() ? -8.0 : 0.0};
        r.note = note;
        return r;
      });
  add("4", "", "a plane: median distance of what is drawn from its nearer face", "distance",
      "world", "ours <= 0.5 * baseline", [](StudyContext& c) {
        const double base = median_distance(fitted(c, "plane", "gaussian").figures.cloud),
                     ours = median_distance(fitted(c, "plane", "convex").figures.cloud);
        return compared(ours, base, "Gaussians", "world", "ours <= 0.5 * baseline",
                        "<=", (c.smoke() ? 20 : 0.5) * base);
      });
  add("5", "a", "forward and backward at equal count, one thread", "CPU time", "s",
      "ours <= 4 * baseline", [](StudyContext& c) {
        const int64_t turns = c.smoke() ? 3 : 7;
        const double base = step_seconds(c, speed_pair(c).gaussians, turns),
                     ours = step_seconds(c, speed_pair(c).convexes, turns);
        char note[96];
        std::snprintf(note, sizeof(note), "pairs with tiles: %.0f against %.0f", pairs_of(c).ours,
                      pairs_of(c).gaussians);
        return compared(ours, base, "Gaussians", "s", "ours <= 4 * baseline",
                        "<=", (c.smoke() ? 100 : 4) * base, note);
      });
  add("5", "b", "forward and backward, SIMD against scalar float, one thread", "CPU time", "s",
      "baseline / ours >= 4", [](StudyContext& c) {
        const int64_t turns = c.smoke() ? 3 : 7;
        const double base = kernel_seconds(c, false, turns), ours = kernel_seconds(c, true, turns);
        BarResult r;
        r.baseline = Quantity{.name = "scalar float", .value = base, .unit = "s"};
        r.ours = Quantity{.value = ours, .unit = "s"};
        r.bound = {"baseline / ours >= 4", base / ours, ">=", c.smoke() ? 0.1 : 4};
        return r;
      });
  add("5", "c", "pairs of primitives and tiles against the release's square", "pairs", "1",
      "ours <= 0.8 * baseline", [](StudyContext& c) {
        const Pairs& p = pairs_of(c);
        return compared(p.ours, p.square, "square box", "1", "ours <= 0.8 * baseline",
                        "<=", (c.smoke() ? 1.5 : 0.8) * p.square);
      });
  add("5", "d", "exact tiles against all tiles: largest difference of a pixel, all layers together",
      "difference", "1", "ours <= 1/255", [](StudyContext& c) {
        BarResult r;
        r.ours = Quantity{.value = pairs_of(c).difference, .unit = "1"};
        r.bound = {"ours <= 1/255", pairs_of(c).difference, "<=", 1.0 / 255};
        char note[96];
        std::snprintf(note, sizeof(note), "the release's square cuts borders off: %.3f",
                      pairs_of(c).square_difference);
        r.note = note;
        return r;
      });
  all.push_back(eval::at_most(
      "6", "a", "a scene of s times the size with delta and sigma over s looks the same",
      "difference", 1e-3, [](StudyContext& c) {
        const at::NoGradGuard no_gradient;
        const Pair& pair = speed_pair(c);
        Eigen::Matrix4d m = Eigen::Matrix4d::Identity();
        m.topLeftCorner<3, 3>() *= 2.5;
        scene::Camera far = pair.camera;
        far.cam_from_world.topRightCorner<3, 1>() *= 2.5;
        const auto draw = [](const scene::Cloud& cloud, const scene::Camera& camera) {
          return render::rasterize(render::primitives_of(scene::in_double(cloud)),
                                   render::views_of({camera}, at::kDouble), {})
              .color;
        };
        return (draw(scene::transformed(pair.convexes, m), far) - draw(pair.convexes, pair.camera))
            .abs()
            .max()
            .item<double>();
      }));
  all.push_back(eval::at_most(
      "6", "b", "a convex whose mask hides it is absent, to the bit", "differing values", 0,
      [](StudyContext& c) {
        const at::NoGradGuard no_gradient;
        const Pair& pair = speed_pair(c);
        fit::ConvexOptions options;
        nn::RowTable table;
        for (auto& [name, value] : fit::convex_rows(pair.convexes))
          table.add(name,
                    name == "mask"
                        ? at::where(at::arange(value.size(0)) % 3 == 0, -6.0, 1.0).to(at::kFloat)
                        : value,
                    nn::constant(0));
        const render::Views views = render::views_of({pair.camera});
        const at::Tensor masked =
            render::rasterize(fit::convex_primitives(table, options, false), views, {}).color;
        const at::Tensor keep = at::arange(table.rows()) % 3 != 0;
        table.drop(keep);
        const at::Tensor dropped =
            render::rasterize(fit::convex_primitives(table, options, false), views, {}).color;
        return static_cast<double>(masked.ne(dropped).sum().item<int64_t>());
      }));
  return all;
}

[[maybe_unused]] const bool kRegistered = eval::register_study(
    {.slug = "convex-splatting",
     .title = "Smooth convexes, on two CPU cores: flat pictures, hard edges, planes, speed",
     .bars = bars()});

}  // namespace
}  // namespace covary::studies
