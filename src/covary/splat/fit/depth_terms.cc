#include "covary/splat/fit/depth_terms.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/threads.h"

namespace covary::fit {
namespace {

constexpr double kCovered = 0.5;  // alpha above which a pixel's depth is that of a surface

at::Tensor nothing() { return at::zeros({}, at::kFloat); }

at::Tensor picture_of(const data::ImageF& image) {
  return at::from_blob(const_cast<float*>(image.pixels.data()),
                       {image.height, image.width, image.channels}, at::kFloat);
}

// [H,W] 1 where a pixel counts and is covered.
at::Tensor counted(const LossContext& c) {
  at::Tensor weights = c.rendered.alpha.detach().squeeze(0).squeeze(2).gt(kCovered).to(at::kFloat);
  if (c.target.mask.defined()) weights = weights * c.target.mask.gt(0).to(at::kFloat);
  return weights;
}

// Mean over the pixels of weight 1.
at::Tensor mean_of(const at::Tensor& values, const at::Tensor& weights) {
  const float* w = weights.const_data_ptr<float>();
  const double sum = ordered_sum(weights.numel(), [&](int64_t i) { return double(w[i]); });
  if (sum == 0) return nothing();
  return ordered_mean(values * weights) * (static_cast<double>(weights.numel()) / sum);
}

}  // namespace

at::Tensor affine_invariant_distance(const at::Tensor& x, const at::Tensor& y,
                                     const at::Tensor& weights) {
  const at::Tensor seen = x.detach().contiguous(), known = y.contiguous(),
                   which = weights.contiguous();
  const float *p = seen.const_data_ptr<float>(), *q = known.const_data_ptr<float>(),
              *w = which.const_data_ptr<float>();
  const auto sum = [&](auto&& f) {
    return ordered_sum(which.numel(), [&](int64_t i) { return w[i] != 0 ? f(i) : 0.0; });
  };
  const double n = sum([](int64_t) { return 1.0; });
  if (n < 2) return nothing();
  const double mean_x = sum([&](int64_t i) { return double(p[i]); }) / n,
               mean_y = sum([&](int64_t i) { return double(q[i]); }) / n;
  const double spread = sum([&](int64_t i) { return (q[i] - mean_y) * (q[i] - mean_y); }),
               along = sum([&](int64_t i) { return (q[i] - mean_y) * (p[i] - mean_x); });
  if (!(spread > 1e-12 * n * mean_y * mean_y)) return nothing();
  const double scale = along / spread, shift = mean_x - scale * mean_y;
  return mean_of((x - (known * scale + shift)).abs(), which.ne(0).to(at::kFloat));
}

LossTerm depth_term(const nn::Schedule& weight, double extent) {
  return {.name = "depth", .weight = weight, .value = [extent](const LossContext& c) {
            if (c.view.depth.empty() || !c.rendered.depth.defined()) return TermValue{nothing()};
            const at::Tensor known = picture_of(c.view.depth).squeeze(2),
                             seen = c.rendered.depth.squeeze(0).squeeze(2);
            const at::Tensor weights = counted(c) * known.gt(0).to(at::kFloat);
            const double least = 1e-3 * extent;  // of a depth: no inverse grows without bound
            return TermValue{extent * affine_invariant_distance(seen.clamp_min(least).reciprocal(),
                                                                known.clamp_min(least).reciprocal(),
                                                                weights)};
          }};
}

PixelDepths depths_of_points(const scene::Camera& camera,
                             const std::vector<Eigen::Vector3f>& points,
                             const std::vector<uint32_t>& numbers) {
  std::vector<std::pair<int64_t, double>> found;
  found.reserve(numbers.size());
  for (const uint32_t number : numbers) {
    const Eigen::Vector3d p = points.at(number).cast<double>();
    const double z = (camera.cam_from_world * p.homogeneous()).z();
    const Eigen::Vector2d at = camera.project(p);
    // NaN is in no picture
    if (!(z > 0 && at.x() >= 0 && at.y() >= 0 && at.x() < camera.width && at.y() < camera.height))
      continue;
    found.emplace_back(static_cast<int64_t>(at.y()) * camera.width + static_cast<int64_t>(at.x()),
                       z);
  }
  std::sort(found.begin(), found.end());  // the nearest of a pixel first
  PixelDepths out;
  for (const auto& [pixel, z] : found) {
    if (!out.pixels.empty() && out.pixels.back() == pixel) continue;
    out.pixels.push_back(pixel);
    out.depths.push_back(z);
  }
  return out;
}

at::Tensor disparity_distance(const at::Tensor& depth, const PixelDepths& known,
                              const at::Tensor& weights, double least) {
  if (known.pixels.empty()) return nothing();
  // Pixels are distinct: their gradients go to places of their own.
  const at::Tensor where = at::tensor(known.pixels, at::kLong);
  const at::Tensor seen = depth.reshape({-1}).index_select(0, where),
                   truth = at::tensor(known.depths, at::kDouble).to(seen.scalar_type());
  return mean_of((seen.clamp_min(least).reciprocal() - truth.clamp_min(least).reciprocal()).abs(),
                 weights.reshape({-1}).index_select(0, where).ne(0).to(at::kFloat));
}

LossTerm sparse_depth_term(const nn::Schedule& weight, std::vector<Eigen::Vector3f> points,
                           double extent) {
  return {.name = "sparse_depth",
          .weight = weight,
          .value = [points = std::move(points), extent](const LossContext& c) {
            if (c.view.seen_points.empty() || !c.rendered.depth.defined())
              return TermValue{nothing()};
            const PixelDepths known = depths_of_points(c.view.camera, points, c.view.seen_points);
            return TermValue{extent * disparity_distance(c.rendered.depth.squeeze(0).squeeze(2),
                                                         known, counted(c), 1e-3 * extent)};
          }};
}

LossTerm normal_term(const nn::Schedule& weight) {
  return {.name = "normal", .weight = weight, .value = [](const LossContext& c) {
            if (c.view.normal.empty() || !c.rendered.normal.defined()) return TermValue{nothing()};
            const at::Tensor known = picture_of(c.view.normal), seen = c.rendered.normal.squeeze(0);
            const at::Tensor weights =
                counted(c) * known.square().sum(2).gt(0.25).to(at::kFloat);  // else unknown
            const at::Tensor length = seen.square().sum(2).add(1e-8).sqrt();
            return TermValue{mean_of(1 - (seen * known).sum(2) / length, weights.contiguous())};
          }};
}

}  // namespace covary::fit
