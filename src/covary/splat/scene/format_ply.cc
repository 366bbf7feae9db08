// The 3DGS .ply as a format; ply.h reads and writes it.
#include "covary/splat/scene/format_table.h"
#include "covary/splat/scene/ply.h"

namespace covary::scene {
namespace {

bool is_ply(const Probe& probe) {
  return probe.head.starts_with("ply") && probe.head.find("packed_position") == std::string::npos;
}

}  // namespace

SceneFormat ply_format() {
  SceneFormat f;
  f.name = "ply";
  f.help = "the .ply of 3D Gaussian Splatting: all numbers as floats";
  f.extensions = {".ply"};
  f.columns = f.antialiased = f.flat = f.footprint = f.source_axes = f.not_finite = true;
  f.is = is_ply;
  f.read = [](const std::filesystem::path& path, const ReadOptions& o) {
    return read_ply(path, o.not_finite == "drop");
  };
  f.open = [](const std::filesystem::path& path, const ReadOptions& o) {
    return open_ply(path, o.not_finite == "drop");
  };
  f.create = [](const std::filesystem::path& path, const RowPlan& plan, const WriteOptions&) {
    return create_ply(path, plan);
  };
  return f;
}

}  // namespace covary::scene
