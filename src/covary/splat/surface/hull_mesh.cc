#include "covary/splat/surface/hull_mesh.h"

#include <algorithm>
#include <cmath>
#include <set>

#include <ATen/ATen.h>

#include "covary/core/base/error.h"
#include "covary/core/compute/project/convex.h"
#include "covary/core/compute/sh/sh.h"
#include "covary/splat/scene/convex.h"

namespace covary::surface {
namespace {

constexpr double kOnPlane = 1e-9;       // distance from a plane, of the hull's size
constexpr double kLeastVolume = 1e-12;  // of the extent cubed

// The corners of a face, counter-clockwise about n, from the points that lie in its plane.
std::vector<int> face_corners(const std::vector<Eigen::Vector3d>& points,
                              const std::vector<int>& in_plane, const Eigen::Vector3d& n) {
  const Eigen::Vector3d x = n.unitOrthogonal(), y = n.cross(x);
  double flat[2 * compute::kMostPoints];
  for (size_t k = 0; k < in_plane.size(); ++k) {
    const Eigen::Vector3d& p = points[static_cast<size_t>(in_plane[k])];
    flat[2 * k] = p.dot(x);
    flat[2 * k + 1] = p.dot(y);
  }
  int corners[compute::kMostPoints];
  const int count = compute::convex_hull(flat, static_cast<int>(in_plane.size()), corners);
  std::vector<int> out;
  for (int k = 0; k < count && count >= 3; ++k)
    out.push_back(in_plane[static_cast<size_t>(corners[k])]);
  return out;
}

}  // namespace

std::vector<Eigen::Vector3i> hull_triangles(const std::vector<Eigen::Vector3d>& points) {
  const auto count = static_cast<int>(points.size());
  std::vector<Eigen::Vector3i> triangles;
  if (count < 4 || count > compute::kMostPoints) return triangles;
  double size = 0;
  for (const Eigen::Vector3d& p : points) size = std::max(size, (p - points[0]).norm());
  const double least = kOnPlane * size;
  if (!(size > 0) || !std::isfinite(size)) return triangles;
  std::set<std::vector<int>> faces;
  bool volume = false;
  for (int a = 0; a < count; ++a)
    for (int b = a + 1; b < count; ++b)
      for (int c = b + 1; c < count; ++c) {
        const auto at = [&](int k) { return points[static_cast<size_t>(k)]; };
        Eigen::Vector3d n = (at(b) - at(a)).cross(at(c) - at(a));
        if (!(n.norm() > least * size)) continue;
        n.normalize();
        std::vector<int> in_plane;
        int above = 0, below = 0;
        for (int k = 0; k < count; ++k) {
          const double d = n.dot(at(k) - at(a));
          if (std::abs(d) <= least) in_plane.push_back(k);
          above += d > least;
          below += d < -least;
        }
        volume |= above + below > 0;
        if ((above && below) || !faces.insert(in_plane).second) continue;
        const std::vector<int> corners = face_corners(points, in_plane, above ? -n : n);
        for (size_t k = 2; k < corners.size(); ++k)
          triangles.emplace_back(corners[0], corners[k - 1], corners[k]);
      }
  return volume ? triangles : std::vector<Eigen::Vector3i>();
}

double hull_volume(const std::vector<Eigen::Vector3d>& points,
                   const std::vector<Eigen::Vector3i>& triangles) {
  double six = 0;
  for (const Eigen::Vector3i& t : triangles) {
    const Eigen::Vector3d a = points[static_cast<size_t>(t[0])] - points[0],
                          b = points[static_cast<size_t>(t[1])] - points[0],
                          c = points[static_cast<size_t>(t[2])] - points[0];
    six += a.dot(b.cross(c));
  }
  return six / 6;
}

HullMesh hull_mesh(const scene::Cloud& cloud, double least_opacity) {
  if (cloud.footprint != scene::kConvex)
    throw Error(ExitCode::kData, "is a scene of other primitives than convexes", "--method hulls",
                "fit one with covary train --primitive convex, or use --method tsdf");
  const scene::Convexes convexes = scene::convexes_of(cloud);
  const int64_t n = cloud.size(), count = convexes.points.size(1);
  HullMesh out;
  if (n > 0) {
    const at::Tensor means = cloud.means.detach().to(at::kDouble);
    const double extent =
        (std::get<0>(means.max(0)) - std::get<0>(means.min(0))).max().item<double>();
    const at::Tensor opacities = cloud.opacities.detach().to(at::kDouble).sigmoid().contiguous(),
                     dc = cloud.sh0.detach().to(at::kDouble).contiguous();
    const double *p = convexes.points.const_data_ptr<double>(),
                 *o = opacities.const_data_ptr<double>(), *color = dc.const_data_ptr<double>();
    std::vector<Eigen::Vector3d> points(static_cast<size_t>(count));
    for (int64_t i = 0; i < n; ++i) {
      if (!(o[i] >= least_opacity)) {
        ++out.transparent;
        continue;
      }
      for (int64_t k = 0; k < count; ++k)
        points[static_cast<size_t>(k)] = Eigen::Map<const Eigen::Vector3d>(p + 3 * (i * count + k));
      const std::vector<Eigen::Vector3i> triangles = hull_triangles(points);
      if (triangles.empty() ||
          !(hull_volume(points, triangles) > kLeastVolume * extent * extent * extent)) {
        ++out.flat;
        continue;
      }
      ++out.hulls;
      std::vector<int> place(static_cast<size_t>(count), -1);
      Eigen::Vector3f rgb;
      for (int64_t k = 0; k < 3; ++k)
        rgb[k] = static_cast<float>(std::clamp(0.5 + compute::kShC0 * color[3 * i + k], 0.0, 1.0));
      for (const Eigen::Vector3i& t : triangles) {
        Eigen::Vector3i placed;
        for (int k = 0; k < 3; ++k) {
          int& at = place[static_cast<size_t>(t[k])];
          if (at < 0) {
            at = static_cast<int>(out.mesh.vertices.size());
            out.mesh.vertices.push_back(points[static_cast<size_t>(t[k])].cast<float>());
            out.mesh.colors.push_back(rgb);
          }
          placed[k] = at;
        }
        out.mesh.triangles.push_back(placed);
      }
    }
  }
  if (out.hulls == 0)
    throw Error(ExitCode::kData, "no convex is opaque and has volume", "--method hulls",
                "lower --alpha");
  return out;
}

}  // namespace covary::surface
