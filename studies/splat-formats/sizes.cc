// Bar 2 of splat-formats: files as small as those of others, at the same likeness. Bar 4: what a conversion takes of memory.
#include <algorithm>
#include <string>

#include <ATen/ATen.h>

#include "covary/core/base/random.h"
#include "covary/splat/render/likeness.h"
#include "covary/splat/scene/format.h"
#include "covary/splat/scene/ply.h"
#include "studies/splat-formats/bars.h"
#include "studies/splat-formats/program.h"

namespace covary::studies {
namespace {

using eval::Bar;
using eval::BarResult;
using eval::StudyContext;
namespace fs = std::filesystem;

constexpr double kMega = 1e6;

// A scene written again, beside the bytes that its authors' program took.
BarResult size_against(StudyContext& c, const fs::path& in, const std::string& name,
                       const scene::WriteOptions& how, double published, double factor,
                       double least_psnr) {
  const fs::path out = c.folder("sizes") / name;
  const scene::Cloud cloud = scene::load_cloud(in);
  scene::save_cloud(out, cloud, how);
  const auto bytes = static_cast<double>(scene::bytes_on_disk(out));
  const auto views = render::sample_views(cloud, 4, 320, 240);
  const render::Likeness l = render::likeness(cloud, scene::load_cloud(out), views);
  BarResult r;
  r.baseline = eval::Quantity{.name = "published", .value = published, .unit = "bytes"};
  r.ours = eval::Quantity{.value = bytes, .unit = "bytes"};
  // A file that lost what it shows is no smaller file.
  const double counted = l.worst >= least_psnr ? bytes : INFINITY;
  r.bound = {"ours <= " + std::to_string(factor).substr(0, 4) +
                 " * baseline at >= " + std::to_string(static_cast<int>(least_psnr)) + " dB",
             counted, "<=", factor * published};
  r.note = "worst of 4 views: " + std::to_string(l.worst).substr(0, 5) + " dB";
  return r;
}

BarResult biker_as_spz(StudyContext& c) {
  constexpr double kPublished =
      2242956;  // biker.spz of the PlayCanvas engine's examples, version 4
  return size_against(c, c.data("splats") / "biker.compressed.ply", "biker.spz", {.spz_version = 4},
                      kPublished, 1.03, 40);
}

BarResult playbot_as_sog(StudyContext& c) {
  const fs::path in = c.data("splats") / "playbot" / "2_0";
  double published = 0;
  for (const auto& entry : fs::directory_iterator(in))
    if (entry.path().extension() == ".webp") published += static_cast<double>(entry.file_size());
  return size_against(c, in, "playbot.sog", {}, published, 1.05, 38);
}

// Splats of degree 3 by blocks, so that making the file takes no more memory than reading it.
void write_large(const fs::path& path, int64_t n, uint64_t seed) {
  const auto part = [&](int64_t first, int64_t count) {
    const Random random(seed, 1);
    at::Tensor t = at::empty({count, 59}, at::kFloat);
    for (int64_t i = 0; i < t.numel(); ++i)
      t.data_ptr<float>()[i] =
          static_cast<float>(2 * random.uniform(static_cast<uint64_t>(59 * first + i)) - 1);
    scene::Cloud c;
    c.means = 3 * t.narrow(1, 0, 3);
    c.quats = t.narrow(1, 3, 4) + 0.01;
    c.scales = t.narrow(1, 7, 3) - 4;
    c.opacities = 4 * t.select(1, 10);
    c.sh0 = t.narrow(1, 11, 3).unsqueeze(1);
    c.shN = 0.2 * t.narrow(1, 14, 45).reshape({count, 15, 3});
    return c;
  };
  const auto sink = scene::create_ply(path, {scene::cloud_like(part(0, 1)), n, 0});
  for (int64_t first = 0; first < n; first += scene::kRowsAtOnce)
    sink->append(part(first, std::min(scene::kRowsAtOnce, n - first)));
  sink->commit();
}

// MB that a conversion takes, and those of its input.
struct Conversion {
  double memory = 0, file = 0;
};

Conversion converted(StudyContext& c, int64_t splats, const std::string& name) {
  const fs::path folder = c.folder("memory");
  write_large(folder / "in.ply", splats, c.seed());
  const Conversion out{taken_by({"covary", "convert", (folder / "in.ply").string(),
                                 (folder / name).string(), "--sh-degree", "2"})
                               .memory_bytes /
                           kMega,
                       static_cast<double>(fs::file_size(folder / "in.ply")) / kMega};
  fs::remove(folder / "in.ply");
  fs::remove(folder / name);
  return out;
}

BarResult memory_of_conversion(StudyContext& c, int64_t splats, const std::string& name) {
  const Conversion taken = converted(c, splats, name);
  BarResult r;
  r.baseline = eval::Quantity{.name = "the file", .value = taken.file, .unit = "MB"};
  r.ours = eval::Quantity{.value = taken.memory, .unit = "MB"};
  r.bound = {"ours <= 300 MB", r.ours->value, "<=", 300};
  return r;
}

// Of files so small that even a scene held whole would stay under the bound: memory must not grow with them.
BarResult growth_of_memory(StudyContext& c) {
  const Conversion small = converted(c, 2 * scene::kRowsAtOnce, "out.ply"),
                   large = converted(c, 8 * scene::kRowsAtOnce, "out.ply");
  BarResult r;
  r.baseline = eval::Quantity{.name = "the file", .value = large.file - small.file, .unit = "MB"};
  r.ours = eval::Quantity{.value = large.memory - small.memory, .unit = "MB"};
  r.bound = {"ours <= 0.5 * baseline", r.ours->value, "<=", 0.5 * r.baseline->value};
  r.note = "held whole, a scene takes once or twice its file";
  return r;
}

}  // namespace

std::vector<Bar> size_bars() {
  const auto bar = [](const char* id, const char* part, const char* title, const char* metric,
                      const char* unit, bool smoke, BarResult (*measure)(StudyContext&)) {
    Bar b = eval::bar_of(id, part, title, metric, unit, "", measure);
    b.smoke = smoke;
    return b;
  };
  return {
      bar("2", "a", "biker as .spz, beside the published file", "size", "bytes", false,
          biker_as_spz),
      bar("2", "b", "playbot as SOG, beside the published pictures", "size", "bytes", false,
          playbot_as_sog),
      bar("4", "m", "one million splats of degree 3 to degree 2, .ply to .ply", "peak memory", "MB",
          false, [](StudyContext& c) { return memory_of_conversion(c, 1000000, "out.ply"); }),
      bar("4", "n", "four million splats of degree 3 to degree 2, .ply to .ply", "peak memory",
          "MB", false, [](StudyContext& c) { return memory_of_conversion(c, 4000000, "out.ply"); }),
      bar("4", "o", "65,536 splats of degree 3 to degree 2, .ply to .ply, then 262,144",
          "growth of peak memory", "MB", true, growth_of_memory),
  };
}

}  // namespace covary::studies
