// covary surface RUN|SCENE -o MESH
#include <algorithm>

#include "covary/cli/verbs/places.h"
#include "covary/cli/verbs/verb.h"
#include "covary/core/base/error.h"
#include "covary/core/base/file.h"
#include "covary/core/base/interrupt.h"
#include "covary/core/base/log.h"
#include "covary/core/base/machine.h"
#include "covary/core/base/progress.h"
#include "covary/core/geometry/mesh_file.h"
#include "covary/core/geometry/mesh_repair.h"
#include "covary/splat/fit/load.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/surface/hull_mesh.h"
#include "covary/splat/surface/tsdf_mesh.h"

namespace covary::cli {
namespace {

namespace fs = std::filesystem;

// Those of the run, or around the scene.
std::vector<scene::Camera> cameras_for(const fit::LoadedScene& scene,
                                       const surface::SurfaceOptions& options) {
  std::vector<scene::Camera> cameras;
  if (const auto file = cameras_of_run(scene))
    for (const scene::NamedCamera& c : file->cameras)
      if (c.camera.projection == scene::Projection::kPinhole) cameras.push_back(c.camera);
  if (!cameras.empty()) return cameras;
  const auto width = static_cast<int>(options.width);
  return render::sample_views(scene.cloud, options.views, width, width * 3 / 4);
}

// Hulls are written as they are: nothing is fused, cut or thinned.
void refuse_options_of_tsdf(const Job& job) {
  for (const char* name : {"voxel", "truncation", "depth", "far", "least_views", "views", "width",
                           "smallest", "faces", "collision"})
    if (job.typed(name)) {
      std::string flag = std::string("--") + name;
      std::replace(flag.begin(), flag.end(), '_', '-');
      throw Error(ExitCode::kUsage, "belongs to --method tsdf: hulls are written as they are", flag,
                  "leave it out, or leave --method hulls out");
    }
}

// --method hulls
Result hulls_of(const Job& job, const fit::LoadedScene& scene, const fs::path& out,
                const surface::SurfaceOptions& options) {
  const surface::HullMesh m = surface::hull_mesh(scene.cloud, options.alpha);
  Result r;
  r.document = {{"scene", scene.file.string()},
                {"output", out.string()},
                {"hulls", m.hulls},
                {"transparent", m.transparent},
                {"flat", m.flat},
                {"triangles", m.mesh.triangles.size()},
                {"vertices", m.mesh.vertices.size()},
                {"options", job.invocation.options}};
  if (!job.common.dry_run) geometry::write_mesh(out, m.mesh);
  r.text = out.string() + ": " + count_text(m.hulls) + " hulls, " +
           count_text(static_cast<int64_t>(m.mesh.triangles.size())) + " triangles" +
           (job.common.dry_run ? ", not written\n" : "\n") +
           fact_line("left out", count_text(m.transparent) + " transparent, " + count_text(m.flat) +
                                     " without volume");
  return r;
}

}  // namespace

Result run_surface(const Job& job) {
  const InterruptGuard interrupts;
  const auto options = job.options<surface::SurfaceOptions>();
  if (options.method == "hulls") refuse_options_of_tsdf(job);
  if (job.invocation.outputs.size() != 1)
    throw Error(ExitCode::kUsage, "name one mesh to write", "-o",
                "for example: covary surface " + job.invocation.inputs[0] + " -o mesh.ply");
  const fs::path out = job.invocation.outputs[0];
  if (!geometry::can_write_mesh(out))
    throw Error(ExitCode::kUsage, "no mesh is written under this extension", out.string(),
                "write a .ply, .obj or .glb");
  keep_what_is_there(out, job.common.overwrite);
  if (!job.common.dry_run) AtomicFile probe(out);
  const fit::LoadedScene scene = fit::load_scene(job.invocation.inputs[0]);
  if (!scene.note.empty()) log_warning(job.invocation.inputs[0] + ": " + scene.note);
  if (options.method == "hulls") return hulls_of(job, scene, out, options);
  const std::vector<scene::Camera> cameras = cameras_for(scene, options);
  Result r;
  r.document = {{"scene", scene.file.string()},
                {"output", out.string()},
                {"views", cameras.size()},
                {"options", job.invocation.options}};
  if (job.common.dry_run) {
    r.text = out.string() + ": from " + std::to_string(cameras.size()) + " views, not written\n";
    return r;
  }
  const double begin = wall_seconds();
  Progress progress("surface", static_cast<int64_t>(cameras.size()), "views");
  const surface::TsdfMesh m =
      surface::tsdf_mesh(render::primitives_of(scene.cloud), cameras, scene.cloud.antialiased,
                         options, [&](int64_t done) {
                           if (const int code = interrupted()) throw Interrupted{code};
                           progress.update(done);
                         });
  progress.finish();
  geometry::write_mesh(out, m.mesh);
  const bool closed = geometry::edge_facts(m.mesh).closed();
  const auto count = [](size_t n) { return count_text(static_cast<int64_t>(n)); };
  r.document["triangles"] = m.mesh.triangles.size();
  r.document["vertices"] = m.mesh.vertices.size();
  r.document["raw_triangles"] = m.raw_triangles;
  r.document["dropped_parts"] = m.dropped_parts;
  r.document["closed"] = closed;
  r.document["voxel"] = m.voxel;
  r.document["truncation"] = m.truncation;
  r.document["extent"] = m.extent;
  r.document["blocks"] = m.blocks;
  r.document["seconds"] = wall_seconds() - begin;
  r.text = out.string() + ": " + count(m.mesh.triangles.size()) + " triangles, " +
           count(m.mesh.vertices.size()) + " vertices" + (closed ? ", closed" : "") + "\n" +
           fact_line("voxel",
                     number_text("%.4g", m.voxel) + number_text(" of a scene of %.4g", m.extent)) +
           fact_line("views", std::to_string(m.views)) +
           fact_line("raw", count_text(m.raw_triangles) + " triangles, " +
                                count_text(m.dropped_parts) + " small parts dropped");
  return r;
}

}  // namespace covary::cli
