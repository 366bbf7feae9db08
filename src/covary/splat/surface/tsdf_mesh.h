// A triangle mesh of a scene of Gaussians: its depth is drawn from many cameras and fused into one surface.
//
//   const TsdfMesh m = tsdf_mesh(render::primitives_of(cloud), cameras, {.voxel = 0.01});
//   geometry::write_mesh("chair.ply", m.mesh);
//
// A pixel's depth is where its ray has lost half of its light (median) or the mean of what it meets (expected); pixels that are
// more transparent than options.alpha, or see a surface at a slant, say less or nothing. The scene's extent is twice the radius of the
// ball about its middle that holds four fifths of its Gaussians. Colours are those of the pictures. Memory is
// that of blocks near surfaces: geometry/tsdf.h.
// Pinhole cameras; at least one. Errors: Error(kUsage) for other cameras, Error(kData) where no surface is seen.
// Source: Newcombe et al. 2011 (KinectFusion), on depth rendered from splats as in Huang et al. 2024 (2D Gaussian splatting).
#pragma once

#include <functional>
#include <vector>

#include "covary/core/geometry/mesh.h"
#include "covary/splat/render/rasterize.h"
#include "covary/splat/scene/camera.h"
#include "covary/splat/surface/surface_options.h"

namespace covary::surface {

struct TsdfMesh {
  geometry::Mesh mesh;
  double voxel = 0, truncation = 0, extent = 0;  // as they were chosen, world
  int64_t views = 0, blocks = 0;
  int64_t raw_triangles = 0, dropped_parts = 0, closed_holes = 0;
};

// between: called before each view with the number of those done.
TsdfMesh tsdf_mesh(const render::Primitives& primitives, const std::vector<scene::Camera>& cameras,
                   bool antialiased, const SurfaceOptions& options,
                   const std::function<void(int64_t)>& between = {});

}  // namespace covary::surface
