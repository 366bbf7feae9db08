#include "covary/splat/render/rasterize.h"

#include <algorithm>
#include <memory>
#include <utility>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/base/stages.h"
#include "covary/core/compute/project/op.h"
#include "covary/core/compute/rasterize/op.h"
#include "covary/core/compute/sh/op.h"
#include "covary/splat/scene/convex.h"

namespace covary::render {
namespace {

using compute::ProjectedTensors;

[[noreturn]] void refuse(const char* where, const char* hint) {
  throw Error(ExitCode::kUsage, "is missing or has the wrong shape", where, hint);
}

// Shortest axes of the primitives `ids` in camera axes, turned toward the camera: [M,3].
at::Tensor shortest_axes(const Primitives& g, const at::Tensor& ids,
                         const at::Tensor& cam_from_world) {
  if (!g.quats.defined()) refuse("normal", "normals need quats and scales, not covariances");
  const at::Tensor q = g.quats.index_select(0, ids), unit = q / q.norm(2, 1, true);
  const at::Tensor w = unit.select(1, 0), x = unit.select(1, 1), y = unit.select(1, 2),
                   z = unit.select(1, 3);
  const at::Tensor columns =
      at::stack({at::stack({1 - 2 * (y * y + z * z), 2 * (x * y + w * z), 2 * (x * z - w * y)}, 1),
                 at::stack({2 * (x * y - w * z), 1 - 2 * (x * x + z * z), 2 * (y * z + w * x)}, 1),
                 at::stack({2 * (x * z + w * y), 2 * (y * z - w * x), 1 - 2 * (x * x + y * y)}, 1)},
                1);  // [M, axis, 3]
  const at::Tensor shortest =
      g.scales.index_select(0, ids).argmin(1).view({-1, 1, 1}).expand({-1, 1, 3});
  const at::Tensor rotation = cam_from_world.narrow(0, 0, 3).narrow(1, 0, 3);
  const at::Tensor axis = columns.gather(1, shortest).squeeze(1).matmul(rotation.t());
  const at::Tensor at_camera = g.means.index_select(0, ids).matmul(rotation.t()) +
                               cam_from_world.narrow(0, 0, 3).select(1, 3);
  const at::Tensor away = ((axis * at_camera).sum(1, true) > 0).to(axis.scalar_type());
  return axis * (1 - 2 * away.detach());
}

struct ViewResult {
  at::Tensor color, alpha, depth, normal, median_depth, topk_ids, topk_weights;
  Footprints footprints;
};

ViewResult render_view(const Primitives& g, const Views& views, int64_t v,
                       const RasterizeOptions& o, const at::Tensor& background) {
  const auto type = g.means.options();
  const at::Tensor pose = views.cam_from_world.select(0, v).to(type.dtype()),
                   k = views.intrinsics.select(0, v);
  const compute::ProjectOptions project_options{
      .footprint = compute::footprint_index(g.footprint),
      .shape = {.dilation = o.dilation, .antialiased = o.antialiased},
      .near = o.near,
      .far = o.far,
      .radius_clip = o.radius_clip};
  const ProjectedTensors splats = compute::project(
      {g.means, g.quats, g.scales, g.covariances, g.opacities, g.extras, pose, k}, views.width,
      views.height, static_cast<int>(views.projection), project_options);

  // the channels, side by side: colour, features, depth, normal
  std::vector<at::Tensor> channels;
  at::Tensor colors_of_sh;
  if (g.sh0.defined()) {
    StageTimer stage("sh");  // directions and colours
    stage.add_items(splats.ids.numel());
    const at::Tensor rotation = pose.narrow(0, 0, 3).narrow(1, 0, 3),
                     t = pose.narrow(0, 0, 3).select(1, 3);
    const at::Tensor centre = -rotation.t().mv(t);
    const at::Tensor directions = g.means.index_select(0, splats.ids) - centre;
    const at::Tensor offsets =
        g.color_offsets ? g.color_offsets(splats.ids, directions) : at::Tensor();
    channels.push_back(compute::sh_color(
        g.sh0, g.shN, splats.ids, directions, o.sh_degree,
        o.sparse_sh_gradients ? compute::ShGradientRows::kSparse : compute::ShGradientRows::kDense,
        offsets));
    if (o.color_gradients && channels.back().requires_grad()) {
      colors_of_sh = channels.back();
      colors_of_sh.retain_grad();
    }
  }
  if (g.features.defined()) channels.push_back(g.features.index_select(0, splats.ids));
  int64_t colors = 0;
  for (const auto& c : channels) colors += c.size(1);
  if (o.depth) channels.push_back(splats.depths.unsqueeze(1));
  if (o.normal) channels.push_back(shortest_axes(g, splats.ids, pose));
  const at::Tensor features = channels.size() == 1 ? channels[0] : at::cat(channels, 1);

  at::Tensor behind;  // the background of every channel: 0 for depth and normal
  if (background.defined()) {
    behind = background.dim() == 2 ? background.select(0, v) : background;
    if (behind.numel() != colors) refuse("background", "give one number a colour channel");
    behind = behind.to(type.dtype());
    if (features.size(1) > colors)
      behind = at::cat({behind, at::zeros({features.size(1) - colors}, type)});
  }

  const compute::TileGrid grid{.width = (views.width - o.offset_x + o.stride - 1) / o.stride,
                               .height = (views.height - o.offset_y + o.stride - 1) / o.stride,
                               .stride = o.stride,
                               .offset_x = o.offset_x,
                               .offset_y = o.offset_y};
  const auto lists = compute::tile_lists(splats, project_options.footprint, grid, o.exact_tiles);
  ViewResult r;
  r.footprints.ids = splats.ids;
  r.footprints.centres = splats.centres.detach();
  r.footprints.radii = splats.halves.amax(1);
  r.footprints.depths = splats.depths.detach();
  r.footprints.colors = colors_of_sh;
  if (o.largest_weights)
    r.footprints.largest_weights =
        compute::largest_weights(splats, project_options.footprint, grid, *lists);
  r.footprints.screen_gradients = at::zeros({splats.ids.size(0), 4}, type);
  const auto out =
      compute::composite(splats, features, behind, project_options.footprint, grid, lists,
                         r.footprints.screen_gradients.narrow(1, 0, o.absolute_gradients ? 4 : 2));
  if (o.sensitivities)
    r.footprints.sensitivities =
        compute::squared_sensitivities(splats, features.detach(), behind, out.image.detach(),
                                       project_options.footprint, grid, *lists);
  r.alpha = (1 - out.transmittance).unsqueeze(2);
  r.color = out.image.size(2) == colors ? out.image : out.image.narrow(2, 0, colors);
  if (o.depth) {
    const at::Tensor sum = out.image.narrow(2, colors, 1);
    r.depth = at::where(r.alpha > 0, sum / r.alpha.clamp_min(1e-10), at::zeros({}, type));
  }
  if (o.normal) r.normal = out.image.narrow(2, colors + (o.depth ? 1 : 0), 3);
  if (o.top_k > 0 || o.median_depth || o.weights) {
    const auto seen = compute::inspect(splats, project_options.footprint, grid, *lists, o.top_k,
                                       o.median_depth, o.weights);
    if (o.top_k > 0) {
      const at::Tensor with_none = at::cat({splats.ids, at::full({1}, -1, at::kLong)});
      r.topk_ids =
          with_none
              .index_select(0, at::where(seen.topk < 0, splats.ids.size(0), seen.topk).flatten())
              .view_as(seen.topk);
      r.topk_weights = seen.topk_weights;
    }
    if (o.median_depth) r.median_depth = seen.median_depth.unsqueeze(2);
    r.footprints.weight_sums = seen.weight_sums;
    r.footprints.hits = seen.hits;
  }
  return r;
}

}  // namespace

Views views_of(const std::vector<scene::Camera>& cameras, at::ScalarType dtype) {
  if (cameras.empty()) refuse("cameras", "give at least one camera");
  Views v;
  v.width = cameras[0].width;
  v.height = cameras[0].height;
  v.projection = cameras[0].projection;
  const auto n = static_cast<int64_t>(cameras.size());
  at::Tensor poses = at::empty({n, 4, 4}, at::kDouble), k = at::empty({n, 4}, at::kDouble);
  for (int64_t i = 0; i < n; ++i) {
    const scene::Camera& c = cameras[static_cast<size_t>(i)];
    if (c.width != v.width || c.height != v.height || c.projection != v.projection)
      refuse("cameras", "cameras of one call share width, height and projection");
    Eigen::Map<Eigen::Matrix<double, 4, 4, Eigen::RowMajor>>(poses.data_ptr<double>() + 16 * i) =
        c.cam_from_world;
    double* p = k.data_ptr<double>() + 4 * i;
    p[0] = c.fx;
    p[1] = c.fy;
    p[2] = c.cx;
    p[3] = c.cy;
  }
  v.cam_from_world = poses.to(dtype);
  v.intrinsics = k.to(dtype);
  return v;
}

compute::CameraParameters parameters_of(const scene::Camera& camera) {
  compute::CameraParameters p{};
  Eigen::Map<Eigen::Matrix<double, 4, 4, Eigen::RowMajor>>(p.cam_from_world) =
      camera.cam_from_world;
  p.fx = camera.fx;
  p.fy = camera.fy;
  p.cx = camera.cx;
  p.cy = camera.cy;
  p.width = camera.width;
  p.height = camera.height;
  p.kind = static_cast<int>(camera.projection);
  return p;
}

Rendered rasterize(const Primitives& primitives, const Views& views,
                   const RasterizeOptions& options, const at::Tensor& background) {
  if (!primitives.means.defined()) refuse("means", "give [N,3]");
  if (!primitives.sh0.defined() && !primitives.features.defined())
    refuse("sh0", "give sh0 or features");
  if (options.stride < 1 || options.offset_x < 0 || options.offset_y < 0 ||
      options.offset_x >= views.width || options.offset_y >= views.height)
    refuse("stride", "stride is at least 1 and the offset inside the image");
  const StageTimer stage("render");
  const int64_t n = views.cam_from_world.size(0);
  std::vector<ViewResult> results;
  results.reserve(static_cast<size_t>(n));
  for (int64_t v = 0; v < n; ++v)
    results.push_back(render_view(primitives, views, v, options, background));

  Rendered out;
  const auto stack = [&](at::Tensor ViewResult::* member) {
    if (!(results[0].*member).defined()) return at::Tensor();
    if (n == 1) return (results[0].*member).unsqueeze(0);
    std::vector<at::Tensor> all;
    for (const auto& r : results) all.push_back(r.*member);
    return at::stack(all);
  };
  out.color = stack(&ViewResult::color);
  out.alpha = stack(&ViewResult::alpha);
  out.depth = stack(&ViewResult::depth);
  out.normal = stack(&ViewResult::normal);
  out.median_depth = stack(&ViewResult::median_depth);
  out.topk_ids = stack(&ViewResult::topk_ids);
  out.topk_weights = stack(&ViewResult::topk_weights);
  for (auto& r : results) out.footprints.push_back(std::move(r.footprints));
  return out;
}

at::Tensor extras_of(const scene::Cloud& cloud) {
  if (cloud.footprint == scene::kConvex) return scene::convex_extras(cloud);
  if (cloud.footprint != "generalized") return {};
  return cloud.columns.at("shape").to(cloud.means.scalar_type()).unsqueeze(1).contiguous();
}

Primitives primitives_of(const scene::Cloud& cloud) {
  return {.means = cloud.means,
          .quats = cloud.quats,
          .scales = cloud.scales.exp(),
          .covariances = {},
          .opacities = cloud.opacities.sigmoid(),
          .sh0 = cloud.sh0,
          .shN = cloud.shN,
          .features = {},
          .extras = extras_of(cloud),
          .footprint = cloud.footprint};
}

}  // namespace covary::render
