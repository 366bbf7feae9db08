#include "studies/convex-splatting/toy.h"

#include <cmath>
#include <utility>
#include <vector>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/base/random.h"
#include "covary/splat/render/rasterize.h"

namespace covary::studies {
namespace {

using Polygon = std::vector<std::pair<double, double>>;  // in [0, 1]^2, y down

Polygon box(double x0, double y0, double x1, double y1) {
  return {{x0, y0}, {x1, y0}, {x1, y1}, {x0, y1}};
}
Polygon around(int corners, double even, double odd) {
  Polygon p;
  for (int k = 0; k < corners; ++k) {
    const double a = 2 * M_PI * k / corners - M_PI / 2, r = k % 2 ? odd : even;
    p.emplace_back(0.5 + r * std::cos(a), 0.5 + r * std::sin(a));
  }
  return p;
}
std::vector<Polygon> parts_of(const std::string& name) {
  if (name == "pentagon") return {around(5, 0.37, 0.37)};
  if (name == "square") return {box(0.22, 0.22, 0.78, 0.78)};
  if (name == "star") return {around(10, 0.4, 0.17)};
  if (name == "chair")  // a back of three slats and a rail, a seat, four legs
    return {box(0.28, 0.08, 0.72, 0.15),
            box(0.28, 0.15, 0.34, 0.5),
            box(0.47, 0.15, 0.53, 0.5),
            box(0.66, 0.15, 0.72, 0.5),
            {{0.24, 0.5}, {0.76, 0.5}, {0.82, 0.58}, {0.18, 0.58}},
            box(0.2, 0.58, 0.26, 0.93),
            box(0.74, 0.58, 0.8, 0.93),
            box(0.34, 0.58, 0.39, 0.85),
            box(0.61, 0.58, 0.66, 0.85)};
  throw Error(ExitCode::kFailed, "is no shape", name);
}
bool inside(const Polygon& p, double x, double y) {
  bool in = false;
  for (size_t i = 0, j = p.size() - 1; i < p.size(); j = i++) {
    const auto [xi, yi] = p[i];
    const auto [xj, yj] = p[j];
    if ((yi > y) != (yj > y) && x < (xj - xi) * (y - yi) / (yj - yi) + xi) in = !in;
  }
  return in;
}

// A tensor that is fitted, with its moments.
struct Fitted {
  at::Tensor value, first, second;
  double rate;
  Fitted(at::Tensor start, double r)
      : value(start.to(at::kFloat).requires_grad_(true)),
        first(at::zeros_like(value)),
        second(at::zeros_like(value)),
        rate(r) {}
  void step(int64_t t, double factor) {
    const at::NoGradGuard no_gradient;
    const at::Tensor g = value.grad();
    if (!g.defined()) return;
    first.mul_(0.9).add_(g, 0.1);
    second.mul_(0.999).addcmul_(g, g, 0.001);
    const double c1 = 1 - std::pow(0.9, t), c2 = 1 - std::pow(0.999, t);
    value.sub_(factor * rate / c1 * first / ((second / c2).sqrt() + 1e-15));
    value.mutable_grad() = at::Tensor();
  }
};

at::Tensor uniform(const Random& random, uint64_t& next, at::IntArrayRef shape) {
  at::Tensor t = at::empty(shape, at::kDouble);
  for (int64_t i = 0; i < t.numel(); ++i) t.data_ptr<double>()[i] = random.uniform(next++);
  return t;
}

}  // namespace

at::Tensor drawn_shape(const std::string& name, int size) {
  constexpr int kSamples = 4;
  const std::vector<Polygon> parts = parts_of(name);
  at::Tensor out = at::zeros({size, size, 3}, at::kFloat);
  float* to = out.data_ptr<float>();
  for (int y = 0; y < size; ++y)
    for (int x = 0; x < size; ++x) {
      int hits = 0;
      for (int s = 0; s < kSamples * kSamples; ++s) {
        const double px = (x + (s % kSamples + 0.5) / kSamples) / size,
                     py = (y + (s / kSamples + 0.5) / kSamples) / size;
        for (const Polygon& p : parts)
          if (inside(p, px, py)) {
            ++hits;
            break;
          }
      }
      for (int k = 0; k < 3; ++k)
        to[3 * (y * size + x) + k] = static_cast<float>(hits) / (kSamples * kSamples);
    }
  return out;
}

double toy_error(const at::Tensor& truth, bool convexes, int64_t count, uint64_t seed,
                 int64_t steps) {
  const int size = static_cast<int>(truth.size(0));
  const Random random(seed, convexes ? 1 : 2);
  uint64_t next = 0;
  // The picture is the unit square at depth 1; all primitives lie in it, in the order of their rows.
  scene::Camera camera;
  camera.width = camera.height = size;
  camera.fx = camera.fy = size;
  camera.cx = camera.cy = 0.5 * size;
  camera.cam_from_world = Eigen::Matrix4d::Identity();
  const render::Views views = render::views_of({camera});
  const at::Tensor centres = 0.25 + 0.5 * uniform(random, next, {count, 2});
  const double radius = count == 1 ? 0.25 : 0.35 / std::sqrt(static_cast<double>(count));
  std::vector<Fitted> rows;
  const at::Tensor opacity = at::full({count}, 0.0, at::kDouble),
                   color = uniform(random, next, {count, 3});
  if (convexes) {
    const at::Tensor angle =
        2 * M_PI / 6 * at::arange(6, at::kDouble) + 2 * M_PI * uniform(random, next, {count, 1});
    const at::Tensor points =
        centres.unsqueeze(1) + radius * at::stack({angle.cos(), angle.sin()}, 2);
    rows.emplace_back(points, 5e-3);
    // lines that rise by 0.3 over a pixel at the start, halfway hard
    const double pixel = 1.0 / size, edge = radius;
    const double reference = 1e6;  // 1000^2: of lengths in units of the square
    rows.emplace_back(at::full({count}, std::log(1 / (reference * edge * pixel)), at::kDouble),
                      0.02);
    rows.emplace_back(at::full({count}, std::log(0.3), at::kDouble), 0.02);
  } else {
    rows.emplace_back(centres, 5e-3);
    rows.emplace_back(at::full({count, 2}, std::log(0.6 * radius), at::kDouble) +
                          0.2 * (uniform(random, next, {count, 2}) - 0.5),
                      0.02);
    rows.emplace_back(M_PI * uniform(random, next, {count}), 0.03);
  }
  rows.emplace_back(opacity, 0.05);
  rows.emplace_back(color, 0.02);
  const at::Tensor behind = at::zeros({3}, at::kFloat);
  double error = 0;
  for (int64_t step = 0; step <= steps; ++step) {
    render::Primitives p;
    p.opacities = rows[3].value.sigmoid();
    p.features = rows[4].value;
    const at::Tensor depth = at::ones({count, 1}, at::kFloat);
    if (convexes) {
      const at::Tensor at_one = at::ones({count, 6, 1}, at::kFloat);
      p.means = at::zeros({count, 3}, at::kFloat);
      p.extras = at::cat({at::cat({rows[0].value - 0.5, at_one}, 2).reshape({count, 18}),
                          rows[1].value.exp().unsqueeze(1), rows[2].value.exp().unsqueeze(1)},
                         1);
      p.footprint = "convex";
    } else {
      p.means = at::cat({rows[0].value - 0.5, depth}, 1);
      p.scales = at::cat({rows[1].value.exp(), 1e-6 * depth}, 1);
      const at::Tensor half = 0.5 * rows[2].value, none = at::zeros({count}, at::kFloat);
      p.quats = at::stack({half.cos(), none, none, half.sin()}, 1);
    }
    // their own sizes alone: nothing is added to a Gaussian on the screen but what keeps it a number
    const render::Rendered out = render::rasterize(p, views, {.dilation = 0.01}, behind);
    const at::Tensor loss = (out.color[0] - truth).pow(2).mean();
    error = loss.item<double>();
    if (step == steps) break;
    loss.backward();
    const double factor = std::pow(0.05, static_cast<double>(step) / static_cast<double>(steps));
    for (Fitted& row : rows) row.step(step + 1, factor);
  }
  return error;
}

}  // namespace covary::studies
