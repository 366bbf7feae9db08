#include "covary/splat/surface/tsdf_mesh.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "covary/core/base/error.h"
#include "covary/core/geometry/mesh_repair.h"
#include "covary/core/geometry/tsdf.h"
#include "covary/splat/scene/middle.h"

namespace covary::surface {
namespace {

constexpr double kShareOfBall = 0.8;     // of the Gaussians
constexpr double kVoxelsOfExtent = 256;  // edge to edge
constexpr double kVoxelsOfTruncation = 5;
constexpr double kBehind = 2;  // radii behind the middle that still belong to the scene
constexpr int64_t kCollisionFaces = 20000;
constexpr float kLeastSlant = 0.1f;  // cosine, under which a pixel has this weight

// The cosine between each pixel's normal and its ray: what is seen at a slant is known less well.
at::Tensor slants(const at::Tensor& normal, const scene::Camera& c) {
  const at::Tensor n = normal.to(at::kFloat).contiguous();
  at::Tensor out = at::empty({c.height, c.width}, at::kFloat);
  const float* from = n.const_data_ptr<float>();
  float* to = out.data_ptr<float>();
  for (int64_t i = 0; i < int64_t{c.width} * c.height; ++i) {
    const Eigen::Map<const Eigen::Vector3f> v(from + 3 * i);
    const Eigen::Vector3f ray(
        static_cast<float>((static_cast<double>(i % c.width) + 0.5 - c.cx) / c.fx),
        static_cast<float>((static_cast<double>(i / c.width) + 0.5 - c.cy) / c.fy), 1);
    const float length = v.norm() * ray.norm();
    to[i] = length > 0 ? std::max(kLeastSlant, std::abs(v.dot(ray)) / length) : kLeastSlant;
  }
  return out;
}

}  // namespace

TsdfMesh tsdf_mesh(const render::Primitives& primitives, const std::vector<scene::Camera>& cameras,
                   bool antialiased, const SurfaceOptions& options,
                   const std::function<void(int64_t)>& between) {
  options.check();
  if (cameras.empty()) throw Error(ExitCode::kUsage, "there are no cameras", "cameras");
  for (const scene::Camera& c : cameras)
    if (c.projection != scene::Projection::kPinhole)
      throw Error(ExitCode::kUsage, "depth is fused from pinhole cameras", "cameras",
                  "leave the fisheye and orthographic views out");
  if (primitives.means.size(0) == 0) throw Error(ExitCode::kData, "the scene is empty", "surface");
  const at::NoGradGuard no_grad;
  scene::Ball ball = scene::middle_ball(primitives.means, kShareOfBall);
  ball.radius = std::max(1e-9, ball.radius);
  TsdfMesh out;
  out.extent = 2 * ball.radius;
  out.voxel = options.voxel > 0 ? options.voxel : out.extent / kVoxelsOfExtent;
  out.truncation = options.truncation > 0 ? options.truncation : kVoxelsOfTruncation * out.voxel;
  geometry::TsdfVolume volume({.voxel = out.voxel, .truncation = out.truncation});

  render::RasterizeOptions how;
  how.antialiased = antialiased;
  how.normal = true;
  how.depth = options.depth == "expected";
  how.median_depth = !how.depth;
  for (const scene::Camera& c : cameras) {
    if (between) between(out.views);
    const render::Rendered r =
        render::rasterize(primitives, render::views_of({c}, primitives.means.scalar_type()), how);
    const double behind = (c.centre() - ball.centre).norm() + kBehind * ball.radius;
    const double far = options.far > 0 ? options.far : behind;
    at::Tensor depth = (how.depth ? r.depth : r.median_depth)[0].squeeze(-1).to(at::kFloat);
    depth = at::where(r.alpha[0].squeeze(-1).ge(options.alpha).logical_and(depth.le(far)), depth,
                      at::zeros({}, at::kFloat))
                .contiguous();
    const at::Tensor color = r.color[0].to(at::kFloat).clamp(0, 1).contiguous();
    const at::Tensor weight = slants(r.normal[0], c);
    volume.fuse({.width = c.width,
                 .height = c.height,
                 .fx = c.fx,
                 .fy = c.fy,
                 .cx = c.cx,
                 .cy = c.cy,
                 .cam_from_world = c.cam_from_world,
                 .depth = depth.const_data_ptr<float>(),
                 .color = color.const_data_ptr<float>(),
                 .weight = weight.const_data_ptr<float>()});
    ++out.views;
  }
  out.blocks = volume.blocks();
  // Weights are cosines: as many views head on as must have seen it, half as many more at a slant.
  constexpr double kUsualSlant = 0.5;
  out.mesh = volume.mesh(kUsualSlant * static_cast<double>(options.least_views));
  if (out.mesh.triangles.empty())
    throw Error(ExitCode::kData, "no surface is seen from the cameras", "surface",
                "take fewer views for granted (--least-views 1), or a larger --voxel");
  out.raw_triangles = static_cast<int64_t>(out.mesh.triangles.size());
  out.dropped_parts = geometry::keep_components(out.mesh, options.smallest);
  if (options.collision) out.closed_holes = geometry::close_holes(out.mesh);
  const int64_t faces = options.faces > 0 ? options.faces : options.collision ? kCollisionFaces : 0;
  if (faces > 0) geometry::simplify(out.mesh, faces);
  return out;
}

}  // namespace covary::surface
