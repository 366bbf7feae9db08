// Bar 5 of splat-formats: a mesh of the built-in sample agrees with what its cameras see by ray tracing.
#include <algorithm>
#include <string>

#include <ATen/ATen.h>
#include <Eigen/LU>

#include "covary/core/base/random.h"
#include "covary/core/geometry/mesh_repair.h"
#include "covary/core/geometry/point_distance.h"
#include "covary/core/geometry/tsdf.h"
#include "covary/splat/fit/trainer.h"
#include "covary/splat/surface/tsdf_mesh.h"
#include "studies/core-3dgs/training.h"
#include "studies/splat-formats/bars.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::StudyContext;

constexpr int64_t kSamples = 100000;  // of the mesh
constexpr double kShareOfExtent = 0.01;

struct Truth {
  scene::Capture capture;
  std::vector<Eigen::Vector3f> points;  // where rays through the pixels' centres end
  double extent = 0;                    // longest side of the box about them
};

scene::Capture studio(StudyContext& c) {
  scene::CaptureOptions options;
  options.test_every = 0;
  return scene::load_capture(
      c.smoke() ? "sample:studio,background=none,views=24,width=160,height=120,points=1500"
                : "sample:studio,background=none,views=60,width=320,height=240",
      options);
}

Truth truth_of(scene::Capture capture) {
  Truth t{std::move(capture), {}, 0};
  Eigen::Vector3f low = Eigen::Vector3f::Constant(INFINITY), high = -low;
  for (const scene::View& v : t.capture.views) {
    const Eigen::Matrix4d world_from_cam = v.camera.cam_from_world.inverse();
    // Every third pixel each way: some ten thousand of a view.
    for (int y = 1; y < v.depth.height; y += 3)
      for (int x = 1; x < v.depth.width; x += 3) {
        const double z = *v.depth.at(y, x);
        if (!(z > 0)) continue;
        const Eigen::Vector3d p((x + 0.5 - v.camera.cx) / v.camera.fx * z,
                                (y + 0.5 - v.camera.cy) / v.camera.fy * z, z);
        t.points.emplace_back((world_from_cam * p.homogeneous()).head<3>().cast<float>());
        low = low.cwiseMin(t.points.back());
        high = high.cwiseMax(t.points.back());
      }
  }
  t.extent = (high - low).maxCoeff();
  return t;
}

geometry::SurfaceScore score_of(const geometry::Mesh& mesh, const Truth& t, uint64_t seed) {
  std::vector<Eigen::Vector3f> ours;
  for (const geometry::SurfacePoint& p :
       geometry::sample_surface(mesh, kSamples, Random(seed, stream_of("surface.samples"))))
    ours.push_back(p.position);
  return geometry::surface_score(ours, t.points, kShareOfExtent * t.extent);
}

void tell(StudyContext& c, const std::string& name, const geometry::Mesh& mesh,
          const geometry::SurfaceScore& s, const Truth& t) {
  c.table({.name = name,
           .columns = {"F-score", "precision", "recall", "mean error / extent", "triangles"},
           .rows = {{s.f, s.precision, s.recall, s.mean_error / t.extent, mesh.triangles.size()}}});
}

BarResult at_least(double f, double bound) {
  BarResult r;
  r.ours = eval::Quantity{.value = f, .unit = "1"};
  r.bound = {"F-score >= " + std::to_string(bound).substr(0, 4), f, ">=", bound};
  return r;
}

// The exact depths alone: what fusing and meshing lose.
BarResult fused_truth(StudyContext& c) {
  const Truth t = truth_of(studio(c));
  geometry::TsdfVolume volume({.voxel = t.extent / 200});
  for (const scene::View& v : t.capture.views)
    volume.fuse({.width = v.camera.width,
                 .height = v.camera.height,
                 .fx = v.camera.fx,
                 .fy = v.camera.fy,
                 .cx = v.camera.cx,
                 .cy = v.camera.cy,
                 .cam_from_world = v.camera.cam_from_world,
                 .depth = v.depth.pixels.data()});
  geometry::Mesh mesh = volume.mesh(2);
  geometry::keep_components(mesh, 0.01);
  const geometry::SurfaceScore s = score_of(mesh, t, c.seed());
  tell(c, "mesh of the exact depths", mesh, s, t);
  return at_least(s.f, 0.9);
}

BarResult trained(StudyContext& c) {
  const Truth t = truth_of(studio(c));
  fit::TrainOptions o;
  o.steps = c.smoke() ? 300 : 4000;
  fit::Trainer trainer(t.capture, o);
  train_to_end(trainer, c.seed());
  const scene::Cloud cloud = trainer.cloud();
  std::vector<scene::Camera> cameras;
  for (const scene::View& v : trainer.capture().views) cameras.push_back(v.camera);
  const surface::TsdfMesh m =
      surface::tsdf_mesh(render::primitives_of(cloud), cameras, cloud.antialiased, {});
  const geometry::SurfaceScore s = score_of(m.mesh, t, c.seed());
  tell(c, "mesh of a trained scene", m.mesh, s, t);
  return at_least(s.f, 0.9);
}

}  // namespace

std::vector<Bar> surface_bars() {
  Bar scene =
      eval::bar_of("5", "b", "the studio, trained: mesh against ray tracing at 1 % of the extent",
                   "F-score", "", "", trained);
  scene.smoke = false;
  return {eval::bar_of(
              "5", "a",
              "the studio's exact depths, fused: mesh against ray tracing at 1 % of the extent",
              "F-score", "", "", fused_truth),
          scene};
}

}  // namespace covary::studies
