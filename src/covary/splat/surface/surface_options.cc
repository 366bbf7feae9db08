#include "covary/splat/surface/surface_options.h"

namespace covary::surface {

void SurfaceOptions::describe(OptionList& o) {
  o.add("method", &method,
        "tsdf: depth images of the scene from its cameras, fused; hulls: of convexes, each as a "
        "closed solid, which takes --alpha alone")
      .choices({"tsdf", "hulls"})
      .common();
  o.add("voxel", &voxel,
        "edge of a cell, and so the mesh's detail; 0 = 1/256 of the scene's extent")
      .unit("world")
      .range(0, 1e9)
      .common();
  o.add("truncation", &truncation,
        "how far from a surface distances count: more is smoother, less keeps thin things; 0 = 5 "
        "voxels")
      .unit("world")
      .range(0, 1e9)
      .common();
  o.add("depth", &depth, "of a pixel: where half of its light is met, or the mean")
      .choices({"median", "expected"})
      .common();
  o.add("alpha", &alpha, "least opacity of a pixel (or hull) that is taken for a surface")
      .range(0.01, 1);
  o.add("far", &far, "what is farther from a camera is left out; 0 = what lies behind the scene")
      .unit("world")
      .range(0, 1e9);
  o.add("least_views", &least_views, "that must have seen a place").range(1, 1000);
  o.add("views", &views, "around a scene that comes without cameras").range(4, 1000);
  o.add("width", &width, "of those views").unit("px").range(64, 4096);
  o.add("smallest", &smallest, "parts with less than this share of the largest's area are dropped")
      .range(0, 1)
      .common();
  o.add("faces", &faces, "at most so many triangles; 0 = all (with --collision: 20000)")
      .range(0, 1e9)
      .common();
  o.add("collision", &collision, "for physics: holes closed, few triangles").common();
}

void SurfaceOptions::check() const {}

}  // namespace covary::surface
