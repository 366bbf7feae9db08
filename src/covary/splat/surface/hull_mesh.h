// Convexes as solids: each becomes the closed triangle mesh of the hull of its points, with its colour of degree 0.
//
//   HullMesh m = hull_mesh(cloud, 0.5);              // convexes of at least half opacity
//   geometry::write_mesh("hulls.glb", m.mesh);
//
// Hulls without volume (less than 1e-12 of the scene's extent cubed; the largest side of the box of means) are left out. The mesh is that
// of the points themselves: how soft a convex is drawn (delta, sigma) is not in it. Error(kData): a scene of other
// primitives, or nothing left.
#pragma once

#include <cstdint>
#include <vector>

#include <Eigen/Core>

#include "covary/core/geometry/mesh.h"
#include "covary/splat/scene/cloud.h"

namespace covary::surface {

struct HullMesh {
  geometry::Mesh mesh;
  int64_t hulls = 0, transparent = 0, flat = 0;  // drawn; left out
};
HullMesh hull_mesh(const scene::Cloud& convexes, double least_opacity);

// Triangles (places in `points`) of the hull of at most 8 points, counter-clockwise from outside: every plane through
// three of them that has the others on one side. Points on a face that are no corners of it are left out. Empty: no volume.
std::vector<Eigen::Vector3i> hull_triangles(const std::vector<Eigen::Vector3d>& points);
// Of a closed mesh of such triangles.
double hull_volume(const std::vector<Eigen::Vector3d>& points,
                   const std::vector<Eigen::Vector3i>& triangles);

}  // namespace covary::surface
